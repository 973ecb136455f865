"""What can go wrong in a simulated world, each kind once: how it begins and how it ends.

A fault is data (`Fault`), so that a run can be replayed with some of them left out. Its target is named by role and
found when it begins: the same fault makes sense in every run of a shrinking series.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import LinkFault
from vtorc.sim.engine.process import Host
from vtorc.sim.mysql.disk import DiskState

End = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong: `at` and `lasts` in seconds after the world is well.

    `shard` is the number of the shard, `target` the number of what it hits there: tablet 0 is whichever tablet is the
    primary by then, the others follow in the order of the plan. `alias` names a tablet instead.
    """

    kind: str
    at: float
    lasts: float
    shard: int = 0
    target: int = 0
    alias: str = ""

    def __str__(self) -> str:
        target = self.alias or f"target {self.target}"
        return f"{self.at:.3f} {self.kind} shard {self.shard} {target} for {self.lasts:.3f} s"

    @property
    def name(self) -> str:
        """A name that no other fault of the run has."""
        return str(self)


@dataclass(frozen=True, slots=True)
class FaultScene:
    """A fault on its stage: what its target is at the moment at which it begins."""

    world: World
    fault: Fault

    @property
    def shard(self) -> SimShard:
        """The shard that it is about."""
        shards = list(self.world.shards.values())
        return shards[self.fault.shard % len(shards)]

    @property
    def tablet(self) -> SimTablet:
        """The tablet that it is about."""
        named = self._named
        if named is not None:
            return named
        primary = self.shard.primary
        ordered = sorted(self.shard.tablets, key=lambda each: each is not primary)
        return ordered[self.fault.target % len(ordered)]

    @property
    def replica(self) -> SimTablet:
        """The tablet that it is about, if only replicas make sense."""
        primary, named = self.shard.primary, self._named
        if named is not None and named is not primary:
            return named
        others = [each for each in self.shard.tablets if each is not primary]
        return others[self.fault.target % len(others)]

    @property
    def _named(self) -> SimTablet | None:
        return next((each for each in self.shard.tablets if each.alias_text == self.fault.alias), None)

    @property
    def cell(self) -> str:
        """The cell that it is about."""
        return self.world.plan.cells[self.fault.target % len(self.world.plan.cells)]

    def impose(self, **how: Any) -> End:
        """Put something on the network's links until the end."""
        link_fault = LinkFault(name=self.fault.name, **how)
        self.world.network.impose(link_fault)
        return lambda: self.world.network.lift(link_fault)

    def by_hand(self, tablet: SimTablet, work: Coroutine[Any, Any, object]) -> End:
        """Let a person do something to a tablet's mysqld, with or without success."""
        self.world.meddle(tablet, work)
        return nothing


