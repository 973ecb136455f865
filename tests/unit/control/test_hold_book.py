"""The book of holds: an order is answered once it is kept, in force from then on, and ends in time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

import pytest

from tests.unit.core.builders import SHARD, alias, hold
from vtorc.control.hold_book import HoldBook, HoldChange, HoldNews, PassingHolds
from vtorc.control.store_changes import KEPT_WITHIN
from vtorc.core.facts.holds import FLEET, NO_HOLDS, Effect, Hold, HoldScope, Purpose
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import OrdersFileError
from vtorc.recovery.record import OperatorRequest
from vtorc.sim.engine.loop import run

ASKED = OperatorRequest(actor="bob", origin="a socket", reason="all is done")
SECOND = 10**9


class Clock:
    """The virtual clock of the loop, also as the wall clock."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        return int(self.now() * SECOND)


class CountedClock(Clock):
    """The same, which counts how often the wall clock is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def wall(self) -> int:
        self.looks += 1
        return super().wall()


class Store(PassingHolds):
    """A store that takes its time, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = 1.0
        self.fails = ""
        self.removed: list[set[int]] = []
        """The numbers that each change removes."""

    async def read(self) -> Sequence[Hold]:
        if self.fails:
            raise OrdersFileError(self.fails)
        return await super().read()

    async def change(self, *, add: Sequence[Hold], remove: Collection[int]) -> Sequence[int]:
        if self.fails:
            raise OrdersFileError(self.fails)
        self.removed.append(set(remove))
        numbers = await super().change(add=add, remove=remove)
        await asyncio.sleep(self.takes)
        return numbers


class Rig:
    """A book, its store, and what a listener hears."""

    def __init__(self, store: Store | None = None, restored: Sequence[Hold] | None = ()) -> None:
        self.store = store or Store()
        self.heard: list[tuple[str, int]] = []
        self.asked: list[tuple[str, OperatorRequest | None]] = []
        self.book = HoldBook(self.store, OnTimeClock(Clock()), restored)
        self.book.listen(self.hear)

    def hear(self, news: HoldNews) -> None:
        self.heard.append((news.change.value, news.hold.number))
        self.asked.append((news.change.value, news.asked))

    def numbers(self) -> list[int]:
        return [each.number for each in self.book.holds]

    async def kept(self) -> list[int]:
        return [each.number for each in await PassingHolds.read(self.store)]


def with_loop(main: Callable[[], Awaitable[None]]) -> None:
    async def work() -> None:
        await main()

    run(work(), seed=1)


def new(*effects: Effect, on: str = "fleet", lasts: float | None = None, purpose: Purpose = Purpose.HOLD) -> Hold:
    """A hold that was not kept yet, for so many seconds from now."""
    created = Clock().wall()
    expires = created + int(lasts * SECOND) if lasts is not None else None
    return hold(*effects, on=on, number=0, created=created, expires=expires, purpose=purpose)


def test_a_hold_is_in_force_once_it_is_kept() -> None:
    """Not before, and the answer has its number."""

    async def main() -> None:
        rig = Rig()
        order = asyncio.create_task(rig.book.add(new(Effect.NO_REPAIR), ASKED))
        await asyncio.sleep(0.5)
        assert rig.book.on(SHARD, ()) is NO_HOLDS
        added = await order
        assert (added.number, rig.heard) == (1, [("added", 1)])
        assert rig.book.on(SHARD, ()).holds == (added,)
        assert rig.book.numbered(1) == added
        assert await rig.book.lift(added, ASKED)
        assert (rig.book.holds, rig.heard[-1]) == ((), ("lifted", 1))
        assert not await rig.book.lift(added, ASKED)
        assert await rig.kept() == []

    with_loop(main)


def test_an_order_that_cannot_be_kept_is_not_in_force() -> None:
    """What was in force before still is."""

    async def main() -> None:
        rig = Rig()
        first = await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        rig.store.fails = "the disk is full"
        with pytest.raises(OrdersFileError, match="the disk is full"):
            await rig.book.add(new(Effect.NO_ALERT), ASKED)
        with pytest.raises(OrdersFileError, match="the disk is full"):
            await rig.book.lift(first, ASKED)
        assert rig.numbers() == [1]
        assert rig.heard == [("added", 1)]

    with_loop(main)


def test_a_disk_that_stands_still_is_refused_in_time_and_read_again() -> None:
    """The order may be on the disk: the next one finds out, and puts it in force."""

    async def main() -> None:
        rig = Rig()
        rig.store.takes = KEPT_WITHIN + 1.0
        with pytest.raises(OrdersFileError, match="not on the disk within 10 s, and may get there later"):
            await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        assert rig.numbers() == []
        rig.store.takes = 0.0
        await rig.book.add(new(Effect.NO_ALERT), ASKED)
        assert rig.heard == [("restored", 1), ("added", 2)]

    with_loop(main)


