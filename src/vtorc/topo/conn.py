"""The interface to one root of one topology server, which every backend implements.

Paths are relative to the root of the connection and have no slash at either end, for example
`keyspaces/commerce/Keyspace`. Every call may raise TopoUnavailable (no answer in time) and TopoError (an unexpected
error as answer).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol

from vtorc.errors import NoNode
from vtorc.topo.tasks import all_of

Version = NewType("Version", int)
"""Version of one record, only to be handed back and compared for equality: its meaning differs between backends."""

DEFAULT_LEASE_TTL = 30.0
"""Seconds that a lock outlives its holder (Vitess' `--topo-etcd-lease-ttl`)."""

LOOK_AGAIN = 5.0
"""Seconds after which a waiting lock request reads the queue again, in case the notice of a change was lost."""


class Stored(NamedTuple):
    """Contents of a record, and their version."""

    contents: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A watched record in its present state; `stored` is None if it does not exist, or was deleted."""

    path: str
    stored: Stored | None


class TopoLock(Protocol):
    """A lock that this process holds for as long as its lease is kept alive."""

    @property
    def key(self) -> str:
        """Full name of the lock's own key on the server."""
        ...

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lock is lost, or must be assumed lost; not set by `release`."""
        ...

    async def check(self) -> None:
        """Ask the server whether this process still holds the lock; this also prolongs it.

        Raises LockLost if it does not, or if the server does not confirm it.
        """
        ...

    def check_clock(self) -> None:
        """Raise LockLost if another process may hold the lock by now, by this process's own clock; asks no server."""
        ...

    async def release(self) -> None:
        """Release the lock; runs to its end even if the caller is cancelled. A second call does nothing.

        Raises TopoUnavailable if the server does not confirm it: the lock then ends with its lease.
        """
        ...


class TopoConn(Protocol):
    """One root of one topology server."""

    async def get(self, path: str) -> Stored:
        """Read one record; raises NoNode."""
        ...

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory, sorted.

        Raises NoNode if there are none: a directory exists only while there are records below it.
        """
        ...

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory, at any depth, in one round trip, sorted by path.

        The result is empty if there are none. Raises TopoUnsupported where the server has no such call.
        """
        ...

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a record that must not exist yet; raises NodeExists."""
        ...

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record if it still has this version; None writes in any case, also a record that does not exist.

        Raises BadVersion, or NoNode if the record was deleted.
        """
        ...

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record if it still has this version, None deletes any version; raises BadVersion or NoNode."""
        ...

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Queue for the lock of a directory, which must have records below it; operators read the `contents`.

        `ttl` is the seconds that the lock outlives its holder, None the backend's default. `timeout` is the most
        seconds to wait, None for no limit. Raises NoNode, LockHeld after `timeout`, or LockLost when the place in the
        queue was lost. A call that raises or is cancelled leaves no key behind.
        """
        ...

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take the lock of a directory if its queue is empty; never waits. Raises LockHeld or NoNode."""
        ...

    def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Yield one record in its present state, existing or not, and then after each change, until closed.

        Only the latest state counts: states in between may be left out, and one may come twice. The watch itself
        recovers from a broken connection and from compacted history; if it cannot, it raises TopoUnavailable. Leave it
        with `contextlib.aclosing`.
        """
        ...

    def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Yield all records below a directory, perhaps none, and then those that changed, as `watch` does.

        Raises TopoUnsupported where the server has no such call.
        """
        ...

    async def close(self) -> None:
        """End watches, abandon locks and close the connection; later calls raise TopoUnavailable."""
        ...


def differences(before: Mapping[str, Stored], now: Mapping[str, Stored]) -> list[RecordChange]:
    """Return the differences between two states by path: changed and new records, then deleted ones."""
    changed = [RecordChange(path, stored) for path, stored in now.items() if before.get(path) != stored]
    return changed + [RecordChange(path, None) for path in before if path not in now]


async def names_in(conn: TopoConn, directory: str) -> Sequence[str]:
    """List the names directly below a directory; none if it does not exist."""
    try:
        return await conn.list_dir(directory)
    except NoNode:
        return ()


async def read_each(conn: TopoConn, wanted: Iterable[str]) -> Mapping[str, Stored]:
    """Read records with one call each, all at the same time; records that do not exist are left out."""

    async def read(path: str) -> tuple[str, Stored] | None:
        try:
            return path, await conn.get(path)
        except NoNode:
            return None

    return dict(filter(None, await all_of([read(path) for path in wanted])))
