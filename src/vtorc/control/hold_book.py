"""The holds of operators: kept before they are answered, in force from then on, and ended in time."""

import asyncio
import enum
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from vtorc.control.store_changes import StoreChanges
from vtorc.core.facts.holds import NO_HOLDS, Hold, HoldScope, HoldsOnShard, Purpose, holds_on_shard
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.discovery.lateness import OnTimeClock
from vtorc.recovery.record import OperatorRequest

LOOK_EVERY = 10.0
"""Most seconds until the wall clock is looked at again while a hold has an end, as that clock may be set."""


class HoldStore(Protocol):
    """A place where holds are kept."""

    @property
    def is_lasting(self) -> bool:
        """Whether it outlives the process."""
        ...

    async def read(self) -> Sequence[Hold]:
        """Return all holds by number; raises OrdersFileError."""
        ...

    async def change(self, *, add: Sequence[Hold], remove: Collection[int]) -> Sequence[int]:
        """Add and remove holds in one go.

        Returns the numbers of those added once all of it is kept; raises OrdersFileError if nothing is.
        """
        ...


class PassingHolds:
    """Keeps holds for as long as the process lives, for want of a better place."""

    is_lasting = False

    def __init__(self) -> None:
        self._holds: dict[int, Hold] = {}
        self._last = 0

    async def read(self) -> Sequence[Hold]:
        """Return all holds by number."""
        return list(self._holds.values())

    async def change(self, *, add: Sequence[Hold], remove: Collection[int]) -> Sequence[int]:
        """Add and remove holds; returns the numbers of those added."""
        for number in remove:
            self._holds.pop(number, None)
        numbers = [self._last + place for place, _ in enumerate(add, start=1)]
        self._last += len(numbers)
        self._holds.update(zip(numbers, (replace(h, number=n) for h, n in zip(add, numbers, strict=True)), strict=True))
        return numbers


class HoldChange(enum.Enum):
    """An event in the life of a hold."""

    ADDED = "added"
    LIFTED = "lifted"
    REPLACED = "replaced"
    """Another one of its purpose took its place."""
    EXPIRED = "expired"
    RESTORED = "restored"
    """It is in force since vtorc read it back."""

    @property
    def is_end(self) -> bool:
        """Whether it is in force no more."""
        return self in (HoldChange.LIFTED, HoldChange.REPLACED, HoldChange.EXPIRED)


@dataclass(frozen=True, slots=True)
class HoldNews:
    """A change of the holds in force."""

    hold: Hold
    """The hold."""
    change: HoldChange
    """The event."""
    asked: OperatorRequest | None = None
    """The order for it; None where there was none, as at the end of its time."""

    @property
    def sentence(self) -> str:
        """The news in words."""
        hold = self.hold
        does = f" ({hold.effect_words})"
        match self.change:
            case HoldChange.ADDED:
                return f"in force from now on{does}: {hold.sentence}"
            case HoldChange.RESTORED:
                return f"still in force{does}: {hold.sentence}"
            case HoldChange.REPLACED:
                return f"not in force any more{does}, as another takes its place: {hold.sentence}"
            case HoldChange.EXPIRED:
                return f"its time is over{does}: {hold.sentence}"
            case HoldChange.LIFTED:
                by = f", as {self.asked.actor} lifted it: {self.asked.reason}" if self.asked is not None else ""
                return f"not in force any more{does}: {hold.sentence}{by}"


Listener = Callable[[HoldNews], None]
"""Hears of each change after it is in force; returns at once and raises nothing."""


