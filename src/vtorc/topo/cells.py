"""The topology connections of one process: to the global server, and to each cell's server by its CellInfo."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vtorc.errors import BadRecord, TopoMisconfigured, TopoTimeout, TopoUnavailable, VtorcError
from vtorc.proto import topodata_pb2
from vtorc.topo import paths, records
from vtorc.topo.conn import RecordChange, Stored, TopoConn, TopoLock, Version
from vtorc.topo.shared_reading import SharedReading
from vtorc.topo.tasks import OwnedTasks

Result = TypeVar("Result")

OpenConn = Callable[[str, str, str], Awaitable[TopoConn]]
"""Connects to the topology of a cell, at a server address and a root, both as in its CellInfo."""

CallListener = Callable[[str, str, float, bool], None]
"""Told of each call that has ended: its operation by Vitess' name, the cell, its seconds, and whether it failed."""

GLOBAL_CELL = "global"
"""Vitess' name for the global topology among the cells."""

_GRACE = 0.5
"""Seconds past the deadline in which a backend may report it itself, with a better reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopoLimits:
    """Limits of the calls to topology servers; times in seconds, defaults those of Vitess' flags."""

    read_concurrency: int = 32
    remote_operation_timeout: float = 15.0
    lock_timeout: float = 45.0


class BoundedConn:
    """A connection with a deadline for each call and a limit on concurrent reads; see `TopoConn`."""

    def __init__(
        self, conn: TopoConn, limits: TopoLimits, *, cell: str = GLOBAL_CELL, listener: CallListener | None = None
    ) -> None:
        self.name = "the global topology" if cell == GLOBAL_CELL else f"the topology of cell {cell}"
        self._cell = cell
        self._listener = listener
        self._conn = conn
        self._timeout = limits.remote_operation_timeout
        self._reading = asyncio.Semaphore(limits.read_concurrency)
        self._tasks = OwnedTasks()
        self._listings: dict[str, SharedReading[Mapping[str, Stored]]] = {}

    async def get(self, path: str) -> Stored:
        """Read one record."""
        return await self._read("Get", f"read {path}", lambda: self._conn.get(path))

    async def list_dir(self, path: str) -> Sequence[str]:
        """List the names directly below a directory."""
        return await self._read("ListDir", f"list {path}", lambda: self._conn.list_dir(path))

    async def list(self, path: str) -> Mapping[str, Stored]:
        """Read all records below a directory; concurrent callers share a reading that began after they had asked."""
        if path not in self._listings:
            self._listings[path] = SharedReading(lambda: self._list(path), self._tasks, f"read all of {path}")
        return await self._listings[path].get()

    async def _list(self, path: str) -> Mapping[str, Stored]:
        return await self._read("List", f"read all of {path}", lambda: self._conn.list(path))

    async def create(self, path: str, contents: bytes) -> Version:
        """Write a new record."""
        return await self._within("Create", f"create {path}", self._conn.create(path, contents))

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        """Write a record."""
        return await self._within("Update", f"update {path}", self._conn.update(path, contents, version))

    async def delete(self, path: str, version: Version | None) -> None:
        """Delete a record."""
        await self._within("Delete", f"delete {path}", self._conn.delete(path, version))

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        """Queue for a lock; bounded by `timeout` alone."""
        return await self._conn.lock(directory, contents, ttl=ttl, timeout=timeout)

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        """Take a lock that is free."""
        return await self._within("Lock", f"lock {directory}", self._conn.try_lock(directory, contents, ttl=ttl))

    def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        """Watch one record."""
        return self._conn.watch(path)

    def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        """Watch all records below a directory."""
        return self._conn.watch_prefix(path)

    async def close(self) -> None:
        """Close the connection."""
        await self._tasks.close()
        await self._conn.close()

    async def within(self, action: str, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` within the deadline of one call; raises TopoTimeout, which names the action."""
        try:
            async with asyncio.timeout(self._timeout + _GRACE):
                return await work
        except TimeoutError:
            raise TopoTimeout(
                f"{self.name} did not {action} within {self._timeout:g} s; "
                "check that its server runs and can be reached from here"
            ) from None

    async def _within(self, operation: str, action: str, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` within the deadline of one call, and tell how it ended; a call that is cancelled is not told."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            result = await self.within(action, work)
        except Exception:
            self._tell(operation, clock() - started, failed=True)
            raise
        self._tell(operation, clock() - started, failed=False)
        return result

    def _tell(self, operation: str, seconds: float, *, failed: bool) -> None:
        if self._listener is not None:
            self._listener(operation, self._cell, seconds, failed)

    async def _read(self, operation: str, action: str, call: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        async def in_turn() -> Result:
            async with self._reading:
                return await call()

        return await self._within(operation, action, in_turn())


Place = tuple[str, str]
"""Server address and root of a cell's topology."""


@dataclass(slots=True)
class _Cell:
    """The connection to one cell's topology, and the reading of its CellInfo that is under way."""

    opening: asyncio.Lock
    place: Place = ("", "")
    conn: BoundedConn | None = None
    reading: asyncio.Task[Place] | None = None


class CellConns:
    """Connections to the cells' topologies, opened on first use and again when a CellInfo changes."""

    def __init__(
        self,
        global_conn: BoundedConn,
        open_conn: OpenConn,
        limits: TopoLimits,
        *,
        listener: CallListener | None = None,
    ) -> None:
        self._global = global_conn
        self._open_conn = open_conn
        self._limits = limits
        self._listener = listener
        self._cells: dict[str, _Cell] = {}
        self._tasks = OwnedTasks()

    async def get(self, cell: str) -> BoundedConn:
        """Return a connection to a cell. Its CellInfo is read each time; while that fails, the last one is used.

        Raises NoNode for an unknown cell, BadRecord, TopoMisconfigured or TopoUnavailable.
        """
        return await self.connect(cell, await self.place(cell))

    async def place(self, cell: str) -> Place:
        """Return a cell's address and root, as in the global topology; concurrent callers share one reading.

        This is the first half of `get`.
        """
        known = self._known(cell)
        if known.reading is None or known.reading.done():
            known.reading = self._tasks.start(self._place(cell), f"read where cell {cell} is")
        try:
            return await asyncio.shield(known.reading)
        except TopoUnavailable:
            if known.conn is None:
                raise
            return known.place

    async def connect(self, cell: str, place: Place) -> BoundedConn:
        """Return a connection to a cell's own topology; the second half of `get`."""
        known = self._known(cell)
        async with known.opening:
            if known.conn is not None and known.place != place:
                outdated, known.conn = known.conn, None
                await outdated.close()
            if known.conn is None:
                conn = await self._opened(cell, place)
                known.conn = BoundedConn(conn, self._limits, cell=cell, listener=self._listener)
                known.place = place
            return known.conn

    async def _opened(self, cell: str, place: Place) -> TopoConn:
        """Open a connection; an error of a library is one of this cell, and ends no reading of the others."""
        try:
            return await self._open_conn(cell, *place)
        except (VtorcError, TimeoutError):
            raise
        except Exception as error:
            raise TopoMisconfigured(
                f"no connection to cell {cell!a} can be made: its record names the server {place[0]!a} and the root "
                f"{place[1]!a} ({error})"
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        async with contextlib.AsyncExitStack() as stack:  # a connection that fails to close leaves no other open
            for known in self._cells.values():
                if known.conn is not None:
                    stack.push_async_callback(known.conn.close)
            stack.push_async_callback(self._tasks.close)

    def _known(self, cell: str) -> _Cell:
        return self._cells.setdefault(cell, _Cell(asyncio.Lock()))

    async def _place(self, cell: str) -> Place:
        path = paths.cell_info(cell)
        stored = await self._global.get(path)
        info = records.parse(path, stored.contents, topodata_pb2.CellInfo)
        if not info.server_address:
            raise BadRecord(path, "it has no server_address")
        return info.server_address, info.root
