"""A topology server inside the process, for tests and the simulator: plain asyncio without threads, so repeatable.

All time is the event loop's. It has no faults and no delays: a wrapper around a connection adds them.
"""

import asyncio
import bisect
from collections.abc import Sequence

from vtorc.errors import BadVersion, LockHeld, NodeExists, NoNode
from vtorc.topo.conn import DEFAULT_LEASE_TTL
from vtorc.topo.embedded import EmbeddedConn, Row
from vtorc.topo.lock_contents import describe_lock


class MemoryStore:
    """Records and locks, shared by all connections that `connect` makes; see `embedded.Store`."""

    def __init__(self, *, lease_ttl: float = DEFAULT_LEASE_TTL) -> None:
        self._lease_ttl = lease_ttl
        self._rows: dict[str, Row] = {}
        self._sorted: list[str] = []
        self._revision = 0
        self._last_lease = 0
        self._leases: dict[int, tuple[str, asyncio.TimerHandle]] = {}
        self._subscribers: dict[str, dict[asyncio.Event, None]] = {}

    def connect(self, root: str) -> EmbeddedConn:
        """Connect to one root of the store."""
        return EmbeddedConn(self, root, lease_ttl=self._lease_ttl)

    async def get(self, key: str) -> Row:
        """Read one key."""
        row = self._rows.get(key)
        if row is None:
            raise NoNode(key)
        return row

    async def scan(self, prefix: str) -> Sequence[Row]:
        """Read all keys below a prefix."""
        return [self._rows[key] for key in self._below(prefix)]

    async def keys(self, prefix: str) -> Sequence[str]:
        """List all keys below a prefix."""
        return self._below(prefix)

    async def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key."""
        row = self._rows.get(key)
        if expected == 0 and row is not None:
            raise NodeExists(key)
        if expected:
            self._expect(key, expected)
        return self._write(key, contents).version

    async def delete(self, key: str, expected: int | None) -> None:
        """Delete a key."""
        self._expect(key, expected)
        self._remove(key)

    def new_lease(self) -> int:
        """Return the next number."""
        self._last_lease += 1
        return self._last_lease

    async def enqueue(self, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool) -> Row:
        """Put a key into the queue for a lock."""
        if not self._below(f"{directory}/"):
            raise NoNode(directory)
        queue = self._below(f"{directory}/locks/")
        if queue and only_if_free:
            holder = min((self._rows[key] for key in queue), key=lambda row: row.created)
            raise LockHeld(directory, describe_lock(holder.contents))
        row = self._write(f"{directory}/locks/{lease}", contents)
        self._leases[lease] = (row.key, self._timer(lease, ttl))
        return row

    async def refresh(self, lease: int, ttl: float) -> bool:
        """Prolong a lease."""
        key, timer = self._leases.get(lease, ("", None))
        if timer is None or key not in self._rows:
            return False
        timer.cancel()
        self._leases[lease] = (key, self._timer(lease, ttl))
        return True

    async def revoke(self, lease: int) -> None:
        """End a lease."""
        self._expire(lease)

    def subscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Set `signal` at each change of the key, or, for a prefix that ends with a slash, of a key below it."""
        self._subscribers.setdefault(prefix, {})[signal] = None

    def unsubscribe(self, prefix: str, signal: asyncio.Event) -> None:
        """Undo `subscribe`."""
        signals = self._subscribers[prefix]
        del signals[signal]
        if not signals:
            del self._subscribers[prefix]

    async def release(self) -> None:
        """Do nothing: the store lives as long as there is a reference to it."""

    def _below(self, prefix: str) -> list[str]:
        first = bisect.bisect_left(self._sorted, prefix)
        last = bisect.bisect_left(self._sorted, f"{prefix[:-1]}0", first)  # 0 is the character after the slash
        return self._sorted[first:last]

    def _expect(self, key: str, expected: int | None) -> None:
        row = self._rows.get(key)
        if row is None:
            raise NoNode(key)
        if expected is not None and row.version != expected:
            raise BadVersion(key)

    def _write(self, key: str, contents: bytes) -> Row:
        self._revision += 1
        before = self._rows.get(key)
        if before is None:
            bisect.insort(self._sorted, key)
        row = Row(key, contents, self._revision, before.created if before else self._revision)
        self._rows[key] = row
        self._notify(key)
        return row

    def _remove(self, key: str) -> None:
        self._revision += 1
        del self._rows[key]
        del self._sorted[bisect.bisect_left(self._sorted, key)]
        self._notify(key)

    def _notify(self, key: str) -> None:
        for prefix, signals in self._subscribers.items():
            if key == prefix or (prefix.endswith("/") and key.startswith(prefix)):
                for signal in signals:
                    signal.set()

    def _timer(self, lease: int, ttl: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(ttl, self._expire, lease)

    def _expire(self, lease: int) -> None:
        key, timer = self._leases.pop(lease, ("", None))
        if timer is not None:
            timer.cancel()
        if key in self._rows:
            self._remove(key)
