"""A lock that is held as long as its lease is refreshed, for all backends that have leases."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Protocol

from vtorc.errors import LockLost, TopoError, TopoTimeout
from vtorc.topo.tasks import OwnedTasks

_RETRY_PAUSE = 0.2
"""Most seconds between two attempts at a refresh that failed."""

_LONGEST_RELEASE = 5.0
"""Most seconds that a release waits for the server."""

_RELEASE_PAUSE = 1.0
"""Seconds between two attempts at a release that the server did not confirm."""


class Lease(Protocol):
    """A lease on the server, and the lock's key, which the server deletes with the lease."""

    async def refresh(self) -> bool:
        """Prolong the lease by its whole TTL; false if it has ended or the lock's key was deleted."""
        ...

    async def revoke(self) -> None:
        """End the lease and delete its key, within a deadline of its own; does nothing if it has ended already."""
        ...


class LeasedLock:
    """A lock with a task that refreshes its lease every third of its TTL.

    Vitess refreshes the lease of its own locks in etcd only when it checks them, so they may end during a long
    operation. This lock is lost when the server says that its lease or key no longer exists. It also counts as lost
    when the TTL has passed since the last successful refresh began: from then on another process may hold it.
    """

    def __init__(self, key: str, lease: Lease, owner: "OwnedLocks", *, ttl: float, granted_at: float) -> None:
        self.key = key
        self.lost = asyncio.Event()
        self._lease = lease
        self._owner = owner
        self._ttl = ttl
        self._alive_until = granted_at + ttl
        self._released = False
        self._reason = ""
        self._keeper = owner.tasks.start(self._keep(), f"keep lock {key}")

    async def check(self) -> None:
        """Refresh the lease now; raises LockLost unless the server confirms the lock."""
        self._raise_if_lost()
        if self._released:
            raise LockLost(f"lock {self.key} was released already; take it again before changing anything")
        try:
            async with asyncio.timeout_at(self._alive_until):
                await self._refresh()
        except (TimeoutError, TopoError) as error:
            self._raise_if_lost()
            raise LockLost(
                f"no server confirmed that this process still holds lock {self.key} ({_text(error)}); "
                "change nothing more under it"
            ) from error
        self.check_clock()

    def check_clock(self) -> None:
        """Raise LockLost if the TTL has passed by now, by this process's own clock.

        An answer that came in time can be read late. A process that was stopped (SIGSTOP, a paused virtual machine)
        goes on with the answer that it waited for, and only then notices its deadline. It is asked again right before
        each call that a recovery sends.
        """
        self._raise_if_lost()
        if (late := asyncio.get_running_loop().time() - self._alive_until) >= 0.0:
            self._lose(f"its lease ended {late:.1f} s ago, and only now does this process come to see that")
            self._raise_if_lost()

    async def release(self) -> None:
        """Revoke the lease; see `TopoLock.release`."""
        if self._released:
            return
        self._released = True
        self._keeper.cancel()
        self._owner.forget(self)
        try:
            await self._owner.tasks.finish(self._revoke(), f"release lock {self.key}")
        except TopoError:
            self._owner.tasks.start(self._revoke_later(), f"release lock {self.key} later")
            raise

    async def _revoke(self) -> None:
        """Revoke the lease, but do not delay the releasing task by a server that does not answer."""
        try:
            async with asyncio.timeout(_LONGEST_RELEASE):
                await self._lease.revoke()
        except TimeoutError:
            raise TopoTimeout(
                f"the topology server did not confirm within {_LONGEST_RELEASE:g} s that lock {self.key} is released; "
                "it ends with its lease"
            ) from None

    async def _revoke_later(self) -> None:
        """Try again until the lease has ended by itself: until then it keeps every process out, this one included."""
        while (remaining := self._alive_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(_RELEASE_PAUSE, remaining))
            with contextlib.suppress(TopoError):
                await self._revoke()
                return

    async def abandon(self, reason: str) -> None:
        """Set `lost` unless the lock is released already, and release it; an error of the release is ignored."""
        self._lose(reason)
        with contextlib.suppress(TopoError):
            await self.release()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._ttl / 3
        failure = ""
        try:
            while True:
                await asyncio.sleep(min(pause, max(0.0, self._alive_until - loop.time())))
                try:
                    async with asyncio.timeout_at(self._alive_until):
                        await self._refresh()
                    pause = self._ttl / 3
                except (TimeoutError, TopoError) as error:
                    failure = _text(error)
                    pause = min(_RETRY_PAUSE, self._ttl / 10)
                if self.lost.is_set():
                    return
                if loop.time() >= self._alive_until:
                    self._lose(f"its lease of {self._ttl:g} s could not be refreshed in time ({failure})")
                    return
        except Exception as error:
            self._lose(f"the task that refreshes it failed: {error!r}")

    async def _refresh(self) -> None:
        started = asyncio.get_running_loop().time()
        if not await self._lease.refresh():
            self._lose("the topology server no longer has its lease or its key")
            self._raise_if_lost()
        self._alive_until = max(self._alive_until, started + self._ttl)

    def _lose(self, reason: str) -> None:
        if not self._released and not self.lost.is_set():
            self._reason = reason
            self.lost.set()

    def _raise_if_lost(self) -> None:
        if self.lost.is_set():
            raise LockLost(f"lost topology lock {self.key}: {self._reason}; change nothing more under it")


class OwnedLocks:
    """The locks of one connection and the tasks that refresh them; both end with it."""

    def __init__(self) -> None:
        self.tasks = OwnedTasks()
        self._locks: dict[LeasedLock, None] = {}

    def add(self, key: str, lease: Lease, *, ttl: float, granted_at: float) -> LeasedLock:
        """Make a lock from a lease that was requested at `granted_at` (event loop's time), and start to refresh it."""
        lock = LeasedLock(key, lease, self, ttl=ttl, granted_at=granted_at)
        self._locks[lock] = None
        return lock

    def forget(self, lock: LeasedLock) -> None:
        """Drop a released lock."""
        del self._locks[lock]

    async def give_up(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the release of an unwanted lock or lease; if the server does not confirm it, the lease just ends."""
        with contextlib.suppress(TopoError, TimeoutError):
            await self.tasks.finish(_bounded(work), "give up a lock")

    async def close(self) -> None:
        """Abandon all locks, so that `lost` is set for each of them."""
        await asyncio.gather(*(lock.abandon("its connection was closed") for lock in tuple(self._locks)))
        await self.tasks.close()


async def _bounded(work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(_LONGEST_RELEASE):
        await work


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
