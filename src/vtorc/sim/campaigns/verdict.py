"""Rules about whole runs and about the changes that vtorcs send; `Checker` has those about the data."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId, TabletType
from vtorc.sim.cluster.plan import ShardPlan
from vtorc.sim.cluster.world import World
from vtorc.sim.faults.catalogue import kind_of
from vtorc.sim.faults.fault import Fault

STORM_CALLS = 40
STORM_WINDOW = 60.0
"""So many equal calls to one tablet within so many seconds are too many, even if they were escalated."""

_MAKES_PRIMARY = frozenset({"PromoteReplica", "InitPrimary"})


class ChangeRules:
    """Checks each change that a vtorc sends to a tablet; while `quiet`, no change is needed."""

    def __init__(self, world: World) -> None:
        self.quiet = False
        self._world = world
        self._types = {each.alias_text: each.config.init_type for each in world.tablets.values()}
        self._times: dict[tuple[str, str], deque[float]] = {}
        world.checker.listeners.append(self.sent)

    def sent(self, caller: str, tablet: str, shard: ShardId, name: str) -> None:
        """Check one change."""
        violate = self._world.checker.violate
        if self.quiet:
            violate("needless-change", f"{caller} sent {name} to {tablet} of {shard} although nothing was wrong")
        if name in _MAKES_PRIMARY and self._types[tablet] is not TabletType.REPLICA:
            violate(
                "unfit-primary", f"{caller} made {tablet} of {shard} primary, which is a {self._types[tablet].name}"
            )
        times = self._times.setdefault((tablet, name), deque())
        times.append(self._world.now)
        while times[0] < self._world.now - STORM_WINDOW:
            times.popleft()
        if len(times) >= STORM_CALLS:
            violate("repair-storm", f"{name} was sent to {tablet} {len(times)} times in {STORM_WINDOW:g} s")
            times.clear()


def needless_reparents(faults: Sequence[Fault], failovers: int) -> str:
    """Return why there should have been no reparent, or no second one; empty if there was a reason for each."""
    if failovers > 1 and len(faults) == 1 and kind_of(faults[0]).cost.most_reparents == 1:
        return f"{failovers} reparents although only one primary was lost, by {faults[0].kind}"
    if not failovers or not all(kind_of(fault).cost.harmless for fault in faults):
        return ""
    kinds = ", ".join(dict.fromkeys(fault.kind for fault in faults)) or "none"
    return f"{failovers} reparents although there was no fault but {kinds}"


def late_replacements(world: World, faults: Sequence[Fault]) -> Iterator[str]:
    """Yield the shard that lost nothing but its primary and did not get another in time, if there is one."""
    if len(faults) != 1 or faults[0].target != 0:
        return
    (fault,) = faults
    cost = kind_of(fault).cost
    bound = cost.replaced_within
    if bound is None or fault.lasts < cost.prepared_within + bound:
        return
    shard = list(world.shards.values())[fault.shard % len(world.shards)]
    gap = shard.ledger.longest_gap
    if gap > bound and _can_spare(shard.plan, errant=cost.errant_replicas):
        yield f"{shard.id}: no write was acknowledged for {gap:.1f} s, but a replica could have taken over"


def _can_spare(shard: ShardPlan, *, errant: int) -> bool:
    """Return whether another tablet can replace any primary, whichever `errant` replicas have errant transactions."""
    rule = policy(shard.durability)
    members = [Member(each.alias, each.type) for each in shard.tablets]
    for primary in members:
        if primary.type is not TabletType.REPLICA:
            continue
        rest = [each for each in members if each is not primary]
        for ruined in itertools.combinations(rest, errant):
            fit = [each for each in rest if each not in ruined]
            if not any(
                each.type is TabletType.REPLICA
                and sum(rule.may_ack(each, other) for other in fit) >= rule.required_acks(each)
                for each in fit
            ):
                return False
    return True
