"""Which reading answers callers that ask for the same at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from vtorc.errors import TopoUnavailable
from vtorc.sim.engine.loop import run
from vtorc.topo.shared_reading import TOGETHER_WITHIN, SharedReading
from vtorc.topo.tasks import OwnedTasks

TAKES = 0.03


class Readings:
    """Readings of some seconds, each of which returns when it began; while `is_down`, each fails."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.takes = TAKES
        self.is_down = False
        self.tasks = OwnedTasks()
        self.shared = SharedReading(self.read, self.tasks, "read")

    async def read(self) -> float:
        """Read."""
        self.began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.is_down:
            raise TopoUnavailable("down")
        return self.began[-1]

    async def ask_at(self, moment: float) -> float:
        """Return when the reading began that answers a question of this moment."""
        await asyncio.sleep(moment - asyncio.get_running_loop().time())
        return await self.shared.get()


def with_readings(main: Callable[[Readings], Awaitable[None]]) -> None:
    """Run a test with readings, and end those that are still under way."""

    async def work() -> None:
        readings = Readings()
        await main(readings)
        await readings.tasks.close()

    run(work())


def test_questions_that_come_during_a_reading_share_the_next_one() -> None:
    """No caller gets a reading that began before it asked."""

    async def main(readings: Readings) -> None:
        moments = (0.0, 0.01, 0.02, 0.025)
        found = await asyncio.gather(*(readings.ask_at(moment) for moment in moments))
        assert found == [0.0, TAKES, TAKES, TAKES]
        assert await readings.shared.get() == pytest.approx(2 * TAKES)
        assert len(readings.began) == 3

    with_readings(main)


def test_a_reading_that_hangs_keeps_the_next_one_waiting_for_a_moment_only() -> None:
    """A server that came back is not left unread because an earlier question to it was lost."""

    async def main(readings: Readings) -> None:
        readings.takes = 15.0
        asked = [asyncio.create_task(readings.ask_at(moment)) for moment in (0.0, 1.0)]
        await asyncio.sleep(2.0)
        assert readings.began == [0.0, pytest.approx(1.0 + TOGETHER_WITHIN)]
        for task in asked:
            task.cancel()

    with_readings(main)


def test_an_error_reaches_all_that_share_the_reading_and_no_later_question() -> None:
    """The next question is answered by a reading of its own."""

    async def main(readings: Readings) -> None:
        readings.is_down = True
        found = await asyncio.gather(*(readings.ask_at(0.0) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in found] == [TopoUnavailable] * 3
        readings.is_down = False
        assert await readings.shared.get() == pytest.approx(2 * TAKES)

    with_readings(main)


def test_a_caller_that_gives_up_leaves_the_reading_to_the_others() -> None:
    """A recovery that is broken off does not break off the reading of another."""

    async def main(readings: Readings) -> None:
        first, second, third = (asyncio.create_task(readings.ask_at(moment)) for moment in (0.0, 0.01, 0.01))
        await asyncio.sleep(0.02)
        first.cancel()
        second.cancel()
        assert await third == TAKES

    with_readings(main)
