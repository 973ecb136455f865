"""The lock under which a shard is changed."""

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
    """A shard's lock for the length of an `async with`, which may raise LockHeld, NoNode or TopoUnavailable."""

    def __init__(self, shard: ShardId, take: Callable[[], Awaitable[TopoLock]]) -> None:
        self.shard = shard
        self._take = take
        self._lock: TopoLock | None = None

    @property
    def key(self) -> str:
        """Full name of the lock's own key on the server."""
        return self._held.key

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lock is known, or must be assumed, not to be ours any more."""
        return self._held.lost

    async def check(self) -> None:
        """Ask the server whether the lock is still ours, as before each step without return; raises LockLost."""
        await self._held.check()

    async def __aenter__(self) -> Self:
        self._lock = await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._held.release()
        except TopoError as trouble:
            # What was done under the lock is done; that others wait a little longer must not hide how it ended.
            log.warning(
                "shard lock could not be released and ends with its lease", shard=str(self.shard), why=str(trouble)
            )

    @property
    def _held(self) -> TopoLock:
        if self._lock is None:
            raise LockLost(f"the lock of shard {self.shard} was not taken; use it with `async with`")
        return self._lock