class HoldBook:
    """The holds of one vtorc, of which it is the only owner."""

    def __init__(self, store: HoldStore, clock: OnTimeClock, restored: Sequence[Hold] | None = ()) -> None:
        """Keep holds in `store`; `restored` are those in it, None if they could not be read yet.

        A store that could not be read is read again before the next order; until that succeeds, orders are refused.
        """
        self._store = store
        self._clock = clock
        self._holds: dict[int, Hold] = {}
        self._over: set[int] = set()
        self._changes = StoreChanges(
            clock, self._read, is_read=restored is not None, what="order", advice=", then look at the list of holds"
        )
        self._listeners: list[Listener] = []
        self._timer: asyncio.TimerHandle | None = None
        self._take_over(restored or ())

    @property
    def is_lasting(self) -> bool:
        """Whether holds outlive the process."""
        return self._store.is_lasting

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The holds in force, by number."""
        return tuple(self._holds.values())

    def listen(self, listener: Listener) -> None:
        """Tell `listener` of the holds in force, and from now on of each change."""
        for hold in self.holds:
            listener(HoldNews(hold, HoldChange.RESTORED))
        self._listeners.append(listener)

    def on(self, shard: ShardId, aliases: Collection[TabletAlias]) -> HoldsOnShard:
        """Return the holds that are in force on a shard with these tablets."""
        return holds_on_shard(self._holds.values(), shard, aliases, self._clock.wall()) if self._holds else NO_HOLDS

    def find(self, purpose: Purpose, scope: HoldScope) -> Hold | None:
        """Return the latest hold of a purpose on a scope; None if there is none."""
        found = [hold for hold in self.holds if (hold.purpose, hold.scope) == (purpose, scope)]
        return found[-1] if found else None

    def numbered(self, number: int) -> Hold | None:
        """Return the hold of that number that is in force; None if there is none."""
        return self._holds.get(number)

    async def add(self, hold: Hold, asked: OperatorRequest) -> Hold:
        """Put a hold in force once it is kept; returns it with its number, and raises OrdersFileError.

        One of a purpose that a scope has only once takes the place of the earlier one.
        """
        async with self._changes.make():
            replaced = [
                each
                for each in self.holds
                if hold.purpose.is_unique and (each.purpose, each.scope) == (hold.purpose, hold.scope)
            ]
            (number,) = await self._store.change(add=[hold], remove={*self._over, *(each.number for each in replaced)})
            self._over.clear()
        added = replace(hold, number=number)
        for each in replaced:
            self._end(each, HoldNews(each, HoldChange.REPLACED, asked))
        self._begin(HoldNews(added, HoldChange.ADDED, asked))
        return added

    async def lift(self, hold: Hold, asked: OperatorRequest) -> bool:
        """End a hold once that is kept; returns False if it is not in force any more, and raises OrdersFileError."""
        async with self._changes.make():
            if hold.number not in self._holds:
                return False
            await self._store.change(add=(), remove={*self._over, hold.number})
            self._over.clear()
        self._end(hold, HoldNews(hold, HoldChange.LIFTED, asked))
        return True

    async def _read(self) -> None:
        self._take_over(await self._store.read())

    def _take_over(self, stored: Sequence[Hold]) -> None:
        """Put in force what the store has, and end what it has not."""
        wall = self._clock.wall()
        self._over.update(hold.number for hold in stored if hold.is_over(wall))
        kept = {hold.number: hold for hold in stored if not hold.is_over(wall)}
        for hold in [each for number, each in self._holds.items() if number not in kept]:
            self._end(hold, HoldNews(hold, HoldChange.LIFTED))
        for hold in [each for number, each in kept.items() if number not in self._holds]:
            self._begin(HoldNews(hold, HoldChange.RESTORED))

    def _begin(self, news: HoldNews) -> None:
        self._holds[news.hold.number] = news.hold
        self._tell(news)

    def _end(self, hold: Hold, news: HoldNews) -> None:
        if self._holds.pop(hold.number, None) is not None:
            self._tell(news)

    def _tell(self, news: HoldNews) -> None:
        for listener in self._listeners:
            listener(news)
        self._set_timer()

    def _set_timer(self) -> None:
        """Look again at the end of the hold that ends next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ends = [hold.expires for hold in self._holds.values() if hold.expires is not None]
        if ends:
            left = max(0.0, (min(ends) - self._clock.wall()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(min(left, LOOK_EVERY), self._end_in_time)

    def _end_in_time(self) -> None:
        """End the holds whose time is over; the store is rid of them with the next order."""
        self._timer = None
        wall = self._clock.wall()
        for hold in [each for each in self.holds if each.is_over(wall)]:
            self._over.add(hold.number)
            self._end(hold, HoldNews(hold, HoldChange.EXPIRED))
        self._set_timer()
