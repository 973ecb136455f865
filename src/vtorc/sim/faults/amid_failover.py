"""Faults that strike where a failover is weakest: several things at once, or at a known step of a recovery.

A fault at a random moment hardly ever meets the few milliseconds that a careless step leaves open. These faults wait
for a call of a vtorc and strike then. Others first make one replica the only holder of acknowledged writes, or the
relay logs long, and strike after that. All random choices follow from the fault alone, so that a run stays replayable.
"""

from collections.abc import Callable

from vtorc.core.facts.durability import policy
from vtorc.errors import TopoError
from vtorc.recovery.commands import Commands
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.policy_change import change_policy
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.faults.fault import End, FaultScene, nothing
from vtorc.sim.faults.processes import pause
from vtorc.sim.faults.strike import STOPS, Strike
from vtorc.sim.faults.topology import forget_tablet, make_unreadable
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.vttablet.mysql_api import Threads

_STARTS = frozenset({"StartReplication", "SetReplicationSource"})
"""The calls by which a vtorc repairs a replica."""

_AMID_A_SECOND = (0.1, 1.5)
"""Seconds for which one acker receives alone until the primary is lost. That is asked once a second, so that often no
answer tells of these writes.
"""


def hide_acker(scene: FaultScene) -> End:
    """Cut the primary and one acker off from all others."""
    strike = Strike(scene)
    strike.hide(strike.primary, strike.acker())
    return strike.end


def hide_acker_unreadable(scene: FaultScene) -> End:
    """Do as `hide_acker` after that acker's record has become unreadable."""
    strike = Strike(scene)
    acker = strike.acker()
    strike.on_end(make_unreadable(scene.world, acker))
    # Long enough for every vtorc to have read the topology once since.
    strike.later(16.0, 20.0, lambda: strike.hide(strike.primary, acker))
    return strike.end


def hide_acker_without_record(scene: FaultScene) -> End:
    """Delete an acker's record while its mysqld lives, and then cut the primary and it off from all others."""
    strike = Strike(scene)
    acker = strike.acker()
    strike.on_end(forget_tablet(scene.world, acker))
    # Long enough for every vtorc to have read the topology once since.
    strike.later(16.0, 20.0, lambda: strike.hide(strike.primary, acker))
    return strike.end


def hide_cell(scene: FaultScene) -> End:
    """Cut the primary off together with all of another cell, its topology server included."""
    strike = Strike(scene)
    cells = [cell for cell in scene.world.plan.cells if cell != strike.primary.host.cell]
    if not cells:
        return nothing
    cell = strike.random.choice(cells)
    strike.hide(strike.primary, also=[host.name for host in scene.world.hosts_of(cell)])
    return strike.end


def lone_copy(scene: FaultScene) -> End:
    """Let one acker alone receive the last writes, then lose the primary."""
    strike = Strike(scene)
    strike.starve(strike.acker())
    strike.later(2.0, 4.0, strike.lose_primary)
    return strike.end


def lone_copy_hidden(scene: FaultScene) -> End:
    """Let one acker alone receive the last writes, then lose the primary and cut the acker off."""
    strike = Strike(scene)
    acker = strike.acker()
    strike.starve(acker)

    def lose() -> None:
        strike.lose_primary()
        strike.hide(acker)

    strike.later(2.0, 4.0, lose)
    return strike.end


def lone_copy_without_socket(scene: FaultScene) -> End:
    """Let one acker alone receive the last writes, that its own vttablet cannot reach, and then end the primary."""
    strike = Strike(scene)
    acker = strike.acker()
    acker.mysqld.has_socket = False
    strike.on_end(lambda: setattr(acker.mysqld, "has_socket", True))

    def starve() -> None:
        strike.starve(acker)
        strike.later(*_AMID_A_SECOND, strike.primary.mysqld.process.crash)
        strike.on_end(lambda: strike.world.start_mysqld(strike.primary.mysqld))

    strike.later(2.0, 20.0, starve)
    return strike.end


def lone_copy_rebuilt(scene: FaultScene) -> End:
    """Let one acker alone receive the last writes, lose it with the primary, and rebuild it from another replica."""
    strike = Strike(scene)
    acker = strike.acker()
    strike.starve(acker)
    others = [each for each in strike.replicas if each is not acker]

    def lose() -> None:
        strike.lose_primary()
        strike.world.stop_and_rebuild(acker, strike.random.choice(others) if others else None)
        strike.later(1.0, 20.0, lambda: strike.world.start_mysqld(acker.mysqld))

    strike.later(*_AMID_A_SECOND, lose)
    strike.on_end(lambda: strike.world.start_mysqld(acker.mysqld))
    return strike.end


