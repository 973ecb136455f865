"""A small cluster's topology in memory, and connections that fail on demand."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import TopoUnavailable, TopoUnsupported
from vtorc.proto import topodata_pb2
from vtorc.topo import records
from vtorc.topo.cells import TopoLimits
from vtorc.topo.conn import RecordChange, Stored, TopoConn, TopoLock, Version
from vtorc.topo.lock_contents import Holder
from vtorc.topo.memory import MemoryStore
from vtorc.topo.server import TopoServer

CELLS = ("zone1", "zone2", "zone3")
SHARD = ShardId("ks", "0")
HOLDER = Holder("host-7", "vitess")
WALL = 1_772_366_400_000_000_000


class FaultyConn:
    """A connection to a root that can be down, hang, or lack the calls that some servers lack."""

    def __init__(self, conn: TopoConn, faults: "Faults") -> None:
        self._conn = conn
        self._faults = faults

    async def get(self, path: str) -> Stored:
        await self._faults.meet(path)
        return await self._conn.get(path)

    async def list_dir(self, path: str) -> Sequence[str]:
        await self._faults.meet(path)
        return await self._conn.list_dir(path)

    async def list(self, path: str) -> Mapping[str, Stored]:
        await self._faults.meet(path)
        if self._faults.simple:
            raise TopoUnsupported("no list")
        return await self._conn.list(path)

    async def create(self, path: str, contents: bytes) -> Version:
        await self._faults.meet(path)
        return await self._conn.create(path, contents)

    async def update(self, path: str, contents: bytes, version: Version | None) -> Version:
        await self._faults.meet(path)
        return await self._conn.update(path, contents, version)

    async def delete(self, path: str, version: Version | None) -> None:
        await self._faults.meet(path)
        await self._conn.delete(path, version)

    async def lock(
        self, directory: str, contents: bytes, *, ttl: float | None = None, timeout: float | None = None
    ) -> TopoLock:
        return await self._conn.lock(directory, contents, ttl=ttl, timeout=timeout)

    async def try_lock(self, directory: str, contents: bytes, *, ttl: float | None = None) -> TopoLock:
        await self._faults.meet(directory)
        return await self._conn.try_lock(directory, contents, ttl=ttl)

    def watch(self, path: str) -> AsyncGenerator[RecordChange, None]:
        return self._conn.watch(path)

    def watch_prefix(self, path: str) -> AsyncGenerator[Sequence[RecordChange], None]:
        return self._unsupported() if self._faults.simple else self._conn.watch_prefix(path)

    async def close(self) -> None:
        self._faults.closed += 1
        await self._conn.close()

    async def _unsupported(self) -> AsyncGenerator[Sequence[RecordChange], None]:
        raise TopoUnsupported("no prefix watch")
        yield []


@dataclass(slots=True)
class Faults:
    """The faults of one topology server, and the calls that it received."""

    down: bool = False
    hangs: bool = False
    simple: bool = False
    takes: float = 0.001
    asked: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    closed: int = 0

    async def meet(self, path: str) -> None:
        """Suffer the faults."""
        self.asked.append(path)
        if self.down:
            raise TopoUnavailable("it is down")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(1000.0 if self.hangs else self.takes)
        finally:
            self.at_once -= 1


class World:
    """One store; each server address has its own faults, and `global` is the global one's."""

    def __init__(self, limits: TopoLimits | None = None) -> None:
        self.store = MemoryStore()
        self.faults = {name: Faults() for name in ("global", *CELLS)}
        self.opened: list[tuple[str, str]] = []
        self.topo = TopoServer(
            FaultyConn(self.store.connect("/global"), self.faults["global"]),
            self.open,
            limits=limits,
            holder=HOLDER,
            wall=lambda: WALL,
        )

    async def open(self, _: str, address: str, root: str) -> TopoConn:
        """Connect to a cell."""
        self.opened.append((address, root))
        return FaultyConn(self.store.connect(root), self.faults.setdefault(address, Faults()))

    def raw(self, root: str) -> TopoConn:
        """Connect past all faults."""
        return self.store.connect(root)

    async def fill(self) -> None:
        """Make three cells with one tablet each, of one shard."""
        for number, cell in enumerate(CELLS):
            await self.topo.create_cell(cell, server_address=cell, root=f"/{cell}")
            await self.topo.create_tablet(tablet(cell, 100 + number))
        await self.topo.create_keyspace("ks", durability_policy="semi_sync")
        await self.topo.create_shard(SHARD)


def tablet(cell: str, uid: int, shard: ShardId = SHARD) -> topodata_pb2.Tablet:
    """Make the record of a live replica."""
    return topodata_pb2.Tablet(
        alias=records.alias_to_proto(TabletAlias(cell, uid)),
        hostname="127.0.0.1",
        port_map={"grpc": 16000 + uid, "vt": 15000 + uid},
        keyspace=shard.keyspace,
        shard=shard.shard,
        type=topodata_pb2.REPLICA,
        mysql_hostname="127.0.0.1",
        mysql_port=17000 + uid,
    )
