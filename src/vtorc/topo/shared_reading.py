"""One reading for all that ask for the same at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from vtorc.topo.tasks import OwnedTasks

Result = TypeVar("Result")

TOGETHER_WITHIN = 0.05
"""Most seconds that a reading waits for the one before it to end; others join it meanwhile."""


class SharedReading(Generic[Result]):
    """Answers each caller with a reading that began after it had asked, and shares that reading among the callers.

    After the loss of a cell, hundreds of recoveries each listed all tablets of all cells. That took more of the
    processor than the recoveries themselves.
    """

    def __init__(self, read: Callable[[], Coroutine[Any, Any, Result]], tasks: OwnedTasks, name: str) -> None:
        """Read with `read`, which bounds its own time, in `tasks`; `name` tells what is read."""
        self._read = read
        self._tasks = tasks
        self._name = name
        self._running: asyncio.Task[Result] | None = None
        self._next: asyncio.Task[Result] | None = None

    async def get(self) -> Result:
        """Return the result of a reading that began after this call; raises what that raises."""
        if self._next is not None:
            return await asyncio.shield(self._next)
        if self._running is None or self._running.done():
            self._running = self._tasks.start(self._read(), self._name)
            return await asyncio.shield(self._running)
        self._next = self._tasks.start(self._read_after(self._running), self._name)
        return await asyncio.shield(self._next)

    async def _read_after(self, running: asyncio.Task[Result]) -> Result:
        await asyncio.wait((running,), timeout=TOGETHER_WITHIN)
        self._running, self._next = self._next, None
        return await self._read()
