"""The tools of faults that strike at a moment of their choice: what they do to a shard, when, and how it is undone."""

import random
from collections.abc import Callable, Collection, Iterable

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.faults.fault import End, FaultScene, once

STOPS = frozenset({"StopReplicationAndGetStatus"})
"""The calls by which a vtorc stops the replicas of a lost primary."""

_HELD_APPLIER = 3000.0
"""The slowness of an applier that applies hardly anything."""

_LATE = 0.1
"""Seconds by which messages to vtorcs are late so that more happens between two steps of a recovery."""


class Strike:
    """One fault under way: its random choices, the tablets that take part, and everything to be undone at its end."""

    def __init__(self, scene: FaultScene) -> None:
        self.scene = scene
        self.world = scene.world
        self.random = random.Random(scene.fault.name)
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
        """Remember to call this at the end; call it at once if the fault is over."""
        self._ends.append(end)
        if self._over:
            self.end()

    def later(self, least: float, most: float, do: Callable[[], object]) -> None:
        """Do something after a random time between so many seconds, unless the fault is over by then."""
        self.at(self.random.uniform(least, most), do)

    def at(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something after so many seconds, unless the fault is over by then."""
        current_loop().call_later(seconds, self._unless_over, do)

    def _unless_over(self, do: Callable[[], object]) -> None:
        if not self._over:
            do()

    def when_sent(self, names: Collection[str], do: Callable[[], object], *, to: SimTablet | None = None) -> None:
        """Do something once, as soon as a vtorc sends one of these calls to one tablet, or to any of the shard."""
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
        """Choose a replica that acknowledges the primary's writes, half of the time a RDONLY one, which cannot win.

        It is any replica if none acknowledges.
        """
        ackers = [each for each in self.replicas if self.may_ack(each)]
        rdonly = [each for each in ackers if each.config.init_type is TabletType.RDONLY]
        return self.random.choice(rdonly if rdonly and self.random.random() < 0.5 else ackers or self.replicas)

    def may_ack(self, replica: SimTablet) -> bool:
        """Whether the primary's commits count the acknowledgements of a replica."""
        rule, primary = policy(self.scene.shard.plan.durability), Member(self.primary.config.alias, TabletType.PRIMARY)
        return rule.may_ack(primary, Member(replica.config.alias, replica.config.init_type))

    def cut(self, inside: Iterable[str], outside: Iterable[str]) -> End:
        """Let nothing pass between two groups of hosts; returns what heals it, which the end does at the latest."""
        heal = once(*self.scene.impose_both_ways(frozenset(inside), frozenset(outside), cut=True))
        self.on_end(heal)
        return heal

    def hide(self, *tablets: SimTablet, also: Collection[str] = ()) -> End:
        """Cut tablets, and other hosts, off from everything but each other."""
        hidden = {each.host.name for each in tablets} | set(also)
        return self.cut(hidden, self.world.network.hosts.keys() - hidden)

    def starve(self, *spared: SimTablet) -> None:
        """Let the primary's writes reach these replicas only."""
        others = {each.host.name for each in self.replicas if each not in spared}
        self.on_end(self.scene.impose(sources={self.primary.host.name}, targets=others, cut=True))

    def hold_appliers(self, *tablets: SimTablet, slowness: float = _HELD_APPLIER) -> End:
        """Let replicas (all, if none is named) apply hardly anything; returns what releases them.

        The end of the fault releases them at the latest.
        """
        appliers = [each.mysqld.replication.applier for each in tablets or self.scene.shard.tablets]
        for applier in appliers:
            applier.slowness, applier.delay = slowness, 0.001  # with a delay the applier takes no batches

        def release() -> None:
            for applier in appliers:
                applier.slowness, applier.delay = 1.0, 0.0

        self.on_end(release)
        return release

    def hold_appliers_until_stopped(self, least: float, most: float) -> None:
        """Hold all appliers until so many seconds after a vtorc began to stop the replicas."""
        release = self.hold_appliers()
        self.when_sent(STOPS, lambda: self.later(least, most, release))

    def delay_answers(self) -> None:
        """Delay all messages to vtorcs a little, so that more happens between two steps of a recovery."""
        vtorcs = {vtorc.host.name for vtorc in self.world.vtorcs}
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

    def lose_primary(self) -> None:
        """Cut the primary's power or kill its processes."""
        self.random.choice((self.power_off, self.kill_both))(self.primary)