def withdraw_policy(scene: FaultScene) -> End:
    """Let one acker alone receive the last writes, change the policy to none, and soon lose it and the primary."""
    strike = Strike(scene)
    acker, keyspace, before = strike.acker(), scene.shard.id.keyspace, scene.shard.plan.durability
    strike.starve(acker)

    def lose() -> None:
        strike.lose_primary()
        strike.hide(acker)

    def withdraw() -> None:
        change_policy(strike.world, keyspace, "none")
        strike.on_end(lambda: change_policy(strike.world, keyspace, before))
        strike.later(0.0, 1.0, lose)

    strike.later(2.0, 4.0, withdraw)
    return strike.end


def last_acker_leaves(scene: FaultScene) -> End:
    """Take the only running acker out of service; then lose the primary and start the other replicas."""
    strike = Strike(scene)
    acker = strike.acker()
    others = [each for each in strike.replicas if each is not acker]
    for each in others:
        each.mysqld.process.crash()
    leave = OutOfService(strike.world, acker, strike.random.choice(OUT_OF_SERVICE), stops=strike.random.random() < 0.5)

    def restart() -> None:
        for each in others:
            strike.world.start_mysqld(each.mysqld)

    def take() -> None:
        leave.begin()
        strike.on_end(leave.end)
        strike.later(0.1, 10.0, lose)

    def lose() -> None:
        strike.lose_primary()
        restart()

    strike.on_end(restart)
    strike.later(2.0, 8.0, take)
    return strike.end


def crash_while_applying(scene: FaultScene) -> End:
    """Lose the primary while the relay logs are long."""
    strike = Strike(scene)
    strike.hold_appliers_until_stopped(1.0, 8.0)
    strike.later(2.0, 5.0, strike.lose_primary)
    return strike.end


def lose_lock_while_applying(scene: FaultScene) -> End:
    """Lose the primary while the relay logs are long, and end all leases while replicas apply them."""
    strike = Strike(scene)
    strike.hold_appliers_until_stopped(4.0, 8.0)
    strike.later(3.0, 5.0, strike.lose_primary)
    strike.when_sent(STOPS, lambda: strike.later(0.0, 0.5, scene.world.topos["global"].end_leases))
    return strike.end


def return_amid_failover(scene: FaultScene) -> End:
    """Let a primary that was cut off return, writable, as soon as its replicas are stopped.

    Every vtorc stands still before, until the replicas have tried in vain to connect again. A vttablet does not stop an
    IO thread that has failed to connect. The failover is then long, because relay logs are. Or messages are a little
    late, and it is so short that vtorc does not look whether all tablets are still stopped.
    """
    strike = Strike(scene)
    if strike.random.random() < 0.25:
        strike.hold_appliers_until_stopped(2.0, 6.0)
        latest_return = 0.5
    else:
        strike.when_sent(STOPS, strike.delay_answers)
        latest_return = 0.01

    def hide() -> None:
        heal = strike.hide(strike.primary)
        strike.when_sent(STOPS, lambda: strike.later(0.0, latest_return, heal))
        thaws = [vtorc.process.thaw for vtorc in scene.world.vtorcs]
        for vtorc in scene.world.vtorcs:
            vtorc.process.freeze()

        def thaw() -> None:
            while thaws:
                thaws.pop()()

        strike.on_end(thaw)
        net_timeout = scene.world.plan.mysql.replica_net_timeout
        strike.later(2.5 * net_timeout, 2.7 * net_timeout, thaw)

    strike.later(3.0, 4.0, hide)
    return strike.end


def restart_amid_failover(scene: FaultScene) -> End:
    """Let a primary that was cut off return once its replicas are stopped, and the vttablet of one of them start anew.

    It resumes replication, and the replica acknowledges. Meanwhile each vtorc waits seconds for the topology server.
    """
    strike = Strike(scene)
    replica = strike.acker()
    heal = strike.hide(strike.primary)
    vtorcs = {vtorc.host.name for vtorc in scene.world.vtorcs}
    topo = {scene.world.topos["global"].process.host.name}
    delay = strike.random.uniform(3.0, 4.8)

    def strike_now() -> None:
        lift = scene.impose(sources=vtorcs, targets=topo, delay=delay)
        strike.on_end(lift)
        strike.later(6.0, 8.0, lift)
        strike.later(0.02, 0.04, replica.process.crash)
        heal()

    strike.when_sent(STOPS, strike_now)
    return strike.end


