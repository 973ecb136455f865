"""The lock that is held while a shard is changed."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog

from vtorc.core.facts.ids import ShardId
from vtorc.errors import LockLost, TopoError
from vtorc.topo.conn import TopoLock

log = structlog.get_logger(__name__)


class ShardLock:
    """A shard's lock, held within an `async with`, which may raise LockHeld, NoNode or TopoUnavailable."""

    def __init__(self, shard: ShardId, take: Callable[[], Awaitable[TopoLock]]) -> None:
        self.shard = shard
        self._take = take
        self._lock: TopoLock | None = None

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lock is lost, or must be assumed lost."""
        return self._held.lost

    async def check(self) -> None:
        """Ask the server whether this process still holds the lock; raises LockLost.

        It is called before each step that cannot be undone.
        """
        await self._held.check()

    def check_clock(self) -> None:
        """Raise LockLost if another process may hold this lock by now, by our own clock; asks no server."""
        self._held.check_clock()

    async def __aenter__(self) -> Self:
        self._lock = await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._held.release()
        except TopoError as failure:
            # The work under the lock has ended, and its result must not be hidden by an error of the release.
            log.warning(
                "shard lock could not be released and ends with its lease", shard=str(self.shard), why=str(failure)
            )

    @property
    def _held(self) -> TopoLock:
        if self._lock is None:
            raise LockLost(f"the lock of shard {self.shard} was not taken; use it with `async with`")
        return self._lock
