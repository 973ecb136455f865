"""The embedded topology server: one SQLite file, shared by the processes of one machine.

SQLite's calls block for the time of a disk write, so they run in one thread that the store owns. The store notices
changes by other processes, and the ends of leases, by reading the file's revision a few times a second. It does so only
while there is a watch or a queued lock request.
"""

import asyncio
import concurrent.futures
import functools
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vtorc.errors import TopoError, TopoUnavailable
from vtorc.topo.conn import DEFAULT_LEASE_TTL
from vtorc.topo.embedded import EmbeddedConn, Row
from vtorc.topo.local_file import TopoFile
from vtorc.topo.tasks import OwnedTasks

Result = TypeVar("Result")

_POLL_SECONDS = 0.1
"""Seconds between two looks at the revision of the file."""

BUSY_TIMEOUT = 5.0
"""Seconds to wait while another process keeps the file locked."""


class LocalStore:
    """An open topology file; see `embedded.Store`. It closes itself when its last connection does."""

    def __init__(self, file: TopoFile, thread: concurrent.futures.ThreadPoolExecutor, *, lease_ttl: float) -> None:
        self._file = file
        self._thread = thread
        self._lease_ttl = lease_ttl
        self._connections = 0
        self._subscribers: dict[asyncio.Event, None] = {}
        self._tasks = OwnedTasks()
        self._poller: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, *, busy_timeout: float = BUSY_TIMEOUT, lease_ttl: float = DEFAULT_LEASE_TTL
    ) -> "LocalStore":
        """Open a topology file, or create it; raises TopoMisconfigured if it cannot be used."""
        thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="topology file")
        opening = functools.partial(TopoFile, path, busy_timeout=busy_timeout)
        try:
            file = await asyncio.get_running_loop().run_in_executor(thread, opening)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(file, thread, lease_ttl=lease_ttl)

    @property
    def is_closed(self) -> bool:
        """Whether the file is closed, together with the last connection."""
        return self._connections < 0

    def connect(self, root: str) -> EmbeddedConn:
        """Connect to one root of the file."""
        self._connections += 1
        return EmbeddedConn(self, root, lease_ttl=self._lease_ttl)

    async def release(self) -> None:
        """Close the file after its last connection."""
        self._connections -= 1
        if self._connections == 0:
            self._connections = -1
            await self._tasks.close()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
            self._thread.shutdown(wait=False)

    async def get(self, key: str) -> Row:
        """Read one key."""
        return await self._run(self._file.get, key)

    async def scan(self, prefix: str) -> Sequence[Row]:
        """Read all keys below a prefix."""
        return await self._run(self._file.scan, prefix)

    async def keys(self, prefix: str) -> Sequence[str]:
        """List all keys below a prefix."""
        return await self._run(self._file.keys, prefix)

    async def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key."""
        return await self._change(self._file.put, key, contents, expected)

    async def delete(self, key: str, expected: int | None) -> None:
        """Delete a key."""
        await self._change(self._file.delete, key, expected)

    def new_lease(self) -> int:
        """Return a random number, as etcd does."""
        return secrets.randbits(62) | 1

    async def enqueue(self, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool) -> Row:
        """Put a key into the queue for a lock."""
        enqueue = functools.partial(self._file.enqueue, ttl=ttl, only_if_free=only_if_free)
        return await self._change(enqueue, directory, lease, contents)

    async def refresh(self, lease: int, ttl: float) -> bool:
        """Prolong a lease."""
        return await self._run(self._file.refresh, lease, ttl)

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        await self._change(self._file.revoke, lease)

    def subscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Set `signal` at each change of the file."""
        self._subscribers[signal] = None
        if self._poller is None or self._poller.done():
            self._poller = self._tasks.start(self._poll(), "poll topology file")

    def unsubscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Undo `subscribe`."""
        self._subscribers.pop(signal, None)

    async def _run(self, call: Callable[..., Result], *arguments: object) -> Result:
        if self.is_closed:
            raise TopoUnavailable("this process has closed the topology file")
        return await asyncio.get_running_loop().run_in_executor(self._thread, functools.partial(call, *arguments))

    async def _change(self, call: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await self._run(call, *arguments)
        finally:
            self._notify()

    def _notify(self) -> None:
        for signal in self._subscribers:
            signal.set()

    async def _poll(self) -> None:
        seen: object = None
        while self._subscribers:
            try:
                now: object = await self._run(self._file.poll)
            except TopoError as error:
                now = error  # each subscriber meets the error at its next call
            if now != seen:
                seen = now
                self._notify()
            await asyncio.sleep(_POLL_SECONDS)