Begin = Callable[[FaultScene], End]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: one sentence for people, how it begins, and how long it may last (seconds)."""

    name: str
    sentence: str
    begin: Begin
    least: float
    most: float


def nothing() -> None:
    """End what ends by itself."""


def _names(hosts: list[Host]) -> frozenset[str]:
    return frozenset(host.name for host in hosts)


# --- processes and hosts


def _kill_mysqld(scene: FaultScene) -> End:
    mysqld = scene.tablet.mysqld
    mysqld.process.crash()
    return lambda: scene.world.start_mysqld(mysqld)


def _kill_vttablet(scene: FaultScene) -> End:
    scene.tablet.process.crash()
    return nothing


def _kill_both(scene: FaultScene) -> End:
    tablet = scene.tablet
    tablet.process.crash()
    tablet.mysqld.process.crash()
    return lambda: scene.world.start_mysqld(tablet.mysqld)


def _keep_vttablet_down(scene: FaultScene) -> End:
    tablet = scene.tablet
    tablet.wanted = False
    tablet.process.crash()
    return lambda: scene.world.start_tablet(tablet)


def _shut_down_vttablet(scene: FaultScene) -> End:
    tablet = scene.tablet
    scene.world.spawn(tablet.shut_down(), "shut down")
    return lambda: scene.world.start_tablet(tablet)


def _power_off(scene: FaultScene) -> End:
    host = scene.tablet.host
    scene.world.power_off(host)
    return lambda: scene.world.power_on(host)


def _freeze_mysqld(scene: FaultScene) -> End:
    process = scene.tablet.mysqld.process
    process.freeze()
    return process.thaw


def _freeze_vttablet(scene: FaultScene) -> End:
    process = scene.tablet.process
    process.freeze()
    return process.thaw


def _lose_cell(scene: FaultScene) -> End:
    hosts = scene.world.hosts_of(scene.cell)
    for host in hosts:
        scene.world.power_off(host)

    def end() -> None:
        for host in hosts:
            scene.world.power_on(host)

    return end


def _restart_all_replicas(scene: FaultScene) -> End:
    primary = scene.shard.primary
    replicas = [each for each in scene.shard.tablets if each is not primary]
    for tablet in replicas:
        tablet.mysqld.process.crash()

    def end() -> None:
        for tablet in replicas:
            scene.world.start_mysqld(tablet.mysqld)

    return end


def _kill_vtorc(scene: FaultScene) -> End:
    vtorcs = scene.world.vtorcs
    vtorcs[scene.fault.target % len(vtorcs)].process.crash()
    return nothing


def _kill_all_vtorcs(scene: FaultScene) -> End:
    for vtorc in scene.world.vtorcs:
        vtorc.process.crash()
    return nothing


def _freeze_vtorc(scene: FaultScene) -> End:
    vtorcs = scene.world.vtorcs
    process = vtorcs[scene.fault.target % len(vtorcs)].process
    process.freeze()
    return process.thaw


def _clock_jump(scene: FaultScene) -> End:
    hosts = [scene.tablet.host, *(vtorc.host for vtorc in scene.world.vtorcs)]
    host = hosts[scene.fault.target % len(hosts)]
    host.wall_offset += 3600 * 10**9 * (1 if scene.fault.target % 2 else -1)
    return nothing


# --- network


def _isolate(scene: FaultScene) -> End:
    names = frozenset({scene.tablet.host.name})
    one, other = scene.impose(sources=names, cut=True), scene.impose(targets=names, cut=True)
    return lambda: (one(), other())[0]


def _cut_outgoing(scene: FaultScene) -> End:
    return scene.impose(sources=frozenset({scene.tablet.host.name}), cut=True)


def _cut_incoming(scene: FaultScene) -> End:
    return scene.impose(targets=frozenset({scene.tablet.host.name}), cut=True)


def _cut_from_replicas(scene: FaultScene) -> End:
    tablet = scene.tablet
    others = _names([each.host for each in scene.shard.tablets if each is not tablet])
    one = scene.impose(sources=frozenset({tablet.host.name}), targets=others, cut=True)
    other = scene.impose(sources=others, targets=frozenset({tablet.host.name}), cut=True)
    return lambda: (one(), other())[0]


def _cut_acks(scene: FaultScene) -> End:
    primary = scene.shard.tablets[0] if scene.shard.primary is None else scene.shard.primary
    others = _names([each.host for each in scene.shard.tablets if each is not primary])
    return scene.impose(sources=others, targets=frozenset({primary.host.name}), cut=True)


def _cut_vtorc_from_primary(scene: FaultScene) -> End:
    vtorcs = _names([vtorc.host for vtorc in scene.world.vtorcs])
    name = frozenset({scene.tablet.host.name})
    one, other = (
        scene.impose(sources=vtorcs, targets=name, cut=True),
        scene.impose(sources=name, targets=vtorcs, cut=True),
    )
    return lambda: (one(), other())[0]


def _isolate_vtorc(scene: FaultScene) -> End:
    vtorcs = scene.world.vtorcs
    names = frozenset({vtorcs[scene.fault.target % len(vtorcs)].host.name})
    one, other = scene.impose(sources=names, cut=True), scene.impose(targets=names, cut=True)
    return lambda: (one(), other())[0]


def _cut_cell(scene: FaultScene) -> End:
    inside = _names(scene.world.hosts_of(scene.cell))
    outside = frozenset(scene.world.network.hosts) - inside
    one = scene.impose(sources=inside, targets=outside, cut=True)
    other = scene.impose(sources=outside, targets=inside, cut=True)
    return lambda: (one(), other())[0]


def _lose_messages(scene: FaultScene) -> End:
    names = frozenset({scene.tablet.host.name})
    one, other = scene.impose(sources=names, loss=0.3), scene.impose(targets=names, loss=0.3)
    return lambda: (one(), other())[0]


def _lose_messages_everywhere(scene: FaultScene) -> End:
    return scene.impose(loss=0.05)


def _delay_messages(scene: FaultScene) -> End:
    names = frozenset({scene.tablet.host.name})
    one, other = scene.impose(sources=names, delay=0.4), scene.impose(targets=names, delay=0.4)
    return lambda: (one(), other())[0]


# --- mysqld


def _disk(state: DiskState) -> Begin:
    def begin(scene: FaultScene) -> End:
        disk = scene.tablet.mysqld.disk
        disk.become(state)
        return lambda: disk.become(DiskState.FINE)

    return begin


def _refuse_connections(scene: FaultScene) -> End:
    mysqld = scene.tablet.mysqld
    mysqld.refuses_connections = True
    return lambda: setattr(mysqld, "refuses_connections", False)


def _slow_mysqld(scene: FaultScene) -> End:
    mysqld = scene.tablet.mysqld
    mysqld.slowness = 300.0
    return lambda: setattr(mysqld, "slowness", 1.0)


def _slow_applier(scene: FaultScene) -> End:
    applier = scene.replica.mysqld.replication.applier
    applier.slowness = 3000.0
    return lambda: setattr(applier, "slowness", 1.0)


def _break_applier(scene: FaultScene) -> End:
    applier = scene.replica.mysqld.replication.applier
    applier.broken = True
    return lambda: setattr(applier, "broken", False)


def _purge_binlogs(scene: FaultScene) -> End:
    scene.tablet.mysqld.binlog.purge(keep=20)
    return nothing


KINDS: tuple[FaultKind, ...] = (
    FaultKind("kill-mysqld", "A mysqld is killed and restarted.", _kill_mysqld, 1, 40),
    FaultKind("kill-vttablet", "A vttablet is killed; its supervisor restarts it.", _kill_vttablet, 1, 1),
    FaultKind("keep-vttablet-down", "A vttablet is killed and stays down for long.", _keep_vttablet_down, 10, 60),
    FaultKind("shut-down-vttablet", "A vttablet is shut down on purpose.", _shut_down_vttablet, 5, 40),
    FaultKind("kill-both", "vttablet and mysqld of one host are killed.", _kill_both, 1, 40),
    FaultKind("power-off", "A host loses power, without a word to its peers.", _power_off, 5, 90),
    FaultKind("lose-cell", "All hosts of a cell lose power.", _lose_cell, 5, 60),
    FaultKind("freeze-mysqld", "A mysqld is stopped by a signal.", _freeze_mysqld, 1, 60),
    FaultKind("freeze-vttablet", "A vttablet is stopped by a signal.", _freeze_vttablet, 1, 60),
    FaultKind("restart-all-replicas", "All replicas' mysqlds die at once.", _restart_all_replicas, 0.5, 10),
    FaultKind("kill-vtorc", "A vtorc is killed.", _kill_vtorc, 1, 1),
    FaultKind("kill-all-vtorcs", "All vtorcs are killed.", _kill_all_vtorcs, 1, 1),
    FaultKind("freeze-vtorc", "A vtorc stands still and goes on later.", _freeze_vtorc, 1, 60),
    FaultKind("clock-jump", "A wall clock jumps by an hour.", _clock_jump, 1, 1),
    FaultKind("isolate", "A host is cut off both ways.", _isolate, 1, 90),
    FaultKind("cut-outgoing", "Nothing gets out of a host.", _cut_outgoing, 1, 90),
    FaultKind("cut-incoming", "Nothing gets into a host.", _cut_incoming, 1, 90),
    FaultKind("cut-from-replicas", "A tablet is cut off from its shard, not from others.", _cut_from_replicas, 1, 60),
    FaultKind("cut-acks", "The primary hears nothing from its replicas.", _cut_acks, 1, 60),
    FaultKind(
        "cut-vtorc-from-tablet", "No vtorc reaches a tablet, everybody else does.", _cut_vtorc_from_primary, 1, 60
    ),
    FaultKind("isolate-vtorc", "A vtorc is cut off from everything.", _isolate_vtorc, 1, 60),
    FaultKind("cut-cell", "A cell is cut off from all others.", _cut_cell, 1, 60),
    FaultKind("lose-messages", "A host loses a third of its messages.", _lose_messages, 5, 60),
    FaultKind("lose-some-messages", "Every link loses a few messages.", _lose_messages_everywhere, 5, 60),
    FaultKind("delay-messages", "A host's messages are late by half a second.", _delay_messages, 5, 60),
    FaultKind("stall-disk", "The disk below a mysqld hangs.", _disk(DiskState.STALLED), 1, 90),
    FaultKind("fill-disk", "The disk is full, writers wait for space.", _disk(DiskState.FULL_WAITING), 1, 90),
    FaultKind("fill-disk-failing", "The disk is full, writes fail.", _disk(DiskState.FULL_FAILING), 1, 60),
    FaultKind("refuse-connections", "A mysqld takes no new connections.", _refuse_connections, 1, 60),
    FaultKind("slow-mysqld", "A mysqld is 300 times slower.", _slow_mysqld, 1, 60),
    FaultKind("slow-applier", "A replica applies very slowly.", _slow_applier, 5, 90),
    FaultKind("break-applier", "A replica's applier fails.", _break_applier, 5, 90),
    FaultKind("purge-binlogs", "All but the newest transactions are purged.", _purge_binlogs, 1, 1),
)
