"""How many recoveries of the whole fleet are under way at a time, and whose turn is next.

One vtorc, its topology server and its CPU carry only so many recoveries at once: five hundred that are begun together
all miss their deadlines. A lone one never waits.
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
    """Most recoveries under way at a time: `recoveries` are replacements of primaries and first elections, `repairs`
    all others.
    """

    recoveries: int = 32
    repairs: int = 16


YIELDING = 4
"""While a replacement of a primary waits for its turn, repairs of replicas have one slot in so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """What a shard wants its turn for.

    `since` is when the outage began, in seconds on the caller's clock; `tries` how often it was tried in vain: a shard
    that cannot be helped right now comes after all that may be, or the oldest of such outages would have every turn.
    """

    shard: ShardId
    urgency: Urgency
    since: float
    tries: int = 0

    @property
    def order(self) -> tuple[Urgency, int, float, str]:
        """The least is next: the most urgent, the least tried, the longest outage, then by name."""
        return (self.urgency, self.tries, self.since, str(self.shard))


class TurnSlot:
    """The place of one shard: nowhere, in the queue, or holding a slot; never more than one of these.

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
    def waits(self) -> bool:
        """Whether it is in the queue."""
        return self.request is not None and not self.has_slot

    def ask(self, request: TurnRequest) -> bool:
        """Ask for a slot, or say what is wanted by now; True if it has one, which it keeps until `leave`.

        If not, `wake` is called once it is this place's turn; whoever is woken looks anew at what is to be done.
        """
        return self._budget.ask(self, request)

    def leave(self) -> None:
        """Give the slot or the place in the queue back."""
        self._budget.leave(self)

    @property
    def reason(self) -> str:
        """Why it waits, as a part of a sentence."""
        return self._budget.reason(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class FleetBudget:
    """The slots of one vtorc. Limits are read anew each time; a lower one ends nothing that is under way."""

    def __init__(self, limits: Callable[[], BudgetLimits], now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        # Each in two parts, for repairs (True) and for the other recoveries.
        self._waiting: dict[bool, dict[TurnSlot, None]] = {False: {}, True: {}}
        self._holding: dict[bool, dict[TurnSlot, None]] = {False: {}, True: {}}
        # What is waited for, sorted: each of those that wait asks once a second how many come before it.
        self._orders: dict[bool, list[tuple[Urgency, int, float, str]]] = {False: [], True: []}

    def place(self, wake: Callable[[], None]) -> TurnSlot:
        """Make a place for a shard; `wake` is called when its turn comes after it had to wait."""
        return TurnSlot(self, wake)

    @property
    def waiting(self) -> tuple[TurnSlot, ...]:
        """The places in the queue, in the order in which they came; those for repairs last."""
        return (*self._waiting[False], *self._waiting[True])

    @property
    def holding(self) -> tuple[TurnSlot, ...]:
        """The places that have a slot; those for repairs last."""
        return (*self._holding[False], *self._holding[True])

    def under_way(self, *, repairs: bool) -> int:
        """How many slots for repairs, or for the other recoveries, are held."""
        return len(self._holding[repairs])

    def ask(self, place: TurnSlot, request: TurnRequest) -> bool:
        """Carry out `TurnSlot.ask`."""
        before = place.request
        if before is not None and before.urgency.is_repair is not request.urgency.is_repair:
            self.leave(place)
        if place.has_slot:
            return True
        if before != request:
            self._unqueue(place)
            place.request, place.asked_at = request, self._now()
            self._waiting[request.urgency.is_repair][place] = None
            insort(self._orders[request.urgency.is_repair], request.order)
        self._grant(asking=place)
        return place.has_slot

    def leave(self, place: TurnSlot) -> None:
        """Carry out `TurnSlot.leave`."""
        if place.request is None:
            return
        self._unqueue(place)
        self._holding[place.request.urgency.is_repair].pop(place, None)
        place.request, place.has_slot = None, False
        self._grant()

    def reason(self, place: TurnSlot) -> str:
        """Carry out `TurnSlot.reason`."""
        request = _request(place)
        repairs = request.urgency.is_repair
        before = bisect_left(self._orders[repairs], request.order)
        busy = self.under_way(repairs=repairs)
        one, many = ("repair", "repairs") if repairs else ("recovery", "recoveries")
        yields = ", and lost primaries come first" if repairs and self._waiting[False] else ""
        return (
            f"waiting for its turn: {busy} {f'{one} is' if busy == 1 else f'{many} are'} under way, "
            f"{before or 'none'} {'comes' if before == 1 else 'come'} before it{yields}"
        )

    def _grant(self, *, asking: TurnSlot | None = None) -> None:
        """Hand out what is free; `asking` learns of it without being woken."""
        for repairs in (False, True):
            while (place := self._next(repairs=repairs)) is not None:
                self._unqueue(place)
                self._holding[repairs][place] = None
                place.has_slot, place.granted_at = True, self._now()
                if place is not asking:
                    place.wake()

    def _unqueue(self, place: TurnSlot) -> None:
        request = place.request
        if request is None or place not in self._waiting[request.urgency.is_repair]:
            return
        del self._waiting[request.urgency.is_repair][place]
        orders = self._orders[request.urgency.is_repair]
        del orders[bisect_left(orders, request.order)]

    def _next(self, *, repairs: bool) -> TurnSlot | None:
        if not self._waiting[repairs]:
            return None
        limits, held = self._limits(), self.under_way(repairs=repairs)
        if held >= (limits.repairs if repairs else limits.recoveries):
            return None
        first = min(self._waiting[repairs], key=lambda place: _request(place).order)
        # Whoever waits for the other slots while these are handed out waits in vain: they are full.
        if _request(first).urgency is Urgency.REPLICA_REPAIR and self._waiting[False]:
            return first if held < max(1, limits.repairs // YIELDING) else None
        return first


def _request(place: TurnSlot) -> TurnRequest:
    assert place.request is not None
    return place.request
