"""The catalogue of all kinds of faults, and every set of kinds that is built from it.

Seeds draw kinds by their place in these sets. A row that moves, or a new one that is not the last of its set, makes
every seed another run.
"""

from collections.abc import Mapping

from vtorc.sim.faults import (
    amid_failover,
    forgotten,
    holding,
    links,
    operators,
    processes,
    servers,
    setups,
    topology,
    unseen,
)
from vtorc.sim.faults.fault import (
    MANY_PRIMARIES,
    NO_PRIMARY,
    ONE_PRIMARY,
    PRIMARY_AFTER_ERRANT,
    PRIMARY_LOUD,
    PRIMARY_ORDERLY,
    PRIMARY_SILENT,
    UNBOUNDED,
    Drawn,
    End,
    Fault,
    FaultKind,
    FaultScene,
    FaultTarget,
)
from vtorc.sim.mysql.disk import DiskState

# Two lines a row, in the order of the columns of `FaultKind`.
# fmt: off
_CATALOGUE = (
    # Processes, hosts, clocks
    FaultKind("kill-mysqld", "A mysqld is killed and restarted.",
              processes.kill_mysqld, 1, 40, FaultTarget.TABLET, Drawn.AT_PRIMARY, PRIMARY_LOUD),
    FaultKind("kill-vttablet", "A vttablet is killed; its supervisor restarts it.",
              processes.kill_vttablet, 1, 1, FaultTarget.TABLET, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("keep-vttablet-down", "A vttablet is killed and stays down.",
              processes.keep_vttablet_down, 10, 60, FaultTarget.TABLET, Drawn.AT_PRIMARY, UNBOUNDED),
    FaultKind("shut-down-vttablet", "An operator shuts a vttablet down.",
              processes.shut_down_vttablet, 5, 40, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("kill-both", "vttablet and mysqld of one host are killed.",
              processes.kill_both, 1, 40, FaultTarget.TABLET, Drawn.AT_PRIMARY, PRIMARY_LOUD),
    FaultKind("power-off", "A host loses power, and no connection is reset.",
              processes.power_off, 5, 90, FaultTarget.TABLET, Drawn.AT_PRIMARY, PRIMARY_SILENT),
    FaultKind("lose-cell", "All hosts of a cell lose power.",
              processes.lose_cell, 5, 60, FaultTarget.CELL, Drawn.AT_PRIMARY, MANY_PRIMARIES),
    FaultKind("freeze-mysqld", "A mysqld is stopped with SIGSTOP.",
              processes.freeze_mysqld, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("freeze-vttablet", "A vttablet is stopped with SIGSTOP.",
              processes.freeze_vttablet, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("restart-all-replicas", "The mysqlds of all replicas are killed.",
              processes.restart_all_replicas, 0.5, 10, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("kill-vtorc", "A vtorc is killed.",
              processes.kill_vtorc, 1, 1, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("kill-all-vtorcs", "All vtorcs are killed.",
              processes.kill_all_vtorcs, 1, 1, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("freeze-vtorc", "A vtorc is stopped with SIGSTOP.",
              processes.freeze_vtorc, 1, 60, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("clock-jump", "A wall clock jumps by an hour.",
              processes.clock_jump, 1, 1, FaultTarget.HOST, Drawn.AT_RANDOM, NO_PRIMARY),
    # The network
    FaultKind("isolate", "A host is cut off both ways.",
              links.isolate, 1, 90, FaultTarget.TABLET, Drawn.AT_PRIMARY, UNBOUNDED),
    FaultKind("cut-outgoing", "No message leaves a host.",
              links.cut_outgoing, 1, 90, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("cut-incoming", "No message reaches a host.",
              links.cut_incoming, 1, 90, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("cut-from-replicas", "A tablet is cut off from the others of its shard only.",
              links.cut_from_replicas, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("cut-acks", "No message of a replica reaches the primary.",
              links.cut_acks, 1, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("cut-vtorc-from-tablet", "A tablet is cut off from all vtorcs only.",
              links.cut_vtorc_from_tablet, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("isolate-vtorc", "A vtorc is cut off from everything.",
              links.isolate_vtorc, 1, 60, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("cut-cell", "A cell is cut off from all others.",
              links.cut_cell, 1, 60, FaultTarget.CELL, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lose-messages", "A host loses a third of its messages.",
              links.lose_messages, 5, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lose-some-messages", "Every link loses a few messages.",
              links.lose_messages_everywhere, 5, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("delay-messages", "The messages of a host are 0.4 s late.",
              links.delay_messages, 5, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    # mysqld
    FaultKind("stall-disk", "The disk of a mysqld stalls.",
              servers.disk(DiskState.STALLED), 1, 90, FaultTarget.TABLET, Drawn.AT_PRIMARY, UNBOUNDED),
    FaultKind("fill-disk", "The disk of a mysqld is full, and writers wait for space.",
              servers.disk(DiskState.FULL_WAITING), 1, 90, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("fill-disk-failing", "The disk of a mysqld is full, and writes fail.",
              servers.disk(DiskState.FULL_FAILING), 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("refuse-connections", "A mysqld takes no new connections.",
              servers.refuse_connections, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("slow-mysqld", "A mysqld is 300 times slower.",
              servers.slow_mysqld, 1, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("slow-applier", "A replica's applier is 3,000 times slower.",
              servers.slow_applier, 5, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("break-applier", "A replica's applier stops with an error.",
              servers.break_applier, 5, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("purge-binlogs", "A binary log is purged up to its last 20 transactions.",
              servers.purge_binlogs, 1, 1, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    # Topology servers
    FaultKind("topo-down", "The global topology server is down.",
              topology.down(topology.global_server), 1, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("topo-hangs", "The global topology server does not answer.",
              topology.hung(topology.global_server), 1, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("cell-topo-down", "A cell's topology server is down.",
              topology.down(topology.cell_server), 1, 60, FaultTarget.CELL, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("cell-topo-hangs", "A cell's topology server does not answer.",
              topology.hung(topology.cell_server), 1, 60, FaultTarget.CELL, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("stale-reads", "A vtorc reads an old state of the topology.",
              topology.stale_reads, 1, 20, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("topo-conflicts", "Half of all compare-and-swaps in the topology fail.",
              topology.conflicts, 1, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("lose-leases", "All leases end at once, and locks with them.",
              topology.end_leases, 1, 1, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    # Operators
    FaultKind("write-errant", "A superuser writes into a replica.",
              operators.on_replica(operators.write_errant), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("make-replica-writable", "An operator makes a replica writable.",
              operators.on_replica(operators.make_writable), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("make-read-only", "An operator turns read_only on.",
              operators.on_tablet(operators.make_read_only), 1, 1, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("stop-replication", "An operator stops replication on a replica.",
              operators.on_replica(operators.stop_replication), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("stop-applier", "An operator stops a replica's applier.",
              operators.on_replica(operators.stop_applier), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("forget-source", "An operator resets the source of a replica.",
              operators.on_replica(operators.forget_source), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("point-elsewhere", "An operator points a replica at another replica.",
              operators.point_elsewhere, 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("unset-semi-sync", "An operator switches semi-sync off.",
              operators.on_tablet(operators.unset_semi_sync), 1, 1, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("change-type", "An operator drains a replica, makes it a spare or backs it up, and undoes that.",
              operators.change_type, 1, 60, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("planned-reparent", "An operator moves the primary with Vitess' tools.",
              operators.planned_reparent, 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    # Amid a failover
    FaultKind("hide-acker", "The primary and one acker are cut off from all others.",
              amid_failover.hide_acker, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("hide-acker-unreadable", "The same, with an unreadable record of that acker.",
              amid_failover.hide_acker_unreadable, 50, 80, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("hide-cell", "The primary and another whole cell are cut off from all others.",
              amid_failover.hide_cell, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("lone-copy", "The primary is lost when one acker alone has its last writes.",
              amid_failover.lone_copy, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("lone-copy-hidden", "The same, and that acker is cut off.",
              amid_failover.lone_copy_hidden, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("last-acker-leaves", "The primary is lost after its last acker was taken out of service.",
              amid_failover.last_acker_leaves, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("crash-while-applying", "The primary is lost while the relay logs are long.",
              amid_failover.crash_while_applying, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, ONE_PRIMARY),
    FaultKind("lose-lock-while-applying", "The same, and locks end during the recovery.",
              amid_failover.lose_lock_while_applying, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("return-amid-failover", "A primary that was cut off returns during the failover.",
              amid_failover.return_amid_failover, 50, 70, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("lose-promotion", "The old primary returns when the new one is promoted.",
              amid_failover.lose_promotion, 40, 80, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("crash-at-repair", "The primary is lost as a replica's repair begins.",
              amid_failover.crash_at_repair, 20, 40, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("heir-dies", "The primary is lost, and its successor when it is promoted.",
              amid_failover.successor_dies, 40, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("late-vtorc", "The primary is lost, and calls of some vtorcs reach the topology late.",
              amid_failover.late_vtorc, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, ONE_PRIMARY),
    FaultKind("errant-then-crash", "The primary is lost after an operator wrote into two replicas.",
              amid_failover.errant_then_crash, 60, 80, FaultTarget.NO_CHOICE, Drawn.BY_NAME, PRIMARY_AFTER_ERRANT),
    FaultKind("corrupt-record", "A tablet's record cannot be read.",
              topology.corrupt_record, 10, 60, FaultTarget.TABLET, Drawn.BY_NAME, NO_PRIMARY),
    FaultKind("command-planned", "An operator tells vtorc to move the primary.",
              amid_failover.command_planned, 20, 40, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("kill-all-primaries", "The mysqlds of the primaries of all shards are killed.",
              processes.kill_all_primaries, 30, 60, FaultTarget.NO_CHOICE, Drawn.BY_NAME, MANY_PRIMARIES),
    FaultKind("reuse-address", "A host loses power, and another shard's primary gets its address.",
              processes.reuse_address, 5, 90, FaultTarget.TABLET, Drawn.BY_NAME, UNBOUNDED),
    FaultKind("lock-applier", "A long lock holds up a replica's applier.",
              servers.lock_applier, 5, 120, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lose-record", "A vttablet ends, an operator deletes its record, and its mysqld goes on.",
              topology.lose_record, 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lose-socket", "A vttablet cannot reach its mysqld, which lives.",
              servers.lose_socket, 5, 90, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("hide-acker-without-record", "The primary and an acker without a record are cut off from all others.",
              amid_failover.hide_acker_without_record, 50, 80, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("lone-copy-without-socket", "The primary ends, and a lone copy is where a vttablet cannot reach it.",
              amid_failover.lone_copy_without_socket, 40, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("shut-down-mysqld", "A mysqld is shut down in order, which closes the connections of replicas last.",
              processes.shut_down_mysqld, 1, 40, FaultTarget.TABLET, Drawn.AT_RANDOM, PRIMARY_ORDERLY),
    # Going back in time
    FaultKind("restore-topology", "Topology servers are restored from a backup.",
              topology.restore, 5, 60, FaultTarget.TOPOLOGY, Drawn.AT_RANDOM, ONE_PRIMARY),
    FaultKind("remake-topology", "The topology servers are made anew, and no record names a primary.",
              topology.make_anew, 1, 1, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, ONE_PRIMARY),
    FaultKind("roll-back-disk", "The disk of a mysqld goes back to an older state.",
              servers.roll_back_disk, 0.5, 20, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lose-vtorc", "A vtorc is killed and loses what it remembers.",
              forgotten.lose_vtorc, 1, 1, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("lose-all-vtorcs", "All vtorcs are killed and lose what they remember.",
              forgotten.lose_all_vtorcs, 1, 1, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("rebuild-replica", "A replica gets another server, a clone or an empty one; no last copy is lost.",
              forgotten.rebuild_replica, 1, 40, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("replace-server", "Any tablet gets another server, whatever is lost.",
              forgotten.replace_server, 1, 40, FaultTarget.TABLET, Drawn.BY_NAME, UNBOUNDED),
    FaultKind("change-durability", "An operator changes the durability policy, and undoes that.",
              forgotten.change_durability, 5, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("withdraw-policy", "The policy is changed to none, and the primary and its last acker are lost.",
              amid_failover.withdraw_policy, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("lone-copy-rebuilt", "The primary and its last acker are lost, and that acker is rebuilt.",
              amid_failover.lone_copy_rebuilt, 40, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    FaultKind("last-acker-unremembered", "As last-acker-leaves, and all vtorcs lose what they remember.",
              forgotten.last_acker_leaves_unremembered, 30, 60, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    # Servers that are set up otherwise than by Vitess
    FaultKind("filter-replica", "A replica gets replication filters, for good.",
              setups.set_up(lasts=True, filters=True), 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("delay-applier", "A replica applies everything late on purpose.",
              setups.delay_applier, 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("log-nothing", "A replica writes no binary log.",
              setups.set_up(lasts=False, log_bin=False), 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("log-no-updates", "A replica does not log what it receives.",
              setups.set_up(lasts=False, log_replica_updates=False), 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM,
              UNBOUNDED),
    FaultKind("copy-identity", "A replica has the server_uuid of another.",
              setups.copy_identity, 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("raise-wait-count", "A mysqld waits for one acknowledgement more.",
              setups.raise_wait_count, 10, 90, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("remove-plugins", "A replica has lost the plugins of semi-sync.",
              setups.remove_plugins, 10, 90, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("refuse-account", "A mysqld refuses the replication account to new connections.",
              servers.refuse_account, 5, 60, FaultTarget.TABLET, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("lock-account", "The replication account is locked on all servers of a shard.",
              servers.lock_account, 5, 60, FaultTarget.NO_CHOICE, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("damage-relay-log", "The relay log of a replica is damaged.",
              servers.damage_relay_log, 1, 1, FaultTarget.REPLICA, Drawn.AT_RANDOM, UNBOUNDED),
    FaultKind("come-and-go", "A tablet answers only every other question.",
              servers.come_and_go, 10, 120, FaultTarget.TABLET, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("stand-still", "A vtorc stands still now and then, between any two instructions.",
              processes.stand_still, 10, 90, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("starve-vtorc", "A vtorc gets too little processor time.",
              processes.starve_vtorc, 10, 60, FaultTarget.VTORC, Drawn.AT_RANDOM, NO_PRIMARY),
    FaultKind("stand-still-amid-failover", "The primary is lost, and vtorcs stand still in the midst of replacing it.",
              amid_failover.stand_still_amid_failover, 60, 90, FaultTarget.NO_CHOICE, Drawn.IN_FAILOVERS, UNBOUNDED),
    # Orders of operators
    FaultKind("hold", "An operator tells all vtorcs to hold a part of the fleet, and lifts the hold in the end.",
              holding.hold, 5, 60, FaultTarget.TABLET, Drawn.BY_NAME, UNBOUNDED),
    # Vtorcs that share the shards
    FaultKind("lose-vtorcs-in-turn", "The hosts of all vtorcs lose power, one after the other.",
              processes.lose_vtorcs_in_turn, 40, 120, FaultTarget.NO_CHOICE, Drawn.BY_NAME, UNBOUNDED),
    # Amid a failover
    FaultKind("restart-amid-failover", "The primary returns amid its failover, and a stopped replica starts again.",
              amid_failover.restart_amid_failover, 40, 60, FaultTarget.NO_CHOICE, Drawn.BY_NAME, UNBOUNDED),
    # Vtorcs that see nothing
    FaultKind("blind-vtorcs", "All vtorcs are cut off, stopped or killed, each in a way of its own.",
              unseen.blind_vtorcs, 20, 120, FaultTarget.NO_CHOICE, Drawn.BY_NAME, NO_PRIMARY),
    FaultKind("unseen-acker", "Unseen by all vtorcs, a replica is put in service, acknowledges alone, and leaves.",
              unseen.unseen_acker, 80, 100, FaultTarget.NO_CHOICE, Drawn.BY_NAME, UNBOUNDED),
    FaultKind("unseen-acker-rebuilt", "Unseen by all vtorcs, a replica comes back, acknowledges alone, and is rebuilt.",
              unseen.unseen_acker_rebuilt, 80, 100, FaultTarget.NO_CHOICE, Drawn.BY_NAME, UNBOUNDED),
    FaultKind("unseen-acker-deleted", "Unseen by all vtorcs, a replica acknowledges alone, and its record is deleted.",
              unseen.unseen_acker_deleted, 80, 100, FaultTarget.NO_CHOICE, Drawn.BY_NAME, UNBOUNDED),
)
# fmt: on

KINDS: Mapping[str, FaultKind] = {kind.name: kind for kind in _CATALOGUE}
"""Every kind by its name, in the order of the catalogue."""

MIXED_KINDS = tuple(name for name, kind in KINDS.items() if kind.drawn.mixed)
"""The kinds that are drawn where a profile names none."""

AIMED_KINDS = frozenset(name for name, kind in KINDS.items() if kind.drawn is Drawn.AT_PRIMARY)
"""The kinds that are drawn more often, aimed at the primary."""

FAILOVER_KINDS = tuple(name for name, kind in KINDS.items() if kind.drawn is Drawn.IN_FAILOVERS)
"""The kinds that strike amid a failover."""

OUTAGE_KINDS = tuple(name for name, kind in KINDS.items() if kind.cost.replaced_within is not None)
"""The kinds after which the primary must be replaced within a bound."""

HARMLESS_KINDS = tuple(sorted(name for name, kind in KINDS.items() if kind.cost.harmless))
"""The kinds that are no reason to replace a primary."""


def kind_of(fault: Fault) -> FaultKind:
    """Return the kind of a fault."""
    return KINDS[fault.kind]


def begin(scene: FaultScene) -> End:
    """Let a fault begin; returns what ends it."""
    return kind_of(scene.fault).begin(scene)


def named(*names: str) -> tuple[str, ...]:
    """Return these names in this order, which is part of the seeds; raises KeyError for one without a row."""
    return tuple(KINDS[name].name for name in names)
