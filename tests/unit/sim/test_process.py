"""A process of the simulated world: what it takes over from the one that starts it."""

import asyncio
from contextvars import ContextVar

from vtorc.sim.engine.loop import run
from vtorc.sim.engine.process import Host, Process
from vtorc.sim.engine.trace import PROCESS

_NOTE: ContextVar[str] = ContextVar("a note of one process", default="nothing")


def test_a_process_takes_nothing_over_from_the_one_that_starts_it() -> None:
    """A vtorc that was killed as another sent a call was started again with the lock of that call, and did nothing."""

    async def main() -> None:
        found: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()

        async def tell() -> None:
            found.set_result((_NOTE.get(), PROCESS.get()))

        _NOTE.set("something")
        child = Process(Host("host", "zone1"), "child")
        child.start().spawn(tell(), name="tell")
        assert await found == ("nothing", str(child))

    run(main(), seed=1)
