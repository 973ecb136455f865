"""Typed access to the topology: reading, changing, locking and watching its records."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Set
from typing import TypeVar

from google.protobuf.message import Message

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.errors import BadRecord, NoNode, TopoError
from vtorc.proto import topodata_pb2
from vtorc.topo import edit, paths, records
from vtorc.topo.cells import BoundedConn, CallListener, CellConns, OpenConn, TopoLimits
from vtorc.topo.conn import TopoConn, names_in, read_each
from vtorc.topo.follow import follow_record, follow_tablets
from vtorc.topo.lock_contents import Holder, lock_contents
from vtorc.topo.shard_lock import ShardLock
from vtorc.topo.tablets import CellTablets, ShardTablets, named_in_cell, tablets_in_cell, tablets_of_shard_in_cell
from vtorc.topo.tasks import all_of

Record = TypeVar("Record", bound=Message)
Found = TypeVar("Found")

_SILENT_FOR = 10.0
"""Seconds for which a cell that did not answer gets a shorter patience."""


class TopoServer:
    """The topology of the cluster for one process: the global records, and through them those of the cells.

    Each call may raise TopoUnavailable, within the remote operation timeout, and TopoError. An invalid record raises
    BadRecord where a call reads that record alone; a call that reads many reports it beside the others.
    """

    def __init__(
        self,
        global_conn: TopoConn,
        open_conn: OpenConn,
        *,
        limits: TopoLimits | None = None,
        holder: Holder | None = None,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Use a global connection, and `open_conn` for those of the cells.

        `holder` and `wall` (nanoseconds since the Unix epoch) go into the contents of locks.
        """
        self._silent_until: dict[str, float] = {}
        self._limits = limits or TopoLimits()
        self._listeners: list[CallListener] = []
        self._global = BoundedConn(global_conn, self._limits, listener=self._tell)
        self._cells = CellConns(self._global, open_conn, self._limits, listener=self._tell)
        self._holder = holder or Holder.this_process()
        self._wall = wall

    def hear_calls(self, listener: CallListener) -> None:
        """Tell `listener` of each further call."""
        self._listeners.append(listener)

    def _tell(self, operation: str, cell: str, seconds: float, failed: bool) -> None:
        for listener in self._listeners:
            listener(operation, cell, seconds, failed)

    async def cells(self) -> tuple[str, ...]:
        """List the names of all cells."""
        return tuple(await names_in(self._global, paths.CELLS))

    async def keyspaces(self) -> tuple[str, ...]:
        """List the names of all keyspaces; one that is being deleted may have lost its record already."""
        return tuple(await names_in(self._global, paths.KEYSPACES))

    async def shards(self, keyspace: str) -> tuple[ShardId, ...]:
        """List all shards of a keyspace; one that is being deleted may have lost its record already."""
        return tuple(ShardId(keyspace, name) for name in await names_in(self._global, paths.shards(keyspace)))

    async def keyspace(self, name: str) -> KeyspaceRecord:
        """Read a keyspace record; raises NoNode or BadRecord."""
        path = paths.keyspace(name)
        return records.keyspace_record(path, (await self._global.get(path)).contents, name)

    async def shard(self, shard: ShardId) -> ShardRecord:
        """Read a shard record; raises NoNode or BadRecord."""
        path = paths.shard(shard)
        return records.shard_record(path, (await self._global.get(path)).contents, shard)

    async def tablet(self, alias: TabletAlias) -> TabletRecord:
        """Read a tablet record; raises NoNode or BadRecord."""
        path = paths.tablet(alias)
        conn = await self._cells.get(alias.cell)
        return records.tablet_record(path, (await conn.get(path)).contents, alias)

    async def tablets_in_cell(self, cell: str, *, patience: float | None = None) -> CellTablets:
        """Read all tablets of a cell; raises NoNode for an unknown cell, TimeoutError after `patience`.

        `patience` is the most seconds to wait for the cell's own server; the global one has its own deadlines.
        """
        return await self._in_cell(cell, tablets_in_cell, patience)

    async def named_in_cell(
        self, cell: str, shards: Iterable[ShardId], *, patience: float | None = None
    ) -> Mapping[ShardId, Set[TabletAlias]]:
        """Read which tablets a cell's ShardReplication names for each shard; raises as `tablets_in_cell` does."""
        return await self._in_cell(cell, lambda conn: named_in_cell(conn, shards), patience)

    async def tablets_of_shard(self, shard: ShardId, *, patience: float | None = None) -> ShardTablets:
        """Read all tablets of a shard, in all cells at once; the result also names the cells that cannot be read.

        `patience` is the most seconds to wait for one cell's own server, None for the remote operation timeout. A cell
        that did not answer gets a twentieth of it for `_SILENT_FOR` seconds. When a cell is lost, hundreds of shards
        are read, and each would otherwise wait for that cell before its failover.
        """
        primary = await self._primary_of(shard)

        async def read(cell: str) -> CellTablets | str:
            try:
                found = await self._in_cell(
                    cell,
                    lambda conn: tablets_of_shard_in_cell(conn, shard, primary),
                    self._patience_with(cell, patience),
                )
            except TimeoutError:
                self._silent_until.setdefault(cell, asyncio.get_running_loop().time() + _SILENT_FOR)
                return f"it did not answer within {patience:g} s"
            except TopoError as error:
                return str(error)
            self._silent_until.pop(cell, None)
            return found

        cells = await self.cells()
        found = dict(zip(cells, await all_of([read(cell) for cell in cells]), strict=True))
        read_cells = [tablets for tablets in found.values() if isinstance(tablets, CellTablets)]
        return ShardTablets(
            records=tuple(sorted((record for tablets in read_cells for record in tablets.records), key=_alias)),
            cells=cells,
            bad_records={alias: reason for tablets in read_cells for alias, reason in tablets.bad_records.items()},
            unreachable_cells={cell: reason for cell, reason in found.items() if isinstance(reason, str)},
        )

    async def _in_cell(
        self, cell: str, work: Callable[[BoundedConn], Awaitable[Found]], patience: float | None
    ) -> Found:
        """Run `work` with a cell's server; `patience` does not include the time that the global server takes."""
        place = await self._cells.place(cell)
        async with asyncio.timeout(patience):
            return await work(await self._cells.connect(cell, place))

    def _patience_with(self, cell: str, patience: float | None) -> float | None:
        now = asyncio.get_running_loop().time()
        until = self._silent_until.get(cell)
        if until is None or patience is None:
            return patience
        if now >= until:
            self._silent_until[cell] = now + _SILENT_FOR  # one reading waits the full patience again, not all
            return patience
        return patience / 20

    async def update_tablet(
        self, alias: TabletAlias, change: Callable[[topodata_pb2.Tablet], bool | None]
    ) -> topodata_pb2.Tablet:
        """Change a tablet record as `edit.modify` does; raises NoNode or BadRecord."""
        conn = await self._cells.get(alias.cell)
        return await self._modify(conn, paths.tablet(alias), topodata_pb2.Tablet, change)

    async def update_shard(
        self, shard: ShardId, change: Callable[[topodata_pb2.Shard], bool | None]
    ) -> topodata_pb2.Shard:
        """Change a shard record as `edit.modify` does; raises NoNode or BadRecord."""
        return await self._modify(self._global, paths.shard(shard), topodata_pb2.Shard, change)

    async def create_cell(self, cell: str, *, server_address: str, root: str) -> None:
        """Create the record of a cell, with the address and root of its own topology; raises NodeExists."""
        info = topodata_pb2.CellInfo(server_address=server_address, root=root)
        await self._create(self._global, paths.cell_info(cell), info)

    async def create_keyspace(self, name: str, *, durability_policy: str = "") -> None:
        """Create a keyspace record; raises NodeExists."""
        await self._create(
            self._global, paths.keyspace(name), topodata_pb2.Keyspace(durability_policy=durability_policy)
        )

    async def create_shard(self, shard: ShardId) -> None:
        """Create a shard record without a primary; raises NodeExists, or NameParseError for an invalid key range."""
        message = topodata_pb2.Shard(key_range=records.key_range_to_proto(shard), is_primary_serving=True)
        await self._create(self._global, paths.shard(shard), message)

    async def create_tablet(self, tablet: topodata_pb2.Tablet) -> None:
        """Create a tablet record in the cell of its alias, and enter it in ShardReplication; raises NodeExists."""
        alias = TabletAlias(tablet.alias.cell, tablet.alias.uid)
        conn = await self._cells.get(alias.cell)
        await self._create(conn, paths.tablet(alias), tablet)
        await self.enter_replication(alias, ShardId(tablet.keyspace, tablet.shard))

    async def enter_replication(self, alias: TabletAlias, shard: ShardId) -> None:
        """Enter a tablet in its cell's ShardReplication of the shard, unless it is listed there."""

        def add(message: topodata_pb2.ShardReplication) -> bool:
            if any(records.alias_from_proto(node.tablet_alias) == alias for node in message.nodes):
                return False
            message.nodes.add(tablet_alias=records.alias_to_proto(alias))
            return True

        conn = await self._cells.get(alias.cell)
        await self._modify(conn, paths.shard_replication(shard), topodata_pb2.ShardReplication, add, create=True)

    async def delete_tablet(self, alias: TabletAlias) -> None:
        """Delete a tablet's record, valid or not, and its entry in ShardReplication; raises NoNode."""
        conn = await self._cells.get(alias.cell)
        try:
            shard = (await self.tablet(alias)).shard_id
        except BadRecord:
            shard = None
        await conn.delete(paths.tablet(alias), None)
        if shard is not None:
            await self._leave_replication(conn, alias, shard)

    def lock_shard(self, shard: ShardId, action: str) -> ShardLock:
        """Queue for a shard's lock, at most for the lock timeout; use it with `async with`.

        `action` is the purpose that the lock's contents name to other processes and to operators.
        """
        directory, timeout = paths.shard_dir(shard), self._limits.lock_timeout
        return ShardLock(shard, lambda: self._global.lock(directory, self._lock_contents(action), timeout=timeout))

    def try_lock_shard(self, shard: ShardId, action: str) -> ShardLock:
        """Take a shard's lock if it is free; use it with `async with`, which raises LockHeld at once if it is not."""
        directory = paths.shard_dir(shard)
        return ShardLock(shard, lambda: self._global.try_lock(directory, self._lock_contents(action)))

    async def vtorcs(self) -> Mapping[str, bytes]:
        """Read the records of all vtorcs that share the shards, by name; `vtorc_records` reads their contents."""
        names = await names_in(self._global, paths.VTORCS)
        found = await read_each(self._global, [paths.vtorc(name) for name in names])
        return {path.rpartition("/")[2]: stored.contents for path, stored in found.items()}

    async def write_vtorc(self, name: str, contents: bytes) -> None:
        """Write the record of this vtorc, existing or not."""
        await self._global.update(paths.vtorc(name), contents, None)

    async def delete_vtorc(self, name: str) -> None:
        """Delete the record of a vtorc, if it exists."""
        with contextlib.suppress(NoNode):
            await self._global.delete(paths.vtorc(name), None)

    async def watch_keyspace_record(self, name: str) -> AsyncGenerator[KeyspaceRecord | BadRecord | None, None]:
        """Yield a keyspace record now and after each change, None while it does not exist; see `TopoConn.watch`."""
        changes = follow_record(self._global, paths.keyspace(name), records.keyspace_record, name)
        async with contextlib.aclosing(changes):
            async for record in changes:
                yield record

    async def watch_shard_record(self, shard: ShardId) -> AsyncGenerator[ShardRecord | BadRecord | None, None]:
        """Yield a shard record now and after each change, None while it does not exist; see `TopoConn.watch`."""
        changes = follow_record(self._global, paths.shard(shard), records.shard_record, shard)
        async with contextlib.aclosing(changes):
            async for record in changes:
                yield record

    async def watch_tablets(
        self, cell: str
    ) -> AsyncGenerator[Mapping[TabletAlias, TabletRecord | BadRecord | None], None]:
        """Yield all tablets of a cell, then those that changed; None stands for a deleted one.

        Raises NoNode for an unknown cell. It also ends with TopoUnavailable when the cell's topology moves to another
        address: watch again.
        """
        changes = follow_tablets(await self._cells.get(cell))
        async with contextlib.aclosing(changes):
            async for batch in changes:
                yield batch

    async def close(self) -> None:
        """Abandon all locks and close all connections."""
        try:
            await self._cells.close()
        finally:
            await self._global.close()

    async def _primary_of(self, shard: ShardId) -> TabletAlias | None:
        try:
            return (await self.shard(shard)).primary_alias
        except (NoNode, BadRecord):  # the shard record is only one hint of which tablets belong to the shard
            return None

    async def _leave_replication(self, conn: BoundedConn, alias: TabletAlias, shard: ShardId) -> None:
        def remove(message: topodata_pb2.ShardReplication) -> bool:
            others = [node for node in message.nodes if records.alias_from_proto(node.tablet_alias) != alias]
            if len(others) == len(message.nodes):
                return False
            del message.nodes[:]
            message.nodes.extend(others)
            return True

        with contextlib.suppress(NoNode):
            await self._modify(conn, paths.shard_replication(shard), topodata_pb2.ShardReplication, remove)

    async def _create(self, conn: BoundedConn, path: str, message: Message) -> None:
        await conn.create(path, message.SerializeToString(deterministic=True))

    async def _modify(
        self,
        conn: BoundedConn,
        path: str,
        kind: type[Record],
        change: Callable[[Record], bool | None],
        *,
        create: bool = False,
    ) -> Record:
        return await conn.within(f"change {path}", edit.modify(conn, path, kind, change, create=create))

    def _lock_contents(self, action: str) -> bytes:
        return lock_contents(action, self._holder, wall_ns=self._wall())


def _alias(record: TabletRecord) -> TabletAlias:
    return record.alias
