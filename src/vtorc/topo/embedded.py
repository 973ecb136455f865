"""Connections to a store that this process can access directly: records, locks and watches over a few primitives.

A store has the layout of Vitess' etcd. A lock is a key `<directory>/locks/<lease in decimal>`, which is deleted with
its lease; the key created first holds the lock. So lists and watches give the same result for every backend.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vtorc.errors import LockHeld, LockLost, NoNode, TopoUnavailable
from vtorc.topo.conn import LOOK_AGAIN, RecordChange, Stored, TopoLock, Version
from vtorc.topo.lease import LeasedLock, OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.root import TopoRoot


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a store; `version` and `created` are revisions of the whole store."""

    key: str
    contents: bytes
    version: int
    created: int


class Store(Protocol):
    """The operations of a store, each atomic. Keys include the root; keys of ended leases are never returned."""

    async def get(self, key: str) -> Row:
        """Read one key; raises NoNode."""
        ...

    async def scan(self, prefix: str) -> Sequence[Row]:
        """Read all keys below a prefix that ends with a slash, sorted by key."""
        ...

    async def keys(self, prefix: str) -> Sequence[str]:
        """List all keys below a prefix that ends with a slash, sorted."""
        ...

    async def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key if it has the expected version, and return the new one.

        0 expects that the key does not exist, None expects nothing. Raises NodeExists, NoNode or BadVersion.
        """
        ...

    async def delete(self, key: str, expected: int | None) -> None:
        """Delete a key if it has the expected version, None any; raises NoNode or BadVersion."""
        ...

    def new_lease(self) -> int:
        """Return a number that no other lease has."""
        ...

    async def enqueue(self, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool) -> Row:
        """Put a key into the queue for a lock, under a new lease.

        Raises NoNode if the directory has no records, LockHeld with `only_if_free` if the queue is not empty.
        """
        ...

    async def refresh(self, lease: int, ttl: float) -> bool:
        """Prolong a lease; false if it has ended or its key was deleted."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its key."""
        ...

    def subscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Set `signal` whenever a key at or below the prefix changes; a store may set it more often."""
        ...

    def unsubscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Undo `subscribe`."""
        ...

    async def release(self) -> None:
        """Note that one of the store's connections was closed."""
        ...


class _StoreLease:
    """One lease of a store."""

    def __init__(self, store: Store, lease: int, ttl: float) -> None:
        self._store = store
        self._lease = lease
        self._ttl = ttl

    async def refresh(self) -> bool:
        return await self._store.refresh(self._lease, self._ttl)

    async def revoke(self) -> None:
        await self._store.revoke(self._lease)


class EmbeddedConn:
    """One root of a store; see `TopoConn`."""

    def __init__(self, store: Store, root: str, *, lease_ttl: float) -> None:
        self._store = store
        self._root = TopoRoot(root)
        self._lease_ttl = lease_ttl
        self._locks = OwnedLocks()
        self._signals: dict[asyncio.Event, None] = {}
        self._closed = False

    async def get(self, path: str) -> Stored:
        """Read one record."""
        return _stored(await self._open.get(self._root.key(path)))

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory."""
        prefix = self._root.prefix(path)
        names = {key.removeprefix(prefix).partition("/")[0] for key in await self._open.keys(prefix)}
        if not names:
            raise NoNode(prefix)
        return sorted(names)

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory."""
        return {self._root.path(row.key): _stored(row) for row in await self._open.scan(self._root.prefix(path))}

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a new record."""
        return Version(await self._open.put(self._root.key(path), contents, 0))

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record."""
        return Version(await self._open.put(self._root.key(path), contents, version))

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record."""
        await self._open.delete(self._root.key(path), version)

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Queue for a lock."""
        key = self._root.key(directory)
        lock, row = await self._enqueue(key, contents, ttl, only_if_free=False)
        ahead: Sequence[Row] = ()
        try:
            async with asyncio.timeout(timeout):
                with self._changes(f"{key}/locks/") as signal:
                    while True:
                        signal.clear()
                        queue = await self._open.scan(f"{key}/locks/")
                        ahead = sorted((other for other in queue if other.created < row.created), key=_created)
                        if row not in queue:
                            raise LockLost(f"the place in the queue for lock {row.key} was lost; ask for it again")
                        if not ahead:
                            return lock
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(LOOK_AGAIN):
                                await signal.wait()
        except TimeoutError:
            await self._locks.give_up(lock.release())
            raise LockHeld(key, describe_lock(ahead[0].contents) if ahead else "another process") from None
        except BaseException:
            await self._locks.give_up(lock.release())
            raise

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take a lock that is free."""
        lock, _ = await self._enqueue(self._root.key(directory), contents, ttl, only_if_free=True)
        return lock

    async def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Watch one record."""
        key = self._root.key(path)
        with self._changes(key) as signal:
            last: Stored | None = None
            first = True
            while True:
                signal.clear()
                try:
                    now: Stored | None = _stored(await self._open.get(key))
                except NoNode:
                    now = None
                if first or now != last:
                    yield RecordChange(path, now)
                first, last = False, now
                await signal.wait()

    async def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Watch all records below a directory."""
        prefix = self._root.prefix(path)
        with self._changes(prefix) as signal:
            known: dict[str, Row] = {}
            first = True
            while True:
                signal.clear()
                now = {row.key: row for row in await self._open.scan(prefix)}
                changes = [self._change(row) for key, row in now.items() if known.get(key) != row]
                changes += [RecordChange(self._root.path(key), None) for key in known if key not in now]
                if first or changes:
                    yield changes
                first, known = False, now
                await signal.wait()

    async def close(self) -> None:
        """Abandon the locks, end the watches and close the connection."""
        if self._closed:
            return
        self._closed = True
        for signal in self._signals:
            signal.set()
        await self._locks.close()
        await self._store.release()

    @property
    def _open(self) -> Store:
        if self._closed:
            raise TopoUnavailable(f"this process has closed its connection to topology {self._root.text}")
        return self._store

    async def _enqueue(
        self, key: str, contents: bytes, ttl: float | None, *, only_if_free: bool
    ) -> tuple[LeasedLock, Row]:
        seconds = self._lease_ttl if ttl is None else ttl
        number = self._open.new_lease()
        lease = _StoreLease(self._store, number, seconds)
        granted_at = asyncio.get_running_loop().time()
        try:
            row = await self._store.enqueue(key, number, contents, ttl=seconds, only_if_free=only_if_free)
        except BaseException:
            await self._locks.give_up(lease.revoke())  # cancelled or failed, the store may have carried it out
            raise
        return self._locks.add(row.key, lease, ttl=seconds, granted_at=granted_at), row

    @contextlib.contextmanager
    def _changes(self, prefix: str) -> Iterator[asyncio.Event]:
        signal = asyncio.Event()
        self._open.subscribe(prefix, signal)
        self._signals[signal] = None
        try:
            yield signal
        finally:
            self._signals.pop(signal, None)
            self._store.unsubscribe(prefix, signal)

    def _change(self, row: Row) -> RecordChange:
        return RecordChange(self._root.path(row.key), _stored(row))


def _created(row: Row) -> int:
    return row.created


def _stored(row: Row) -> Stored:
    return Stored(row.contents, Version(row.version))
