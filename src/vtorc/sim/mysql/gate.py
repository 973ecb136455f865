"""Running commits and the global read lock that waits for them; writes that a sick disk holds up."""

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vtorc.sim.engine.process import Life
from vtorc.sim.mysql.binlog import Change, Transaction
from vtorc.sim.mysql.settings import Disk

if TYPE_CHECKING:
    from vtorc.sim.mysql.server import SimMysqld


class Commit:
    """A statement that writes, from the moment it may to its end; `by_tablet` says that vttablet sent it."""

    __slots__ = ("by_tablet", "change", "done", "killed", "transaction", "waited")

    def __init__(self, change: Change, done: "asyncio.Future[Transaction]", *, by_tablet: bool) -> None:
        self.change = change
        self.by_tablet = by_tablet
        self.done = done
        self.killed = False
        self.waited = False
        self.transaction: Transaction | None = None


class CommitGate:
    """The commits that run, and the global read lock: it keeps new ones out and waits for those."""

    def __init__(self, server: "SimMysqld") -> None:
        self._server = server
        self._running: dict[Commit, None] = {}
        self._locks = 0
        self._queue: list[asyncio.Future[None]] = []
        self._idle: list[asyncio.Future[None]] = []

    @property
    def running(self) -> Sequence[Commit]:
        """The commits that run."""
        return list(self._running)

    @property
    def locked(self) -> bool:
        """Whether somebody has the global read lock, or waits for it."""
        return self._locks > 0

    def enter(self, commit: Commit) -> None:
        """Note that a commit runs."""
        self._running[commit] = None

    def leave(self, commit: Commit) -> None:
        """Note that a commit has ended, well or not."""
        self._running.pop(commit, None)
        if not self._running:
            waiters, self._idle = self._idle, []
            for waiter in waiters:
                resolve(waiter, None)

    async def lock(self) -> None:
        """Take the global read lock: keep new commits out and wait for the running ones, semi-sync waits included."""
        self._locks += 1
        if not self._running:
            return
        idle: asyncio.Future[None] = self._server.opened()
        self._idle.append(idle)
        try:
            await self._server.outcome(idle)
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Give the global read lock back."""
        self._locks = max(0, self._locks - 1)
        if not self._locks:
            queue, self._queue = self._queue, []
            for waiter in queue:
                resolve(waiter, None)

    async def passing(self) -> None:
        """Wait until nobody holds the global read lock."""
        while self._locks:
            waiter: asyncio.Future[None] = self._server.opened()
            self._queue.append(waiter)
            await self._server.outcome(waiter)

    def forget(self) -> None:
        """Lose everything, as at a crash."""
        self._running.clear()
        self._queue.clear()
        self._idle.clear()
        self._locks = 0


class SickDisk:
    """The disk of a server, and the writes that wait for it."""

    def __init__(self, server: "SimMysqld") -> None:
        self._server = server
        self._held_up: list[tuple[Life, Callable[..., None], tuple[Any, ...]]] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.state = Disk.FINE

    def hold_up(self, callback: Callable[..., None], *args: Any) -> bool:
        """Tell whether the disk keeps this write waiting; if so `callback` is called once it no longer does."""
        if not self.state.holds_up:
            return False
        self._held_up.append((self._server.life, callback, args))
        return True

    def become(self, state: Disk) -> None:
        """Make the disk sick or well; what was held up goes on, in order."""
        self.state = state
        if not state.holds_up:
            held_up, self._held_up = self._held_up, []
            for life, callback, args in held_up:
                self._server.in_life(life, callback, args)
        if state is not Disk.STALLED:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                resolve(future, None)

    async def probe(self) -> None:
        """Write a file of one's own, as a disk monitor does: hangs on a stalled disk, raises OSError on a full one."""
        while self.state is Disk.STALLED:
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(answered)
            await answered
        if self.state is not Disk.FINE:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def passing(self) -> None:
        """Wait until the disk answers."""
        if not self.state.holds_up:
            return
        passed: asyncio.Future[None] = self._server.opened()
        self.hold_up(resolve, passed, None)
        await self._server.outcome(passed)

    def forget(self) -> None:
        """Drop what was held up, as at a crash."""
        self._held_up.clear()


def resolve(future: "asyncio.Future[Any]", value: object) -> None:
    """Set a result unless there is an outcome already."""
    if not future.done():
        future.set_result(value)


def fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    """Set an error unless there is an outcome already."""
    if not future.done():
        future.set_exception(error)