def test_an_order_whose_asker_is_gone_is_read_again() -> None:
    """The server process may end while the disk works; what the disk has then is in force with the next order."""

    async def main() -> None:
        rig = Rig()
        first = await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        order = asyncio.create_task(rig.book.lift(first, ASKED))
        await asyncio.sleep(0.5)
        order.cancel()
        await asyncio.gather(order, return_exceptions=True)
        assert rig.numbers() == [1]
        await rig.book.add(new(Effect.NO_ALERT), ASKED)
        assert rig.heard == [("added", 1), ("lifted", 1), ("added", 2)]

    with_loop(main)


def test_a_store_that_could_not_be_read_takes_no_order_until_it_can() -> None:
    """What it holds is in force as soon as it was read."""

    async def main() -> None:
        store = Store()
        await store.change(add=[new(Effect.NO_FAILOVER)], remove=())
        store.fails = "it is damaged"
        rig = Rig(store, restored=None)
        with pytest.raises(OrdersFileError, match="it is damaged"):
            await rig.book.add(new(Effect.NO_ALERT), ASKED)
        assert rig.numbers() == []
        store.fails = ""
        await rig.book.add(new(Effect.NO_ALERT), ASKED)
        assert rig.heard == [("restored", 1), ("added", 2)]

    with_loop(main)


def test_a_hold_ends_by_itself_at_its_time() -> None:
    """It is taken from the store with the next order, and does not come back after a restart."""

    async def main() -> None:
        rig = Rig()
        rig.store.takes = 0.0
        await rig.book.add(new(Effect.NO_REPAIR, lasts=60.0), ASKED)
        await rig.book.add(new(Effect.NO_ALERT, lasts=25.0), ASKED)
        await asyncio.sleep(24.9)
        assert rig.numbers() == [1, 2]
        await asyncio.sleep(0.2)
        assert (rig.numbers(), rig.heard[-1], await rig.kept()) == ([1], ("expired", 2), [1, 2])
        again = Rig(rig.store, await rig.store.read())
        assert again.numbers() == [1]
        await asyncio.sleep(60.0)
        assert (rig.numbers(), again.numbers()) == ([], [])
        await again.book.add(new(Effect.NO_ALERT), ASKED)
        assert await again.kept() == [3]

    with_loop(main)


def test_the_end_of_a_hold_follows_a_wall_clock_that_is_set() -> None:
    """A clock that is put forward by a day ends the holds of that day within seconds."""

    async def main() -> None:
        store, ahead = Store(), [0]
        clock = Clock()
        clock.wall = lambda: int(clock.now() * SECOND) + ahead[0]  # type: ignore[method-assign]
        book = HoldBook(store, OnTimeClock(clock))
        await book.add(new(Effect.NO_REPAIR, lasts=3600.0), ASKED)
        await asyncio.sleep(60.0)
        ahead[0] = 86_400 * SECOND
        assert book.on(SHARD, ()) is NO_HOLDS
        await asyncio.sleep(10.1)
        assert book.holds == ()

    with_loop(main)


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.HOLD])
def test_a_scope_has_one_hold_of_a_purpose(purpose: Purpose) -> None:
    """The next one takes its place; one on another scope, or of another purpose, stays."""

    async def main() -> None:
        rig = Rig()
        rig.store.takes = 0.0
        await rig.book.add(new(Effect.NO_ALERT, on="tablet:zone1-101", purpose=purpose), ASKED)
        await rig.book.add(new(Effect.NO_ALERT, on="tablet:zone1-102", purpose=purpose), ASKED)
        await rig.book.add(new(Effect.NO_ALERT, on="tablet:zone1-101"), ASKED)
        await rig.book.add(new(Effect.NO_REPAIR, on="tablet:zone1-101", purpose=purpose), ASKED)
        assert rig.numbers() == [2, 3, 4] == await rig.kept()
        assert rig.heard[-2:] == [("replaced", 1), ("added", 4)]
        found = rig.book.find(purpose, HoldScope.of_tablet(alias("zone1-101")))
        assert found is not None
        assert found.number == 4
        assert rig.book.find(purpose, FLEET) is None

    with_loop(main)


def test_plain_holds_add_up() -> None:
    """Two operators may hold the same shard for their own reasons."""

    async def main() -> None:
        rig = Rig()
        for _ in range(2):
            await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        assert rig.numbers() == [1, 2]

    with_loop(main)


def test_a_listener_hears_of_the_holds_that_were_restored() -> None:
    """It comes later than the book, which was made first."""

    async def main() -> None:
        stored = [hold(Effect.NO_REPAIR, number=4), hold(Effect.NO_ALERT, number=7, expires=1)]
        rig = Rig(restored=stored)
        assert rig.heard == [("restored", 4)]

    async def later() -> None:
        await asyncio.sleep(5.0)
        await main()

    run(later(), seed=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (HoldChange.ADDED, "in force from now on (no_repair): hold 3 of ann on the fleet until it is lifted: a drill"),
        (HoldChange.RESTORED, "still in force (no_repair): hold 3 of ann on the fleet until it is lifted: a drill"),
        (HoldChange.EXPIRED, "its time is over (no_repair): hold 3 of ann on the fleet until it is lifted: a drill"),
        (
            HoldChange.LIFTED,
            "not in force any more (no_repair): hold 3 of ann on the fleet until it is lifted: a drill, as bob lifted "
            "it: all is done",
        ),
    ],
)
def test_news_of_a_hold_are_one_sentence(change: HoldChange, sentence: str) -> None:
    """It names the operator who lifted it."""
    assert HoldNews(hold(Effect.NO_REPAIR), change, ASKED).sentence == sentence


