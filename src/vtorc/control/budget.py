"""Limits how many recoveries of the whole fleet are under way at a time, and says which shard is next.

One vtorc, its topology server and its CPU carry only so many recoveries at once. Five hundred that begin together all
miss their deadlines. A lone recovery never waits.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from vtorc.core.detection.recoveries import Urgency
from vtorc.core.facts.ids import ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLimits:
    """Most recoveries under way at a time."""

    recoveries: int = 32
    """Replacements of primaries, and first elections."""
    repairs: int = 16
    """All others."""

    def divided_by(self, factor: float) -> "BudgetLimits":
        """Return the limits divided by a factor of at least 1, but not below `LEAST_UNDER_WAY` if they are above it."""
        return BudgetLimits(recoveries=_divided(self.recoveries, factor), repairs=_divided(self.repairs, factor))


LEAST_UNDER_WAY = 8
"""Recoveries of a kind that are under way at a time however late vtorc is."""


def _divided(most: int, factor: float) -> int:
    return max(min(most, LEAST_UNDER_WAY), int(most / factor))


YIELD_DIVISOR = 4
"""Repairs of replicas get the repair slots divided by this while a replacement of a primary waits for its turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """A shard's request for a turn."""

    shard: ShardId
    urgency: Urgency
    since: float
    """When the outage began, in seconds on the caller's clock."""
    tries: int = 0
    """How many attempts have failed.

    A shard that cannot be helped now comes after all that may be. Otherwise the oldest such outages would get every
    turn.
    """

    @property
    def order(self) -> tuple[Urgency, int, float, str]:
        """Sorts requests, the next one first: the most urgent, the least tried, the longest outage, then by name."""
        return (self.urgency, self.tries, self.since, str(self.shard))


class TurnSlot:
    """The turn of one shard: it has none, waits in the queue, or holds a slot.

    Use it as a context manager: whatever ends the block, the slot or the place in the queue is given back.
    """

    def __init__(self, budget: "FleetBudget", wake: Callable[[], None]) -> None:
        self._budget = budget
        self.wake = wake
        self.request: TurnRequest | None = None
        self.has_slot = False
        self.asked_at = 0.0
        self.granted_at = 0.0

    @property
    def is_queued(self) -> bool:
        """Whether it waits in the queue."""
        return self.request is not None and not self.has_slot

    def ask(self, request: TurnRequest) -> bool:
        """Ask for a slot, or change what it is wanted for; returns whether the shard has a slot, which it keeps until
        `leave`.

        If not, `wake` is called when the shard's turn has come, and the shard then judges again what to do.
        """
        return self._budget.ask(self, request)

    def leave(self) -> None:
        """Give back the slot or the place in the queue."""
        self._budget.leave(self)

    @property
    def reason(self) -> str:
        """Why the shard waits, as a part of a sentence."""
        return self._budget.reason(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class FleetBudget:
    """The slots of one vtorc.

    The limits are read each time. A lower limit ends no recovery that is under way.
    """

    def __init__(self, limits: Callable[[], BudgetLimits], now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        # Each of these is in two parts: for repairs (True) and for the other recoveries (False).
        self._waiting: dict[bool, dict[TurnSlot, None]] = {False: {}, True: {}}
        self._holding: dict[bool, dict[TurnSlot, None]] = {False: {}, True: {}}
        # Sorted, because each queued shard asks once a second how many come before it.
        self._orders: dict[bool, list[tuple[Urgency, int, float, str]]] = {False: [], True: []}

    def new_slot(self, wake: Callable[[], None]) -> TurnSlot:
        """Return a slot for a shard; `wake` is called when its turn has come after a wait."""
        return TurnSlot(self, wake)

    @property
    def waiting(self) -> tuple[TurnSlot, ...]:
        """The queued shards in the order in which they came, those for repairs last."""
        return (*self._waiting[False], *self._waiting[True])

    @property
    def holding(self) -> tuple[TurnSlot, ...]:
        """The shards with a slot, those for repairs last."""
        return (*self._holding[False], *self._holding[True])

    def under_way(self, *, repairs: bool) -> int:
        """Return how many slots are held for repairs, or for the other recoveries."""
        return len(self._holding[repairs])

    def ask(self, slot: TurnSlot, request: TurnRequest) -> bool:
        """Carry out `TurnSlot.ask`."""
        before = slot.request
        if before is not None and before.urgency.is_repair is not request.urgency.is_repair:
            # Its former turn is handed out only once its new request is in the queue, which may be the most urgent.
            self._release(slot)
        if slot.has_slot:
            return True
        if before != request:
            self._unqueue(slot)
            slot.request, slot.asked_at = request, self._now()
            self._waiting[request.urgency.is_repair][slot] = None
            insort(self._orders[request.urgency.is_repair], request.order)
        self._grant(asking=slot)
        return slot.has_slot

    def leave(self, slot: TurnSlot) -> None:
        """Carry out `TurnSlot.leave`."""
        self._release(slot)
        self._grant()

    def _release(self, slot: TurnSlot) -> None:
        if slot.request is None:
            return
        self._unqueue(slot)
        self._holding[slot.request.urgency.is_repair].pop(slot, None)
        slot.request, slot.has_slot = None, False

    def reason(self, slot: TurnSlot) -> str:
        """Carry out `TurnSlot.reason`."""
        request = _request(slot)
        repairs = request.urgency.is_repair
        before = bisect_left(self._orders[repairs], request.order)
        busy = self.under_way(repairs=repairs)
        one, many = ("repair", "repairs") if repairs else ("recovery", "recoveries")
        yields = ", and lost primaries come first" if repairs and self._waiting[False] else ""
        return (
            f"waiting for its turn: {busy} {f'{one} is' if busy == 1 else f'{many} are'} under way, "
            f"{before or 'no'} {'shard comes' if before == 1 else 'shards come'} before it{yields}"
        )

    def _grant(self, *, asking: TurnSlot | None = None) -> None:
        """Hand out the free slots; `asking` is not woken for its slot."""
        for repairs in (False, True):
            while (slot := self._next(repairs=repairs)) is not None:
                self._unqueue(slot)
                self._holding[repairs][slot] = None
                slot.has_slot, slot.granted_at = True, self._now()
                if slot is not asking:
                    slot.wake()

    def _unqueue(self, slot: TurnSlot) -> None:
        request = slot.request
        if request is None or slot not in self._waiting[request.urgency.is_repair]:
            return
        del self._waiting[request.urgency.is_repair][slot]
        orders = self._orders[request.urgency.is_repair]
        del orders[bisect_left(orders, request.order)]

    def _next(self, *, repairs: bool) -> TurnSlot | None:
        if not self._waiting[repairs]:
            return None
        limits, held = self._limits(), self.under_way(repairs=repairs)
        if held >= (limits.repairs if repairs else limits.recoveries):
            return None
        first = min(self._waiting[repairs], key=lambda slot: _request(slot).order)
        # A replacement can be queued here only while all slots for replacements are taken.
        if _request(first).urgency is Urgency.REPLICA_REPAIR and self._waiting[False]:
            return first if held < max(1, limits.repairs // YIELD_DIVISOR) else None
        return first


def _request(slot: TurnSlot) -> TurnRequest:
    assert slot.request is not None
    return slot.request