def lose_promotion(scene: FaultScene) -> End:
    """Cut a primary off until its successor is promoted, then let it return and cut all vtorcs off from all tablets."""
    strike = Strike(scene)
    heal = strike.hide(strike.primary)
    vtorcs = [vtorc.host.name for vtorc in scene.world.vtorcs]
    tablets = [each.host.name for each in scene.shard.tablets]

    def return_() -> None:
        heal()
        strike.later(16.0, 30.0, strike.cut(vtorcs, tablets))

    strike.when_sent({"PromoteReplica"}, lambda: strike.later(0.0, 0.003, return_))
    return strike.end


def crash_at_repair(scene: FaultScene) -> End:
    """Stop the applier of the only replica that receives, and lose the primary as soon as vtorc repairs it."""
    strike = Strike(scene)
    acker = strike.acker()
    strike.starve(acker)

    async def stop_applier() -> None:
        await acker.mysqld.begin_statement()
        await acker.mysqld.replication.stop(Threads.SQL)

    scene.by_hand(acker, stop_applier())
    strike.when_sent(_STARTS, lambda: strike.later(0.0, 0.004, lambda: strike.kill_both(strike.primary)), to=acker)
    return strike.end


def successor_dies(scene: FaultScene) -> End:
    """Lose the primary and its successor as soon as it is promoted, while the others have not applied everything."""
    strike = Strike(scene)
    successor = strike.acker()
    releases = [strike.hold_appliers(each, slowness=600.0) for each in strike.replicas if each is not successor]
    strike.later(2.0, 4.0, strike.lose_primary)

    def lose() -> None:
        for release in releases:
            strike.later(0.2, 0.5, release)
        ways: tuple[Callable[[SimTablet], object], ...] = (strike.kill_both, strike.power_off, strike.hide)
        way = strike.random.choice(ways)
        strike.later(0.001, 0.01, lambda: way(successor))

    strike.when_sent({"PromoteReplica"}, lose, to=successor)
    strike.when_sent(STOPS, lambda: strike.later(12.0, 15.0, lambda: [release() for release in releases]))
    return strike.end


def late_vtorc(scene: FaultScene) -> End:
    """Lose the primary while calls of all vtorcs but one reach the topology server late."""
    strike = Strike(scene)
    topo = {scene.world.topos["global"].process.host.name}
    late = {vtorc.host.name for vtorc in scene.world.vtorcs[1:]}
    delay = strike.random.uniform(0.5, 3.0)
    strike.on_end(scene.impose(sources=late, targets=topo, delay=delay))
    strike.later(2.0, 3.0, lambda: strike.kill_both(strike.primary))
    return strike.end


def errant_then_crash(scene: FaultScene) -> End:
    """Write into two replicas, then lose the primary."""
    strike = Strike(scene)
    for replica in strike.random.sample(strike.replicas, 2):
        scene.by_hand(replica, replica.mysqld.inject(InsertRow(0)))
    strike.later(8.0, 10.0, strike.lose_primary)
    return strike.end


def command_planned(scene: FaultScene) -> End:
    """Let an operator tell vtorc to move the primary, while replicas apply slowly and answers are late."""
    strike = Strike(scene)
    strike.delay_answers()
    release = strike.hold_appliers()
    rule = policy(scene.shard.plan.durability)

    async def command(commands: Commands) -> None:
        try:
            record = await commands.planned_reparent(rule)
        except TopoError:
            return
        scene.world.trace.note("an operator", f"reads: {record.sentence}")

    def send() -> None:
        for vtorc in scene.world.vtorcs:
            commands = vtorc.commands(scene.shard.id)
            if commands is not None and vtorc.process.running:
                vtorc.process.life.spawn(command(commands), name="command")
                return

    strike.later(2.0, 4.0, send)
    strike.when_sent({"DemotePrimary"}, lambda: strike.later(1.0, 4.0, release))
    strike.later(6.0, 10.0, release)
    return strike.end


def stand_still_amid_failover(scene: FaultScene) -> End:
    """Lose the primary, and let every vtorc stand still soon after it has begun to stop the replicas.

    Most of these pauses are longer than the lease of the shard lock. They come between any two instructions: after the
    lock was checked and before the promotion is sent, too.
    """
    strike = Strike(scene)
    strike.later(2.0, 4.0, strike.lose_primary)

    def stop_all() -> None:
        for vtorc in scene.world.vtorcs:
            strike.on_end(pause(scene, vtorc, gaps=(10, 50), seconds=(5.0, 60.0)))

    strike.when_sent(STOPS, stop_all)
    return strike.end
