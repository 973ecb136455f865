"""Light tasks: coroutines that a process runs without an asyncio task."""

import asyncio

import pytest

from vtorc.sim.engine.loop import run
from vtorc.sim.engine.process import LightTask


def test_cancelling_a_light_task_cancels_the_future_that_it_waits_for() -> None:
    """An error that is set on the future later would never be retrieved, and end the run."""

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


def test_a_light_task_has_a_result_or_an_error() -> None:
    """A light task goes on as soon as the future that it waits for is done, and then has its result or its error."""

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
