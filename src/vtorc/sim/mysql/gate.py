"""Running commits, and the global read lock that waits for them."""

import asyncio
from collections.abc import Sequence

from vtorc.sim.mysql.binlog import Change, Transaction
from vtorc.sim.mysql.mysqld_process import MysqldProcess, resolve


class Commit:
    """A write statement from the moment at which the read-only switches let it pass to its end.

    `by_tablet` says that vttablet sent it, `waited` that it had to be acknowledged.
    """

    __slots__ = ("by_tablet", "change", "done", "killed", "transaction", "waited")

    def __init__(self, change: Change, done: "asyncio.Future[Transaction]", *, by_tablet: bool) -> None:
        self.change = change
        self.by_tablet = by_tablet
        self.done = done
        self.killed = False
        self.waited = False
        self.transaction: Transaction | None = None


class CommitGate:
    """The running commits and the global read lock, which keeps new commits out and waits for the running ones."""

    def __init__(self, mysqld: MysqldProcess) -> None:
        self._mysqld = mysqld
        self._running: dict[Commit, None] = {}
        self._locks = 0
        self._queue: list[asyncio.Future[None]] = []
        self._idle: list[asyncio.Future[None]] = []

    @property
    def running(self) -> Sequence[Commit]:
        """The running commits, oldest first."""
        return list(self._running)

    @property
    def locked(self) -> bool:
        """Whether the global read lock is held or waited for."""
        return self._locks > 0

    def enter(self, commit: Commit) -> None:
        """Note that a commit runs."""
        self._running[commit] = None

    def leave(self, commit: Commit) -> None:
        """Note that a commit has ended, with or without success."""
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
        idle: asyncio.Future[None] = self._mysqld.new_wait()
        self._idle.append(idle)
        try:
            await self._mysqld.wait(idle)
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Release the global read lock."""
        self._locks = max(0, self._locks - 1)
        if not self._locks:
            queue, self._queue = self._queue, []
            for waiter in queue:
                resolve(waiter, None)

    async def wait_unlocked(self) -> None:
        """Wait until the global read lock is free."""
        while self._locks:
            waiter: asyncio.Future[None] = self._mysqld.new_wait()
            self._queue.append(waiter)
            await self._mysqld.wait(waiter)

    def forget(self) -> None:
        """Drop commits and locks, as a crash does."""
        self._running.clear()
        self._queue.clear()
        self._idle.clear()
        self._locks = 0
