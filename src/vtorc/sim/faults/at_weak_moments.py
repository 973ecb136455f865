"""Faults that strike where a failover is weakest: several things at once, or at a known step of a recovery.

A fault at a random moment hardly ever meets the few milliseconds that a careless step leaves open. These wait for what
a vtorc sends and strike then; or they first make one replica the only holder of what was acknowledged, or the relay
logs long, and strike after that. What they draw depends on nothing but the fault, so that a run stays replayable.
"""

import random
from collections.abc import Callable, Collection, Iterable

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.errors import TopoError
from vtorc.recovery.commands import Commands
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.topo import ROOT, at_once
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.faults.kinds import End, FaultKind, FaultScene, nothing
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.topo import paths
from vtorc.vttablet.mysql_api import Threads

_STOPS = frozenset({"StopReplicationAndGetStatus"})
_SLOWLY = 3000.0
_LATE = 0.1
_STARTS = frozenset({"StartReplication", "SetReplicationSource"})


class _Ambush:
    """One fault under way: its luck, who takes part, and all that is to be undone at its end."""

    def __init__(self, scene: FaultScene) -> None:
        self.scene = scene
        self.world = scene.world
        self.luck = random.Random(scene.fault.name)
        self.primary = scene.shard.primary or scene.shard.tablets[0]
        self.replicas = [each for each in scene.shard.tablets if each is not self.primary]
        self._over = False
        self._ends: list[End] = []

    def end(self) -> None:
        """Undo everything, the latest first."""
        self._over = True
        while self._ends:
            self._ends.pop()()

    def on_end(self, end: End) -> None:
        """Remember what is to be undone; at once if the fault is over."""
        self._ends.append(end)
        if self._over:
            self.end()

    def later(self, least: float, most: float, do: Callable[[], None]) -> None:
        """Do something after so many seconds, unless the fault is over by then."""
        current_loop().call_later(self.luck.uniform(least, most), self._unless_over, do)

    def _unless_over(self, do: Callable[[], None]) -> None:
        if not self._over:
            do()

    def when_sent(self, names: Collection[str], do: Callable[[], None], *, to: SimTablet | None = None) -> None:
        """Do something as soon as a vtorc sends one of these calls, to one tablet or to any of the shard; once."""
        listeners = self.world.checker.listeners

        def listen(caller: str, tablet: str, shard: ShardId, name: str) -> None:
            if shard != self.scene.shard.id or name not in names or (to is not None and tablet != to.alias_text):
                return
            forget()
            do()

        def forget() -> None:
            if listen in listeners:
                listeners.remove(listen)

        listeners.append(listen)
        self.on_end(forget)

    def acker(self) -> SimTablet:
        """A replica that acknowledges what the primary writes, or any if none does; rather one that may not win."""
        rule = policy(self.scene.shard.plan.durability)
        primary = Member(self.primary.config.alias, TabletType.PRIMARY)
        fit = [each for each in self.replicas if rule.may_ack(primary, _member(each))]
        unfit = [each for each in fit if each.config.init_type is TabletType.RDONLY]
        return self.luck.choice(unfit if unfit and self.luck.random() < 0.5 else fit or self.replicas)

    def cut(self, one: Iterable[str], other: Iterable[str]) -> End:
        """Let nothing pass between two groups of hosts; returns what ends it, at the end of the fault at the latest."""
        inside, outside = frozenset(one), frozenset(other)
        ends = [
            self.scene.impose(sources=inside, targets=outside, cut=True),
            self.scene.impose(sources=outside, targets=inside, cut=True),
        ]

        def heal() -> None:
            while ends:
                ends.pop()()

        self.on_end(heal)
        return heal

    def hide(self, *tablets: SimTablet, also: Collection[str] = ()) -> End:
        """Cut tablets, and other hosts, off from everything but each other."""
        hidden = {each.host.name for each in tablets} | set(also)
        return self.cut(hidden, self.world.network.hosts.keys() - hidden)

    def starve(self, *spared: SimTablet) -> None:
        """Let what the primary writes reach these replicas only."""
        others = [each.host.name for each in self.replicas if each not in spared]
        self.on_end(self.scene.impose(sources=frozenset({self.primary.host.name}), targets=frozenset(others), cut=True))

    def hold_appliers(self, *tablets: SimTablet, slowness: float = _SLOWLY) -> End:
        """Let replicas (all, if none is named) apply hardly anything; returns what ends it, at the end of the fault at
        the latest.
        """
        appliers = [each.mysqld.replication.applier for each in tablets or self.scene.shard.tablets]
        for applier in appliers:
            applier.slowness, applier.delay = slowness, 0.001  # with a delay it takes no batches

        def release() -> None:
            for applier in appliers:
                applier.slowness, applier.delay = 1.0, 0.0

        self.on_end(release)
        return release

    def hold_appliers_until_stopped(self, least: float, most: float) -> None:
        """Let all replicas apply hardly anything until so many seconds after a vtorc began to stop them."""
        release = self.hold_appliers()
        self.when_sent(_STOPS, lambda: self.later(least, most, release))

    def delay_answers(self) -> None:
        """Let all that vtorcs are sent be a little late, so that more happens between two steps of a recovery."""
        vtorcs = frozenset(vtorc.host.name for vtorc in self.world.vtorcs)
        self.on_end(self.scene.impose(targets=vtorcs, delay=_LATE))

    def power_off(self, tablet: SimTablet) -> None:
        """Cut a tablet's power until the end of the fault."""
        self.world.power_off(tablet.host)
        self.on_end(lambda: self.world.power_on(tablet.host))

    def kill_both(self, tablet: SimTablet) -> None:
        """Kill vttablet and mysqld of one host; mysqld stays down until the end of the fault."""
        tablet.process.crash()
        tablet.mysqld.process.crash()
        self.on_end(lambda: self.world.start_mysqld(tablet.mysqld))

    def lose(self, tablet: SimTablet) -> None:
        """End a primary one way or the other."""
        self.luck.choice((self.power_off, self.kill_both))(tablet)

    def corrupt(self, tablet: SimTablet) -> None:
        """Make a tablet's record unreadable until the end of the fault, unless somebody writes it anew."""
        alias = tablet.config.alias
        store = self.world.topos[alias.cell].store
        key = f"{ROOT}/{alias.cell}/{paths.tablet(alias)}"
        before = at_once(store.get(key)).contents
        at_once(store.put(key, _GARBAGE, None))

        def mend() -> None:
            row = at_once(store.get(key))
            if row.contents == _GARBAGE:
                at_once(store.put(key, before, None))

        self.on_end(mend)


