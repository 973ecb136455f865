"""What is remembered of shards is kept soon, and at once where it matters."""

import asyncio
import math
from collections.abc import Callable

from tests.unit.discovery.clocks import SettableTime
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.remembered import LONGEST_GAP, RememberedTablet, ShardMemory
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import KEEP_WITHIN, KeepTime, MemoryKeeper
from vtorc.sim.engine.loop import run

KEEP_EVERY = KEEP_WITHIN[KeepTime.SOON]
ONE, TWO = ShardId("commerce", "-80"), ShardId("commerce", "80-")


class Store:
    """Notes what is saved, and when."""

    def __init__(self) -> None:
        self.saved: list[tuple[float, ShardId, int]] = []
        self.forgotten: list[ShardId] = []

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        self.saved.append((asyncio.get_running_loop().time(), shard, memory.wall))

    def forget(self, shard: ShardId) -> None:
        self.forgotten.append(shard)


def memory(number: int) -> Callable[[], ShardMemory]:
    """Return what makes a memory that can be told from others."""
    return lambda: ShardMemory(wall=number, now=0.0, real=0.0, tablets={})


def test_ordinary_changes_of_all_shards_are_kept_together_every_few_seconds() -> None:
    """Of many changes of a shard only what is remembered at the end is saved."""
    store = Store()

    async def main() -> None:
        keeper = MemoryKeeper(store, {})
        for number in (1, 2):
            keeper.note(ONE, memory(number), KeepTime.SOON)
        await asyncio.sleep(1.0)
        keeper.note(TWO, memory(3), KeepTime.SOON)
        await asyncio.sleep(2 * KEEP_EVERY)
        keeper.note(TWO, memory(4), KeepTime.SOON)
        await asyncio.sleep(2 * KEEP_EVERY)

    run(main())
    again = 1.0 + 3 * KEEP_EVERY
    assert store.saved == [(KEEP_EVERY, ONE, 2), (KEEP_EVERY, TWO, 3), (again, TWO, 4)]


def test_what_is_learnt_after_a_keeping_waits_for_a_time_of_its_own() -> None:
    """A store that is written more often than that cannot keep up with a fleet, however often a shard has news."""
    store = Store()

    async def main() -> None:
        keeper = MemoryKeeper(store, {})
        for number in (1, 2):
            keeper.note(ONE, memory(number), KeepTime.SOON)
            await asyncio.sleep(KEEP_EVERY - 1.0)
        keeper.note(ONE, memory(3), KeepTime.SOON)
        await asyncio.sleep(1.0)
        keeper.close()
        keeper.note(ONE, memory(4), KeepTime.SOON)
        await asyncio.sleep(2 * KEEP_EVERY)

    run(main())
    closed = 2 * KEEP_EVERY - 1.0
    assert store.saved == [(KEEP_EVERY, ONE, 2), (closed, ONE, 3), (closed + KEEP_EVERY, ONE, 4)]


def test_what_was_only_seen_once_more_is_kept_more_seldom() -> None:
    """It is kept with what is due sooner, and else often enough that a quick restart is none that forgets."""
    store, later = Store(), KEEP_WITHIN[KeepTime.LATER]

    async def main() -> None:
        keeper = MemoryKeeper(store, {})
        keeper.note(ONE, memory(1), KeepTime.LATER)
        keeper.note(TWO, memory(2), KeepTime.LATER)
        keeper.note(TWO, memory(3), KeepTime.SOON)
        await asyncio.sleep(2 * later)

    run(main())
    assert store.saved == [(KEEP_EVERY, TWO, 3), (later, ONE, 1)]
    assert later + 5.0 <= LONGEST_GAP


def test_what_cannot_wait_is_kept_at_once_and_only_once() -> None:
    """All that became known in one turn of the event loop is one save, with the ordinary changes of that shard."""
    store = Store()

    async def main() -> None:
        keeper = MemoryKeeper(store, {})
        keeper.note(ONE, memory(1), KeepTime.SOON)
        keeper.note(ONE, memory(2), KeepTime.AT_ONCE)
        keeper.note(ONE, memory(3), KeepTime.AT_ONCE)
        assert not store.saved
        await asyncio.sleep(2 * KEEP_EVERY)

    run(main())
    assert store.saved == [(0.0, ONE, 3)]


def test_at_the_end_everything_is_kept() -> None:
    """A vtorc that is stopped in order leaves all that it knows; what it forgot is not saved again."""
    store = Store()

    async def main() -> None:
        keeper = MemoryKeeper(store, {ONE: memory(0)()})
        keeper.note(ONE, memory(1), KeepTime.SOON)
        keeper.note(TWO, memory(2), KeepTime.AT_ONCE)
        keeper.forget(TWO)
        keeper.close()
        await asyncio.sleep(2 * KEEP_EVERY)

    run(main())
    assert (store.saved, store.forgotten) == ([(0.0, ONE, 1)], [TWO])


def test_a_memory_is_recalled_once() -> None:
    """A shard that is watched anew later is told nothing that is old by then."""
    tablet = RememberedTablet(TabletType.REPLICA, 0.0, TabletMemory(was_heard=True))
    clock, name = OnTimeClock(SettableTime()), TabletAlias("zone1", 100)
    keeper = MemoryKeeper(Store(), {ONE: ShardMemory(wall=0, now=0.0, real=0.0, tablets={name: tablet})})
    first, second = keeper.recall(ONE, clock), keeper.recall(ONE, clock)
    assert (first, second, keeper.recall(TWO, clock)) == ({name: tablet}, {}, {})


def test_a_memory_is_worth_what_is_left_of_it_when_the_shard_is_first_watched() -> None:
    """A vtorc that watches a shard long after its start knows no more than one that starts then."""
    tablet = RememberedTablet(TabletType.REPLICA, 0.0, TabletMemory(was_heard=True))
    clock, name = SettableTime(), TabletAlias("zone1", 100)
    kept = ShardMemory(wall=0, now=0.0, real=0.0, tablets={name: tablet})
    keeper = MemoryKeeper(Store(), {ONE: kept, TWO: kept})
    clock.seconds = LONGEST_GAP
    at_once = keeper.recall(ONE, OnTimeClock(clock))[name].memory
    clock.seconds = LONGEST_GAP + 1.0
    later = keeper.recall(TWO, OnTimeClock(clock))[name].memory
    assert (at_once.was_heard, at_once.unknown_until) == (True, -math.inf)
    assert (later.was_heard, later.unknown_until, later.unheard_until) == (False, clock.seconds, clock.seconds)