def test_a_change_is_told_with_the_order_for_it() -> None:
    """The log and the history name the operator that asked; a hold that ends in time ends without an order."""

    async def main() -> None:
        rig = Rig()
        await rig.book.add(new(purpose=Purpose.SWITCH), ASKED)
        second = await rig.book.add(new(purpose=Purpose.SWITCH), ASKED)
        await rig.book.lift(second, ASKED)
        await rig.book.add(new(Effect.NO_REPAIR, lasts=5.0), ASKED)
        await asyncio.sleep(10.0)
        assert rig.asked == [
            ("added", ASKED),
            ("replaced", ASKED),
            ("added", ASKED),
            ("lifted", ASKED),
            ("added", ASKED),
            ("expired", None),
        ]

    with_loop(main)


def test_a_hold_that_is_over_is_taken_from_the_store_once() -> None:
    """The next order removes it, whether that adds a hold or lifts one, and the order after that does not."""

    async def main() -> None:
        for adds in (True, False):
            rig = Rig()
            stays = await rig.book.add(new(Effect.NO_REPAIR), ASKED)
            last = await rig.book.add(new(Effect.NO_REPAIR), ASKED)
            await rig.book.add(new(Effect.NO_ALERT, lasts=5.0), ASKED)
            await asyncio.sleep(10.0)
            if adds:
                await rig.book.add(new(Effect.NO_ALERT), ASKED)
            else:
                await rig.book.lift(last, ASKED)
            await rig.book.lift(stays, ASKED)
            assert rig.store.removed[3:] == ([{3}, {1}] if adds else [{2, 3}, {1}])

    with_loop(main)


def test_a_hold_that_ends_while_its_lift_is_kept_ends_once() -> None:
    """Its time is over before the disk is done, and the lift is no second end of it."""

    async def main() -> None:
        rig = Rig()
        added = await rig.book.add(new(Effect.NO_REPAIR, lasts=5.0), ASKED)
        await asyncio.sleep(3.5)
        assert await rig.book.lift(added, ASKED)
        assert rig.heard == [("added", 1), ("expired", 1)]

    with_loop(main)


def test_a_hold_that_ends_soon_ends_at_its_time() -> None:
    """A hold with half a second left does not outlast it."""

    async def main() -> None:
        rig = Rig()
        await rig.book.add(new(Effect.NO_REPAIR, lasts=1.5), ASKED)
        await asyncio.sleep(0.6)
        assert rig.numbers() == []

    with_loop(main)


def test_the_wall_clock_is_looked_at_as_seldom_after_many_changes() -> None:
    """One look in ten seconds follows a clock that is set, however many holds came and went before."""

    async def main() -> None:
        clock = CountedClock()
        book = HoldBook(PassingHolds(), OnTimeClock(clock))
        await book.add(new(Effect.NO_REPAIR, lasts=1000.0), ASKED)
        for _ in range(20):
            await book.lift(await book.add(new(Effect.NO_ALERT), ASKED), ASKED)
        clock.looks = 0
        await asyncio.sleep(99.0)
        assert clock.looks <= 20

    with_loop(main)


def test_holds_in_force_stay_in_the_store_that_they_were_read_from() -> None:
    """The first order after a restart removes only those that are over, and tells of no other hold anew."""

    async def main() -> None:
        store = Store()
        await store.change(add=[new(Effect.NO_FAILOVER), new(Effect.NO_ALERT, lasts=5.0)], remove=())
        await asyncio.sleep(10.0)
        rig = Rig(store, await store.read())
        store.takes = KEPT_WITHIN + 1.0
        with pytest.raises(OrdersFileError, match="may get there later"):
            await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        store.takes = 0.0
        await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        assert await rig.kept() == [1, 3, 4]
        assert rig.heard == [("restored", 1), ("restored", 3), ("added", 4)]

    with_loop(main)


def test_a_hold_that_the_store_has_lost_already_is_no_reason_to_refuse() -> None:
    """An order that was cut short may have removed it, and its repetition is kept all the same."""

    async def main() -> None:
        store = PassingHolds()
        assert await store.change(add=[new(Effect.NO_REPAIR)], remove={7}) == [1]
        assert [each.number for each in await store.read()] == [1]

    with_loop(main)


def test_numbers_are_never_used_again() -> None:
    """A line of the log about hold 1 is about the same hold for ever."""

    async def main() -> None:
        rig = Rig()
        first = await rig.book.add(new(Effect.NO_REPAIR), ASKED)
        await rig.book.lift(first, ASKED)
        second = await rig.book.add(replace(first, number=0), ASKED)
        assert (first.number, second.number) == (1, 2)

    with_loop(main)
