"""Tasks of the topology: background work that ends with its owner, and concurrent calls."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


class OwnedTasks:
    """Tasks that live no longer than their owner."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order, so that a simulated run is repeatable

    def start(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        """Run `work` until it ends or the owner does."""
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    async def finish(self, work: Coroutine[Any, Any, Result], name: str) -> Result:
        """Run `work` to its end even if the caller is cancelled meanwhile; `work` must bound its own time."""
        return await asyncio.shield(self.start(work, name))

    async def close(self) -> None:
        """Cancel the tasks that still run and wait until they have ended."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            task.exception()  # retrieved for asyncio, which would log it as lost if the waiting caller was cancelled


async def all_of(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run calls concurrently and return their results in order; the first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]
