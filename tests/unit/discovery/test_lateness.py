"""A vtorc that is late: its clock of evidence, and deadlines that it cannot miss by its own fault."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from tests.unit.discovery.clocks import LoopClock
from vtorc.discovery.lateness import BEAT, ON_TIME, OnTimeClock, OnTimeTimeout
from vtorc.sim.engine.loop import current_loop, run

_T = TypeVar("_T")


def timed(main: Callable[[OnTimeClock], Coroutine[Any, Any, _T]]) -> _T:
    """Run `main` beside the beat of a clock, and return its result."""

    async def beside() -> _T:
        clock = LoopClock()
        beating = asyncio.create_task(clock.run(lambda took: None))
        await asyncio.sleep(1.0)
        try:
            return await main(clock)
        finally:
            beating.cancel()

    return run(beside())


def test_late_seconds_do_not_pass() -> None:
    """While the loop stands still the clock advances by what a round may take, and by hardly more."""

    async def main(clock: OnTimeClock) -> tuple[float, float, float, float]:
        before, real = clock.now(), clock.real()
        current_loop().stand_still(100.0)
        at_once, late = clock.now() - before, clock.late
        await asyncio.sleep(1.0)
        assert clock.real() - real == pytest.approx(101.0)
        return at_once, late, clock.now() - before, clock.late

    at_once, late, later, then = timed(main)
    assert at_once == pytest.approx(ON_TIME, abs=0.11)
    assert late == pytest.approx(100.0, abs=0.21)
    assert later == pytest.approx(at_once + 1.0)
    assert then == late


def test_a_loop_that_is_on_time_has_the_time_of_its_clock() -> None:
    """Without lateness not even a rounding error is left out, so that equal moments stay equal."""

    async def main(clock: OnTimeClock) -> bool:
        await asyncio.sleep(7.3)
        current_loop().stand_still(ON_TIME - BEAT)
        return clock.now() == clock.real()

    assert timed(main)


def test_what_comes_later_in_a_late_round_has_a_later_time() -> None:
    """An answer that was asked for before a failure, in the same late round, must not seem to come after it."""

    async def main(clock: OnTimeClock) -> list[float]:
        moments = []
        for _ in range(3):
            current_loop().stand_still(1.0)
            moments.append(clock.now())
        return moments

    moments = timed(main)
    assert sorted(set(moments)) == moments


ROUNDS = (0.07, 0.12, 0.24, 0.5, 0.0, 0.065, 0.12, 2.0, 0.12)
"""Seconds of work in rounds of the loop, from hardly late to very late; 0 is a round that is on time."""


def test_the_clock_never_goes_back() -> None:
    """Within late rounds and between them each reading is later than the one before, by no more than what passed."""

    async def main(clock: OnTimeClock) -> list[tuple[float, float, float]]:
        readings = []
        for work in ROUNDS:
            for _ in range(20):
                current_loop().stand_still(work / 20)
                readings.append((clock.now(), clock.late, clock.real()))
            await asyncio.sleep(0.01)
            readings.append((clock.now(), clock.late, clock.real()))
        return readings

    for before, after in itertools.pairwise(timed(main)):
        passed = after[2] - before[2]
        assert passed * 0.0009 <= after[0] - before[0] <= passed + 1e-9
        assert after[1] - before[1] >= -1e-9
        assert sum(after[:2]) == pytest.approx(after[2])


def test_time_that_passed_before_a_round_was_late_is_left_out_of_the_next() -> None:
    """Rounds of 120 ms count a quarter in the long run, whoever reads the clock meanwhile, and the clock then goes on
    as that of the loop.
    """

    async def main(clock: OnTimeClock) -> tuple[float, float, bool]:
        began, real, readings = clock.now(), clock.real(), 0
        while clock.real() - real < 12.0:
            current_loop().stand_still(0.06)
            clock.now()
            readings += 1
            current_loop().stand_still(0.06)
            await asyncio.sleep(1e-6)
        await asyncio.sleep(1.0)
        counted, late = clock.now() - began - 1.0, clock.late
        await asyncio.sleep(5.0)
        return counted, readings, clock.late == late

    counted, rounds, is_on_time = timed(main)
    assert counted == pytest.approx(rounds * 0.03, rel=0.1)
    assert is_on_time


def test_a_deadline_after_a_late_round_is_not_looked_at_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is still left out is waited for at once: timers of microseconds would fill the loop."""

    looks = 0
    look = OnTimeTimeout._look

    def counted(self: OnTimeTimeout) -> None:
        nonlocal looks
        looks += 1
        look(self)

    async def main(clock: OnTimeClock) -> None:
        current_loop().stand_still(0.12)
        await asyncio.sleep(1e-6)
        async with clock.timeout(1e-4):
            await asyncio.sleep(60.0)

    monkeypatch.setattr(OnTimeTimeout, "_look", counted)
    with pytest.raises(TimeoutError):
        timed(main)
    assert 1 <= looks <= 8


