"""The process of a simulated mysqld: work takes time, and statements that wait fail when the process ends."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from vtorc.errors import MysqlError
from vtorc.sim.engine.network import Latency
from vtorc.sim.engine.process import Life, Process
from vtorc.sim.mysql.settings import SimMysqlSettings


class MysqldProcess:
    """The process, as every part of a server needs it; `slowness` stretches all work, 1.0 is the ordinary speed."""

    def __init__(self, process: Process, *, generator: random.Random, settings: SimMysqlSettings) -> None:
        self.process = process
        self.settings = settings
        self.random = generator
        self.loop = asyncio.get_running_loop()
        self.slowness = 1.0
        self._waits: dict[asyncio.Future[Any], None] = {}

    @property
    def life(self) -> Life:
        """The present incarnation of the process."""
        return self.process.life

    def duration(self, latency: Latency, *, factor: float = 1.0) -> float:
        """Draw how many seconds a piece of work takes; a `factor` may take it beyond the latency's limit."""
        return latency.draw(self.random) * (factor * self.slowness)

    async def work(self, seconds: float) -> None:
        """Work for so long in this process; raises MysqlError 2013 if the process ends meanwhile."""
        loop, life = self.loop, self.process.life
        done: asyncio.Future[None] = loop.create_future()
        self._waits[done] = None
        loop.call_at(loop.time() + seconds, self._worked, life, done)
        try:
            await done
        finally:
            self._waits.pop(done, None)

    def _worked(self, life: Life, done: "asyncio.Future[None]") -> None:
        if life.runs:
            resolve(done, None)
        else:
            self.in_life(life, resolve, (done, None))

    def new_wait(self) -> "asyncio.Future[Any]":
        """Return a future to `wait` for, which fails with MysqlError 2013 when the process ends."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._waits[future] = None
        return future

    async def wait(self, future: "asyncio.Future[Any]") -> Any:
        """Wait for a future that `new_wait` made."""
        try:
            return await future
        finally:
            self._waits.pop(future, None)

    def fail_waits(self) -> None:
        """Fail all statements that wait, as the end of the process does."""
        waiting, self._waits = list(self._waits), {}
        for future in waiting:
            if not future.done():
                future.set_exception(lost_connection())
                future.exception()  # retrieved here, as a caller that has ended as well never does

    def later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        """Call back after so many seconds; later if the process is frozen by then, never if it has ended."""
        self.loop.call_later(seconds, self.in_life, self.life, callback, args)

    def in_life(self, life: Life, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Call back unless that incarnation of the process has ended."""
        if life.runs:
            callback(*args)
        elif life.alive:
            self.process.when_running(callback, *args)


def lost_connection() -> MysqlError:
    """Return the error of a client that lost its connection while its statement ran."""
    return MysqlError("Lost connection to MySQL server during query", errno=2013)


def resolve(future: "asyncio.Future[Any]", value: object) -> None:
    """Set a result unless the future has an outcome."""
    if not future.done():
        future.set_result(value)


def fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Set an error unless the future has an outcome."""
    if not future.done():
        future.set_exception(error)