_GARBAGE = b"\xff\xff\xff"


def _member(tablet: SimTablet) -> Member:
    return Member(tablet.config.alias, tablet.config.init_type)


def _hide_acker(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    ambush.hide(ambush.primary, ambush.acker())
    return ambush.end


def _hide_acker_corrupt(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    acker = ambush.acker()
    ambush.corrupt(acker)
    # Long enough for every vtorc to have read the topology once since.
    ambush.later(16.0, 20.0, lambda: void(ambush.hide(ambush.primary, acker)))
    return ambush.end


def _hide_cell(scene: FaultScene) -> End:
    """Hide the primary together with all of another cell, its topology server too."""
    ambush = _Ambush(scene)
    cells = [cell for cell in scene.world.plan.cells if cell != ambush.primary.host.cell]
    if not cells:
        return nothing
    cell = ambush.luck.choice(cells)
    ambush.hide(ambush.primary, also=[host.name for host in scene.world.hosts_of(cell)])
    return ambush.end


def _lone_copy(scene: FaultScene) -> End:
    """One acker alone receives what is written; then the primary is lost."""
    ambush = _Ambush(scene)
    ambush.starve(ambush.acker())
    ambush.later(2.0, 4.0, lambda: ambush.lose(ambush.primary))
    return ambush.end


def _lone_copy_hidden(scene: FaultScene) -> End:
    """One acker alone receives what is written; then the primary is lost, and the acker cut off."""
    ambush = _Ambush(scene)
    acker = ambush.acker()
    ambush.starve(acker)

    def strike() -> None:
        ambush.lose(ambush.primary)
        ambush.hide(acker)

    ambush.later(2.0, 4.0, strike)
    return ambush.end


def _last_acker_leaves(scene: FaultScene) -> End:
    """One acker alone is up while things are written, and is taken out of service; then the primary is lost, and the
    others are back.
    """
    ambush = _Ambush(scene)
    acker = ambush.acker()
    others = [each for each in ambush.replicas if each is not acker]
    for each in others:
        each.mysqld.process.crash()
    leave = OutOfService(ambush.world, acker, ambush.luck.choice(OUT_OF_SERVICE), stops=ambush.luck.random() < 0.5)

    def restart() -> None:
        for each in others:
            ambush.world.start_mysqld(each.mysqld)

    def take() -> None:
        leave.begin()
        ambush.on_end(leave.end)
        ambush.later(0.1, 10.0, strike)

    def strike() -> None:
        ambush.lose(ambush.primary)
        restart()

    ambush.on_end(restart)
    ambush.later(2.0, 8.0, take)
    return ambush.end


def _crash_while_applying(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    ambush.hold_appliers_until_stopped(1.0, 8.0)
    ambush.later(2.0, 5.0, lambda: ambush.lose(ambush.primary))
    return ambush.end


def _lose_lock_while_applying(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    ambush.hold_appliers_until_stopped(4.0, 8.0)
    ambush.later(3.0, 5.0, lambda: ambush.lose(ambush.primary))
    ambush.when_sent(_STOPS, lambda: ambush.later(0.0, 0.5, scene.world.topos["global"].end_leases))
    return ambush.end


def _return_amid_failover(scene: FaultScene) -> End:
    """A primary that was cut off comes back, writable, as soon as its replicas were stopped.

    Every vtorc stands still before, until the replicas have tried in vain to connect again: a vttablet does not stop an
    IO thread that has failed to connect. The failover is then long, because relay logs are, or so short, if messages
    are a little late, that it is not looked whether everybody still stands.
    """
    ambush = _Ambush(scene)
    if ambush.luck.random() < 0.25:
        ambush.hold_appliers_until_stopped(2.0, 6.0)
        latest_return = 0.5
    else:
        ambush.when_sent(_STOPS, ambush.delay_answers)
        latest_return = 0.01

    def strike() -> None:
        heal = ambush.hide(ambush.primary)
        ambush.when_sent(_STOPS, lambda: ambush.later(0.0, latest_return, heal))
        thaws = [vtorc.process.thaw for vtorc in scene.world.vtorcs]
        for vtorc in scene.world.vtorcs:
            vtorc.process.freeze()

        def thaw() -> None:
            while thaws:
                thaws.pop()()

        ambush.on_end(thaw)
        patience = scene.world.plan.mysql.replica_net_timeout
        ambush.later(2.5 * patience, 2.7 * patience, thaw)

    ambush.later(3.0, 4.0, strike)
    return ambush.end


def _lose_promotion(scene: FaultScene) -> End:
    """A primary is cut off; once its heir is promoted, it is back, but no vtorc reaches any tablet for long."""
    ambush = _Ambush(scene)
    heal = ambush.hide(ambush.primary)
    vtorcs = [vtorc.host.name for vtorc in scene.world.vtorcs]
    tablets = [each.host.name for each in scene.shard.tablets]

    def strike() -> None:
        heal()
        ends = ambush.cut(vtorcs, tablets)
        ambush.later(16.0, 30.0, ends)

    ambush.when_sent({"PromoteReplica"}, lambda: ambush.later(0.0, 0.003, strike))
    return ambush.end


def _crash_at_repair(scene: FaultScene) -> End:
    """A replica is the only one that receives, and its applier is stopped; as soon as vtorc repairs it, the primary
    is lost.
    """
    ambush = _Ambush(scene)
    acker = ambush.acker()
    ambush.starve(acker)

    async def stop_applier() -> None:
        await acker.mysqld.enter()
        await acker.mysqld.replication.stop(Threads.SQL)

    scene.by_hand(acker, stop_applier())
    ambush.when_sent(_STARTS, lambda: ambush.later(0.0, 0.004, lambda: ambush.kill_both(ambush.primary)), to=acker)
    return ambush.end


def _heir_dies(scene: FaultScene) -> End:
    """The primary is lost, and whoever is promoted dies at once, while the others have not applied everything yet."""
    ambush = _Ambush(scene)
    heir = ambush.acker()
    releases = [ambush.hold_appliers(each, slowness=600.0) for each in ambush.replicas if each is not heir]
    ambush.later(2.0, 4.0, lambda: ambush.lose(ambush.primary))

    def strike() -> None:
        for release in releases:
            ambush.later(0.2, 0.5, release)
        how = ambush.luck.choice((ambush.kill_both, ambush.power_off, lambda tablet: void(ambush.hide(tablet))))
        ambush.later(0.001, 0.01, lambda: how(heir))

    ambush.when_sent({"PromoteReplica"}, strike, to=heir)
    ambush.when_sent(_STOPS, lambda: ambush.later(12.0, 15.0, lambda: void([release() for release in releases])))
    return ambush.end


def _late_vtorc(scene: FaultScene) -> End:
    """The primary is lost, and all but one vtorc hear from the topology server late, and so does it from them."""
    ambush = _Ambush(scene)
    topo = frozenset({scene.world.topos["global"].process.host.name})
    late = frozenset(vtorc.host.name for vtorc in scene.world.vtorcs[1:])
    delay = ambush.luck.uniform(0.5, 3.0)
    ambush.on_end(scene.impose(sources=late, targets=topo, delay=delay))
    ambush.later(2.0, 3.0, lambda: ambush.kill_both(ambush.primary))
    return ambush.end


def _errant_then_crash(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    for replica in ambush.luck.sample(ambush.replicas, 2):
        scene.by_hand(replica, replica.mysqld.inject(InsertRow(0)))
    ambush.later(8.0, 10.0, lambda: ambush.lose(ambush.primary))
    return ambush.end


def _corrupt_record(scene: FaultScene) -> End:
    ambush = _Ambush(scene)
    ambush.corrupt(scene.tablet)
    return ambush.end


def _command_planned(scene: FaultScene) -> End:
    """An operator tells vtorc to move the primary, while the replicas apply slowly and answers are late."""
    ambush = _Ambush(scene)
    ambush.delay_answers()
    release = ambush.hold_appliers()
    rule = policy(scene.shard.plan.durability)

    async def command(commands: Commands) -> None:
        try:
            record = await commands.planned_reparent(rule)
        except TopoError:
            return
        scene.world.trace.note("an operator", f"reads: {record.sentence}")

    def strike() -> None:
        for vtorc in scene.world.vtorcs:
            loop = vtorc.fleet.loops.get(scene.shard.id) if vtorc.fleet is not None else None
            if loop is not None and vtorc.tools is not None and vtorc.process.running:
                vtorc.process.life.spawn(command(Commands(vtorc.tools, loop.watch)), name="command")
                return

    ambush.later(2.0, 4.0, strike)
    ambush.when_sent({"DemotePrimary"}, lambda: ambush.later(1.0, 4.0, release))
    ambush.later(6.0, 10.0, release)
    return ambush.end


def _kill_all_primaries(scene: FaultScene) -> End:
    primaries = [primary for shard in scene.world.shards.values() if (primary := shard.primary) is not None]
    for primary in primaries:
        primary.mysqld.process.crash()

    def end() -> None:
        for primary in primaries:
            scene.world.start_mysqld(primary.mysqld)

    return end


def void(_: object) -> None:
    """Forget a result."""


AMBUSHES: tuple[FaultKind, ...] = (
    FaultKind("hide-acker", "The primary and one acker are cut off from all others.", _hide_acker, 30, 60),
    FaultKind("hide-acker-unreadable", "The same, with that acker's record unreadable.", _hide_acker_corrupt, 50, 80),
    FaultKind("hide-cell", "The primary and all of another cell are cut off from all others.", _hide_cell, 30, 60),
    FaultKind("lone-copy", "The primary is lost while one acker alone received its last writes.", _lone_copy, 30, 60),
    FaultKind("lone-copy-hidden", "The same, and that acker is cut off.", _lone_copy_hidden, 30, 60),
    FaultKind(
        "last-acker-leaves", "The primary is lost after its last acker left service.", _last_acker_leaves, 30, 60
    ),
    FaultKind("crash-while-applying", "The primary is lost, the relay logs are long.", _crash_while_applying, 30, 60),
    FaultKind("lose-lock-while-applying", "The same, and locks end amid recovery.", _lose_lock_while_applying, 30, 60),
    FaultKind(
        "return-amid-failover", "A primary that was cut off is back amid failover.", _return_amid_failover, 50, 70
    ),
    FaultKind("lose-promotion", "The old primary is back when the new one is promoted.", _lose_promotion, 40, 80),
    FaultKind("crash-at-repair", "The primary is lost as a replica's repair begins.", _crash_at_repair, 20, 40),
    FaultKind("heir-dies", "The primary is lost, and so is its heir as it is promoted.", _heir_dies, 40, 60),
    FaultKind("late-vtorc", "The primary is lost, and some vtorcs reach the topology late.", _late_vtorc, 30, 60),
    FaultKind("errant-then-crash", "The primary is lost after writes into two replicas.", _errant_then_crash, 60, 80),
    FaultKind("corrupt-record", "A tablet's record cannot be read.", _corrupt_record, 10, 60),
    FaultKind("command-planned", "An operator tells vtorc to move the primary.", _command_planned, 20, 40),
    FaultKind("kill-all-primaries", "The mysqlds of all shards' primaries are killed.", _kill_all_primaries, 30, 60),
)
