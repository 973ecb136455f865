"""What vtorc asks of one root of one topology server: the interface that every backend implements.

Paths are relative to the root of the connection and have no slash at either end, for example
`keyspaces/commerce/Keyspace`. Every call may raise TopoUnavailable (nobody answered in time) and TopoError (it was
answered with an unexpected error).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol

from vtorc.errors import NoNode
from vtorc.topo.tasks import all_of

Version = NewType("Version", int)
"""Version of one record, to be handed back and compared for equality only; what it counts differs between backends."""

DEFAULT_LEASE_TTL = 30.0
"""Seconds that a lock outlives its holder (Vitess' `--topo-etcd-lease-ttl`)."""

LOOK_AGAIN = 5.0
"""Seconds after which who waits for a lock looks at the line again, should the news of a change have been lost."""


class Stored(NamedTuple):
    """Contents of a record and the version that they have."""

    contents: bytes
    version: Version


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record of a watch as it is now; None where there is none, or none any more."""

    path: str
    stored: Stored | None


class TopoLock(Protocol):
    """A lock that somebody has, for as long as its lease is kept alive."""

    @property
    def key(self) -> str:
        """Full name of the lock's own key on the server."""
        ...

    @property
    def lost(self) -> asyncio.Event:
        """Set as soon as the lock is known, or must be assumed, not to be ours any more; not set by `release`."""
        ...

    async def check(self) -> None:
        """Ask the server whether the lock is still ours, which also prolongs it.

        Raises LockLost if it is not, or if nobody can tell.
        """
        ...

    async def release(self) -> None:
        """Give the lock up; runs to its end even if the caller is cancelled. Doing it twice does nothing.

        Raises TopoUnavailable if the server could not be told: the lock then ends with its lease.
        """
        ...


class TopoConn(Protocol):
    """One root of one topology server."""

    async def get(self, path: str) -> Stored:
        """Read one record; raises NoNode."""
        ...

    async def list_dir(self, path: str) -> Sequence[str]:
        """Name what is directly below a directory, sorted.

        Raises NoNode if that is nothing: directories exist by what is in them.
        """
        ...

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory at any depth in one round trip, sorted by path; empty if there are none.

        Raises TopoUnsupported where the server has no such call.
        """
        ...

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a record that must not exist yet; raises NodeExists."""
        ...

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record if it still has the version given; None writes in any case, also a record that does not exist.

        Raises BadVersion, or NoNode if the record is gone.
        """
        ...

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record if it still has the version given; None deletes any. Raises BadVersion or NoNode."""
        ...

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Wait in line for the lock of a directory that must have something below it; `contents` are for people.

        `ttl` is the seconds that the lock outlives its holder, None the backend's default; `timeout` the most seconds
        to wait. Raises NoNode, LockHeld when the time is over, LockLost when the place in the line was lost. When it
        raises or is cancelled, nothing of it is left behind.
        """
        ...

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take the lock of a directory if nobody holds or waits for it; never waits. Raises LockHeld or NoNode."""
        ...

    def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Follow one record: first as it is now, existing or not, then each time it changed, until closed or an error.

        Only the latest state counts: what happened in between may be left out, and a state may come twice. Broken
        connections and compacted history are got over inside; TopoUnavailable ends it if that does not succeed.
        Leave it with `contextlib.aclosing`.
        """
        ...

    def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Follow all records below a directory: first all there are, perhaps none, then what changed, as `watch` does.

        Raises TopoUnsupported where the server has no such call.
        """
        ...

    async def close(self) -> None:
        """End watches, give up locks and close the connection; calls after that raise TopoUnavailable."""
        ...


def join(root: str, path: str) -> str:
    """Name the key of a path below a root; a leading slash of the root stays, doubled slashes do not."""
    parts = [part for part in f"{root}/{path}".split("/") if part]
    return ("/" if root.startswith("/") else "") + "/".join(parts)


def below(key: str) -> str:
    """Name what all keys below a key begin with; the root `/` ends with its slash already."""
    return key if key.endswith("/") else f"{key}/"


def differences(before: Mapping[str, Stored], now: Mapping[str, Stored]) -> list[RecordChange]:
    """List what became different, by path: changed and new records, then those that are gone."""
    changed = [RecordChange(path, stored) for path, stored in now.items() if before.get(path) != stored]
    return changed + [RecordChange(path, None) for path in before if path not in now]


async def names_in(conn: TopoConn, directory: str) -> Sequence[str]:
    """Name what is directly below a directory; nothing if it does not exist."""
    try:
        return await conn.list_dir(directory)
    except NoNode:
        return ()


async def read_each(conn: TopoConn, wanted: Iterable[str]) -> Mapping[str, Stored]:
    """Read records one by one, at once; those that do not exist are left out."""

    async def read(path: str) -> tuple[str, Stored] | None:
        try:
            return path, await conn.get(path)
        except NoNode:
            return None

    return dict(filter(None, await all_of([read(path) for path in wanted])))
