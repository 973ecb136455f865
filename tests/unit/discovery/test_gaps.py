"""A time in which vtorc saw nothing of a shard leaves its past unknown, as a restart does."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import P, record, replica, shard
from tests.unit.discovery.clocks import LoopClock, SettableTime
from tests.unit.discovery.test_view_evidence import MYSQL_DOWN, SILENT
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.remembered import LONGEST_GAP, ShardMemory
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.discovery.gaps import Aging, Gaps
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import MemoryKeeper
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletError
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager

R1 = "zone1-101"
HEARD_UNTIL = 10.0


class Tablets:
    """Tablets that answer until a moment, fail for some seconds, and then answer again."""

    def __init__(self, silent_for: float, failure: TabletError) -> None:
        self._silent_for = silent_for
        self._failure = failure

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        status = replica(R1).status
        assert status is not None
        if HEARD_UNTIL < asyncio.get_running_loop().time() < HEARD_UNTIL + self._silent_for:
            raise self._failure
        return replace(status, server_uuid="")

    async def ping(self, tablet: TabletRecord) -> None:
        raise SILENT

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        await asyncio.get_running_loop().create_future()
        yield cast(HealthReport, None)


class Store:
    """A store that notes what is kept."""

    def __init__(self) -> None:
        self.kept: list[ShardMemory] = []

    def save(self, shard: object, memory: ShardMemory) -> None:
        self.kept.append(memory)

    def forget(self, shard: object) -> None:
        raise AssertionError


def memory_after(
    silent_for: float, *, reads: bool, failure: TabletError = SILENT, pace: ProbePace | None = None
) -> tuple[TabletMemory, ShardMemory]:
    """Return the memory of a tablet after the silence of its shard, and what was kept then; `reads` is whether the
    topology was read all the time.
    """

    async def main() -> tuple[TabletMemory, ShardMemory]:
        view, store, clock = shard(), Store(), LoopClock()
        first = ShardTopology(
            read_at=0.0,
            cells=frozenset({"zone1"}),
            keyspace_record=view.keyspace_record,
            shard_record=view.shard_record,
            tablets=(record(P, TabletType.PRIMARY, term=1), record(R1, TabletType.REPLICA)),
        )
        watch = ShardWatch(
            view.shard,
            first,
            cast(TabletManager, Tablets(silent_for, failure)),
            clock,
            lambda: pace or ProbePace(),
            keeper=MemoryKeeper(store, {}),
        )
        watching = asyncio.create_task(watch.run())
        ends = HEARD_UNTIL + silent_for + 60.0
        while clock.now() < ends:
            await asyncio.sleep(5.0)
            if reads or not HEARD_UNTIL < clock.now() < HEARD_UNTIL + silent_for:
                watch.update(replace(first, read_at=clock.now()))
        found = watch.view().tablets[1].memory
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return found, store.kept[-1]

    return run(main())


def ages_after(*news: str, calm: float = 5.0) -> list[str]:
    """Return how memories are aged by news: `+20` lets seconds pass, and the rest is news."""
    time, ages = SettableTime(100.0), []

    def age(aging: Aging) -> None:
        aged = aging(TabletMemory(was_heard=True), time.seconds)
        assert aged.unheard_until == time.seconds
        ages.append("silence" if aged.was_heard else "gap")

    gaps = Gaps(OnTimeClock(time), lambda: ProbePace(calm_interval=calm), age)
    kinds = {"answer": gaps.note_answer, "reading": gaps.note_reading, "deletion": gaps.note_deletion}
    for each in news:
        if each.startswith("+"):
            time.seconds += float(each)
        else:
            kinds[each]()
    return ages


@pytest.mark.parametrize(
    ("news", "ages"),
    [
        pytest.param("answer reading answer", [], id="at once"),
        pytest.param("+20 answer +20 answer", [], id="as long as tablets stay as they were"),
        pytest.param("+20.1 reading", ["gap"], id="nothing since the watch began"),
        pytest.param("+20.1 answer", ["gap", "silence"], id="and then an answer"),
        pytest.param(
            "answer +20.1 reading +1 reading +1 answer +1 answer", ["gap", "silence"], id="a reading, an answer"
        ),
        pytest.param("answer +15 reading +15 answer +15 reading", ["silence"], id="readings between two answers"),
        pytest.param(
            "reading +15 answer +15 reading +15 answer +15 reading", ["silence"], id="answers are news as well"
        ),
        pytest.param("reading +15 answer +15 answer +15 answer", [], id="answers without readings"),
        pytest.param("answer +25 answer +25 answer", ["gap", "silence"] * 2, id="each gap anew"),
        pytest.param("+15 reading +5 reading deletion", [], id="a record is deleted in a short silence"),
        pytest.param("+15 reading +6 reading deletion", ["silence"], id="a record is deleted in a long silence"),
        pytest.param("+15 reading +6 deletion answer", ["silence"] * 2, id="a silence goes on after a deletion"),
    ],
)
def test_a_gap_ends_with_the_first_news_after_it(news: str, ages: list[str]) -> None:
    """Each of the two ages is as old as the last news that would have told of a change."""
    assert ages_after(*news.split()) == ages


@pytest.mark.parametrize(("calm", "longest"), [(0.5, LONGEST_GAP), (5.0, LONGEST_GAP), (6.0, 24.0), (30.0, 120.0)])
def test_no_gap_is_shorter_than_four_calm_intervals(calm: float, longest: float) -> None:
    """By default these are the 20 seconds that count over a restart."""
    assert ages_after(f"+{longest}", "answer", calm=calm) == []
    assert ages_after(f"+{longest + 0.1}", "reading", calm=calm) == ["gap"]


class LateClock(OnTimeClock):
    """The clock of a vtorc that was late all the time."""

    def now(self) -> float:
        return 0.0


def test_seconds_in_which_vtorc_was_late_are_part_of_a_gap() -> None:
    """The tablets went on meanwhile, although the clock of evidence leaves those seconds out."""
    time, ages = SettableTime(100.0), list[Aging]()
    gaps = Gaps(LateClock(time), ProbePace, ages.append)
    time.seconds += LONGEST_GAP + 0.1
    gaps.note_reading()
    assert ages == [TabletMemory.after_gap]


@pytest.mark.parametrize(
    ("silent_for", "reads", "is_unknown", "is_unheard"),
    [
        pytest.param(LONGEST_GAP - 6.0, False, False, False, id="short"),
        pytest.param(2 * LONGEST_GAP, False, True, True, id="nothing seen"),
        pytest.param(2 * LONGEST_GAP, True, False, True, id="topology read"),
    ],
)
def test_what_a_tablet_was_in_a_long_gap_is_unknown(
    silent_for: float, reads: bool, is_unknown: bool, is_unheard: bool
) -> None:
    """Readings of the topology tell its type, but not whether its server acknowledged; both are kept over a restart."""
    memory, kept = memory_after(silent_for, reads=reads)
    assert (memory.unknown_until > HEARD_UNTIL) is is_unknown
    assert (memory.unheard_until > HEARD_UNTIL) is is_unheard
    assert any(each.memory.unheard_until > HEARD_UNTIL for each in kept.tablets.values()) is is_unheard
    assert memory.was_heard


def test_a_tablet_manager_that_tells_of_a_dead_mysql_is_heard() -> None:
    """A shard whose servers are all down has no gap: nothing acknowledges in it."""
    memory, _ = memory_after(2 * LONGEST_GAP, reads=True, failure=MYSQL_DOWN)
    assert memory.unheard_until == -math.inf


def test_tablets_that_are_asked_more_seldom_have_no_gap_between_two_answers() -> None:
    """The longest gap follows the interval that an operator set."""
    memory, _ = memory_after(2 * LONGEST_GAP, reads=True, pace=ProbePace(calm_interval=20.0, hurried_interval=20.0))
    assert memory.unheard_until == -math.inf
