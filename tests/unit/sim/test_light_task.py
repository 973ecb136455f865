"""Errands: what a process works at without a task."""

import asyncio

import pytest

from vtorc.sim.engine.loop import run
from vtorc.sim.engine.process import LightTask


def test_the_end_of_an_errand_cancels_what_it_waits_for() -> None:
    """An error that is put there later would be one that nobody takes, and end the run."""

    async def main() -> None:
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            await waited

        ended: list[LightTask[None]] = []
        light_task = LightTask(work())
        light_task.run(ended.append)
        assert not ended
        light_task.cancel()
        assert waited.cancelled()
        assert [each.cancelled() for each in ended] == [True]

    run(main())


def test_an_errand_tells_what_came_of_it() -> None:
    """An errand goes on as soon as what it waits for is there, and then has its result or its error."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        good: asyncio.Future[int] = loop.create_future()
        bad: asyncio.Future[int] = loop.create_future()

        async def work(waited: "asyncio.Future[int]") -> int:
            return 1 + await waited

        ended: list[LightTask[int]] = []
        for waited in (good, bad):
            LightTask(work(waited)).run(ended.append)
        good.set_result(6)
        bad.set_exception(ValueError("no"))
        await asyncio.sleep(0.1)
        assert ended[0].result() == 7
        with pytest.raises(ValueError, match="no"):
            ended[1].result()

    run(main())
