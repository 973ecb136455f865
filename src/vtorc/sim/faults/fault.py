"""The vocabulary of faults: one `Fault` of a run, the `FaultScene` that it finds, and the columns of a `FaultKind`.

A fault is data, so that a run can be replayed with some of its faults left out. Its target is a role, which is resolved
when the fault begins: the same fault makes sense in every run of a shrinking series.
"""

import enum
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import LinkFault

End = Callable[[], None]
"""Ends a fault, or a part of one."""

SILENT_BOUND = 30.0
"""Seconds without an acknowledged write in which a primary on a silent host must be replaced: replicas notice the loss
late."""

LOUD_BOUND = 3.0
"""The same for a primary that ends on a running host, which resets its connections. Asked in a hurry, all tablets show
that within a second."""

ORDERLY_BOUND = 6.0
"""The same for a primary that is shut down in order, and keeps the connections of its replicas until the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong: `at` and `lasts` in seconds after the world is well.

    `shard` is the number of the shard, `target` the number of what it hits there. Tablet 0 is whichever tablet is the
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
    """A fault and its world: resolves the fault's target to what it is at the moment at which the fault begins."""

    world: World
    fault: Fault

    @property
    def shard(self) -> SimShard:
        """The shard that the fault hits."""
        shards = list(self.world.shards.values())
        return shards[self.fault.shard % len(shards)]

    @property
    def tablet(self) -> SimTablet:
        """The tablet that the fault hits."""
        named = self._named
        if named is not None:
            return named
        primary = self.shard.primary
        ordered = sorted(self.shard.tablets, key=lambda each: each is not primary)
        return ordered[self.fault.target % len(ordered)]

    @property
    def replica(self) -> SimTablet:
        """The tablet that the fault hits if it makes sense for replicas only."""
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
        """The cell that the fault hits."""
        return self.world.plan.cells[self.fault.target % len(self.world.plan.cells)]

    def impose(
        self,
        *,
        sources: Collection[str] | None = None,
        targets: Collection[str] | None = None,
        cut: bool = False,
        loss: float = 0.0,
        delay: float = 0.0,
    ) -> End:
        """Disturb the links from each host of `sources` to each of `targets`, None meaning all hosts."""
        link_fault = LinkFault(
            name=self.fault.name,
            sources=None if sources is None else frozenset(sources),
            targets=None if targets is None else frozenset(targets),
            cut=cut,
            loss=loss,
            delay=delay,
        )
        self.world.network.impose(link_fault)
        return lambda: self.world.network.lift(link_fault)

    def impose_both_ways(
        self,
        inside: Collection[str],
        outside: Collection[str] | None = None,
        *,
        cut: bool = False,
        loss: float = 0.0,
        delay: float = 0.0,
    ) -> tuple[End, End]:
        """Disturb the links from `inside` to `outside`, then those back; None means all hosts."""
        return (
            self.impose(sources=inside, targets=outside, cut=cut, loss=loss, delay=delay),
            self.impose(sources=outside, targets=inside, cut=cut, loss=loss, delay=delay),
        )

    def by_hand(self, tablet: SimTablet, work: Coroutine[Any, Any, object]) -> End:
        """Let an operator change a tablet's mysqld, with or without success."""
        self.world.change_by_hand(tablet, work)
        return nothing


Begin = Callable[[FaultScene], End]
"""Lets a fault begin and returns what ends it."""


def nothing() -> None:
    """End a fault that has ended by itself."""


def in_turn(*ends: End) -> End:
    """Return one end that calls several, in this order."""

    def end() -> None:
        for each in ends:
            each()

    return end


def once(*ends: End) -> End:
    """Return one end that calls several, the last one first, when it is first called."""
    left = list(ends)

    def end() -> None:
        while left:
            left.pop()()

    return end


class Drawn(enum.Enum):
    """Which profiles draw a kind of fault by themselves; any kind can be asked for by its name."""

    AT_RANDOM = "by the profiles that mix all kinds"
    AT_PRIMARY = "by the profiles that mix all kinds, and more often than others, aimed at the primary, which it takes"
    IN_FAILOVERS = "by the profile `failover`"
    BY_NAME = "by profiles, scenarios and command lines that name it"

    @property
    def mixed(self) -> bool:
        """Whether the profiles that mix all kinds draw it."""
        return self in (Drawn.AT_RANDOM, Drawn.AT_PRIMARY)


class FaultTarget(enum.Enum):
    """The meaning of `Fault.target` for a kind of fault."""

    TABLET = "the tablets of the shard, the primary first"
    REPLICA = "the replicas of the shard"
    CELL = "the cells"
    VTORC = "the vtorcs"
    HOST = "the host of the tablet, then those of the vtorcs"
    TOPOLOGY = "all topology servers, the global one, then those of the cells"
    NO_CHOICE = "nothing: the fault has no choice of targets"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCost:
    """The most that a kind of fault may cost, by which a run with this fault is judged."""

    most_reparents: int | None
    """The number of reparents that a single such fault excuses; None: any number."""

    replaced_within: float | None
    """Seconds in which the primary, if such a fault hits it alone, must be replaced where a candidate is left; None: no
    bound."""

    fleet_judged: bool
    """Whether it is certain, after a single such fault, which shards of a fleet can fail over."""

    errant_replicas: int = 0
    """The number of replicas that it leaves with errant transactions, so that they are no candidates."""

    prepared_within: float = 0.0
    """Seconds that it needs at most until it takes the primary."""

    @property
    def harmless(self) -> bool:
        """Whether the primary stays writable and its replicas receive: there is no reason to replace it."""
        return self.most_reparents == 0


NO_PRIMARY = FaultCost(most_reparents=0, replaced_within=None, fleet_judged=False)
ONE_PRIMARY = FaultCost(most_reparents=1, replaced_within=None, fleet_judged=False)
PRIMARY_LOUD = FaultCost(most_reparents=1, replaced_within=LOUD_BOUND, fleet_judged=True)
PRIMARY_ORDERLY = FaultCost(most_reparents=1, replaced_within=ORDERLY_BOUND, fleet_judged=True)
PRIMARY_SILENT = FaultCost(most_reparents=1, replaced_within=SILENT_BOUND, fleet_judged=True)
PRIMARY_AFTER_ERRANT = FaultCost(
    most_reparents=1, replaced_within=SILENT_BOUND, fleet_judged=False, errant_replicas=2, prepared_within=10.0
)
MANY_PRIMARIES = FaultCost(most_reparents=None, replaced_within=None, fleet_judged=True)
UNBOUNDED = FaultCost(most_reparents=None, replaced_within=None, fleet_judged=False)


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault, one row of the catalogue; no column has a default, so that the type checker finds a forgotten
    one.
    """

    name: str
    sentence: str
    """Describes the fault in `vtorc sim --kinds` and in traces."""
    begin: Begin
    least: float
    """Seconds that a drawn one lasts at least."""
    most: float
    """Seconds that a drawn one lasts at most."""
    target: FaultTarget
    drawn: Drawn
    cost: FaultCost