def test_a_question_before_a_refresh_is_not_taken_for_one_after_it() -> None:
    """The start of a refresh in a late round is never later than that of a question in the next round."""

    async def main(clock: OnTimeClock) -> list[tuple[float, float]]:
        moments = []
        for _ in range(8):
            current_loop().stand_still(0.058)
            refresh = clock.now()
            current_loop().stand_still(0.08)
            await asyncio.sleep(1e-6)
            moments.append((refresh, clock.now()))
        return moments

    assert all(refresh < question for refresh, question in timed(main))


@pytest.mark.parametrize("still_at", [0.0, 0.2, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("answered_after", [0.0, 0.03])
def test_an_answer_that_came_while_vtorc_stood_still_is_read(still_at: float, answered_after: float) -> None:
    """However late the loop reads it, the answer wins over the deadline, wherever in it the process was stopped."""

    async def main(clock: OnTimeClock) -> str:
        loop = current_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def stop() -> None:
            loop.stand_still(20.0)
            loop.call_later(answered_after, hop, 4)

        def hop(rounds: int) -> None:
            # An answer goes through several rounds of the loop before the task that waits for it.
            loop.call_soon(hop, rounds - 1) if rounds else answer.set_result("answered")

        loop.call_later(still_at, stop)
        async with clock.timeout(1.0):
            return await answer

    assert timed(main) == "answered"


def silent_for(disturb: Callable[[float], None], seconds: float = 1.0) -> float:
    """Return after how many real seconds a deadline of so many ends while `disturb` is called every 10 ms."""

    async def main(clock: OnTimeClock) -> float:
        began = clock.real()

        async def disturbing() -> None:
            while True:
                await asyncio.sleep(0.01)
                disturb(clock.real() - began)

        task = asyncio.create_task(disturbing())
        with pytest.raises(TimeoutError):
            async with clock.timeout(seconds):
                await asyncio.get_running_loop().create_future()
        task.cancel()
        return clock.real() - began

    return timed(main)


def test_a_deadline_of_a_loop_that_is_on_time_is_exact() -> None:
    """It ends after just so many seconds, as that of asyncio does."""
    assert silent_for(lambda _: None) == pytest.approx(1.0)


def test_a_vtorc_that_is_late_for_ever_is_not_blind() -> None:
    """With rounds of a second each, a deadline of a second still ends, after some ten rounds and a few looks."""
    assert 10.0 <= silent_for(lambda _: current_loop().stand_still(1.0)) <= 25.0


def test_a_deadline_can_be_shortened_and_not_prolonged() -> None:
    """A shorter deadline counts from now on; a longer one changes nothing."""

    async def main(clock: OnTimeClock) -> float:
        began = clock.real()

        async def wait() -> None:
            async with clock.timeout(5.0) as deadline:
                await asyncio.sleep(1.0)
                deadline.shorten(60.0)
                deadline.shorten(0.5)
                await asyncio.sleep(60.0)

        with pytest.raises(TimeoutError):
            await wait()
        return clock.real() - began

    assert timed(main) == pytest.approx(1.5)


def test_a_deadline_leaves_no_timer_behind() -> None:
    """A scope that was left in time cancels nothing later."""

    async def main(clock: OnTimeClock) -> str:
        async with clock.timeout(1.0):
            await asyncio.sleep(0.5)
        await asyncio.sleep(2.0)
        return "well"

    assert timed(main) == "well"
