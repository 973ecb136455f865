"""Checks that a simulated vtorc keeps its budget and the order of turns, and counts its recoveries for the report."""

from collections.abc import Callable
from dataclasses import dataclass

from vtorc.control.budget import BudgetLimits, FleetBudget, TurnSlot
from vtorc.control.observer import Announcement
from vtorc.core.detection.recoveries import Urgency
from vtorc.core.facts.ids import ShardId
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord


@dataclass(frozen=True, slots=True)
class ReplacedPrimary:
    """A replaced primary; the new one took writes at `writable_at`, in virtual seconds."""

    shard: ShardId
    writable_at: float


@dataclass(frozen=True, slots=True)
class TurnWait:
    """A recovery that waited for its turn for so many virtual seconds, until `ended_at`."""

    shard: ShardId
    ended_at: float
    seconds: float


class BudgetOrder:
    """The recoveries of one vtorc, across its restarts.

    `most` is the largest number that was under way at once, `waits` has those that had to wait for their turn.
    """

    def __init__(
        self, vtorc: str, limits: BudgetLimits, *, now: Callable[[], float], violate: Callable[[str, str], None]
    ) -> None:
        self.most = 0
        self.waits: list[TurnWait] = []
        self.replacements: list[ReplacedPrimary] = []
        self.announcements: list[str] = []
        self._vtorc = vtorc
        self._limits = limits
        self._now = now
        self._violate = violate
        self._budget: FleetBudget | None = None
        self._under_way: dict[ShardId, Urgency] = {}

    def begin(self, budget: FleetBudget) -> None:
        """Begin again with the budget of a new process."""
        self._budget = budget
        self._under_way.clear()

    def started(self, begun: BegunRecovery) -> None:
        """Check a recovery that begins: it must have a slot, within the limit, and be first in order.

        One that an operator asked for needs no slot.
        """
        if begun.asked is not None:
            return
        shard, urgency = begun.shard, begun.recovery.traits.urgency
        self._under_way[shard] = urgency
        alike = sum(each.is_repair is urgency.is_repair for each in self._under_way.values())
        limit = self._limits.repairs if urgency.is_repair else self._limits.recoveries
        noun = "repairs" if urgency.is_repair else "recoveries"
        if alike > limit:
            self._violate("over-budget", f"{self._vtorc} has {alike} {noun} under way, and {limit} are allowed")
        assert self._budget is not None
        mine = next((place for place in self._budget.holding if place.request and place.request.shard == shard), None)
        if mine is None:
            self._violate("over-budget", f"{self._vtorc} began {begun.recovery.value} of {shard} without a slot")
            return
        if not urgency.is_repair:
            self.most = max(self.most, alike)
            if mine.granted_at > mine.asked_at:
                self.waits.append(TurnWait(shard, mine.granted_at, mine.granted_at - mine.asked_at))
        for other in self._budget.waiting:
            if other.asked_at < mine.granted_at and (why := _comes_first(other, mine)):
                self._violate("out-of-order", f"{self._vtorc} began {begun.recovery.value} of {shard} although {why}")
                return

    def finished(self, record: RecoveryRecord) -> None:
        """Note the end of a recovery."""
        self._under_way.pop(record.shard, None)
        if record.recovery.replaces_primary and record.outcome is Outcome.SUCCEEDED:
            writable = (
                self._now()
                - record.duration
                + record.marks.get(
                    OutageMark.ACKNOWLEDGED.value, record.marks.get(OutageMark.PROMOTED.value, record.duration)
                )
            )
            self.replacements.append(ReplacedPrimary(record.shard, writable))

    def interrupted(self, begun: BegunRecovery) -> None:
        """Note that a recovery was broken off."""
        self._under_way.pop(begun.shard, None)

    def announced(self, announcement: Announcement) -> None:
        """Note an announcement about the fleet."""
        self.announcements.append(announcement.sentence)


def _comes_first(other: TurnSlot, mine: TurnSlot) -> str:
    """Return why a shard that still waits should have had the turn; empty if it should not."""
    theirs, ours = other.request, mine.request
    assert theirs is not None
    assert ours is not None
    if theirs.urgency.is_repair or ours.urgency.is_repair:
        return ""
    if theirs.urgency < ours.urgency:
        return f"{theirs.shard} waits with a more urgent recovery"
    if theirs.urgency == ours.urgency and theirs.tries <= ours.tries and theirs.since < ours.since:
        return f"{theirs.shard} has been out for {ours.since - theirs.since:.3f} s longer, and waits"
    return ""
