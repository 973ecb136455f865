"""Tablets of the conformance tests: agents in this process behind real gRPC, on any kind of server."""

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import grpc

from tests.tablet_conformance.harness import ALIASES, PATIENCE, POLICY, SHARD, eventually
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.errors import MysqlError, TopoUnavailable
from vtorc.lab.grpc_peers import GrpcPeers
from vtorc.lab.grpc_service import TabletServer
from vtorc.proto.queryservice_pb2_grpc import QueryStub
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub
from vtorc.proto.topodata_pb2 import Tablet as TabletMessage
from vtorc.topo.conn import TopoConn
from vtorc.topo.memory import MemoryStore
from vtorc.topo.server import TopoServer
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.config import AgentTimings, TabletConfig
from vtorc.vttablet.mysql_api import MysqlServer

HOST = "127.0.0.1"
GLOBAL = "/vitess/global"
QUICK = replace(AgentTimings().scaled(0.01), table_lock=60.0)


class MovableTopo(TopoServer):
    """A topology in this process that can refuse changes of its tablet records, or leave those of a primary's open."""

    refuses = False
    silent_for_primaries = False

    @classmethod
    def new(cls) -> "MovableTopo":
        """Make an empty topology."""
        store = MemoryStore()

        async def open_conn(cell: str, address: str, root: str) -> TopoConn:
            del cell, address  # there is only one store
            return store.connect(root)

        return cls(store.connect(GLOBAL), open_conn)

    async def update_tablet(self, alias: TabletAlias, change: Callable[[TabletMessage], bool | None]) -> TabletMessage:
        """Change a record, unless `refuses` is set, or `silent_for_primaries` and the record says PRIMARY already."""
        if self.refuses:
            raise TopoUnavailable("refused for the test")
        if self.silent_for_primaries and (await self.tablet(alias)).type is TabletType.PRIMARY:
            await asyncio.Event().wait()
        return await super().update_tablet(alias, change)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The identity of one tablet: its alias, its ports, its topology, and whether it checks for errant GTIDs."""

    alias: TabletAlias
    topo: TopoServer
    grpc_port: int
    mysql_port: int
    errant_check: bool


class AgentTablet(ABC):
    """One agent behind gRPC; a subclass has its server."""

    def __init__(self, place: Place) -> None:
        self.alias = place.alias
        self._place = place
        self._disk = asyncio.Event()
        self._disk.set()
        self._running: asyncio.Task[None] | None = None

    @abstractmethod
    def open_server(self) -> MysqlServer:
        """Connect a new agent to the server."""

    @abstractmethod
    async def write(self) -> None:
        """Commit as the application."""

    @abstractmethod
    async def write_errant(self) -> None:
        """Commit as the administrator, with the read-only switches off for the moment."""

    @abstractmethod
    async def stop_applier(self) -> None:
        """Stop the SQL thread."""

    @abstractmethod
    async def kill_mysql(self) -> None:
        """Kill the server."""

    @abstractmethod
    def hang_mysql(self, hung: bool) -> None:
        """Make the server hang, or resume it."""

    @abstractmethod
    async def purge_binlogs(self) -> None:
        """Delete all binary logs but the one that the server writes to."""

    @abstractmethod
    async def revive_mysql(self) -> None:
        """Start the server and wait until it answers."""

    async def start(self) -> None:
        """Start it and wait until it is up."""
        place = self._place
        self._server = self.open_server()
        self._agent = TabletAgent(
            TabletConfig(
                alias=self.alias,
                shard=SHARD,
                hostname=HOST,
                grpc_port=place.grpc_port,
                vt_port=place.grpc_port,
                mysql_hostname=HOST,
                mysql_port=place.mysql_port,
            ),
            place.topo,
            self._server,
            wall=time.time_ns,
            peers=GrpcPeers() if place.errant_check else None,
            disk_probe=self._write_to_disk,
            timings=QUICK,
        )
        self._grpc = TabletServer(self._agent)
        await self._grpc.start(HOST, place.grpc_port)
        self._running = asyncio.create_task(self._agent.run())
        self._channel = grpc.aio.insecure_channel(f"{HOST}:{place.grpc_port}")
        self.rpc = TabletManagerStub(self._channel)
        self.query = QueryStub(self._channel)
        up = asyncio.create_task(self._agent.state.started.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({up, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            self._running.result()

    async def crash(self) -> None:
        """End the tablet without a shutdown."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        await self._channel.close()
        await self._grpc.stop(grace=0)
        await self._server.close()

    async def shut_down(self) -> None:
        """Shut the tablet down in order."""
        await self.crash()
        await self._agent.shut_down()

    async def ended(self) -> Exception:
        """Wait until the tablet ends by itself, and return the error."""
        assert self._running is not None
        await asyncio.wait({self._running})
        error = self._running.exception()
        assert isinstance(error, Exception)
        return error

    async def start_mysql(self) -> None:
        """Start the server, and wait until the tablet has noticed it."""
        await self.revive_mysql()

        async def seen() -> bool:
            return not self._agent.state.health().error

        await eventually(seen)

    def stall_disk(self, stalled: bool) -> None:
        """Make the disk probe hang."""
        if stalled:
            self._disk.clear()
        else:
            self._disk.set()

    async def _write_to_disk(self) -> None:
        await self._disk.wait()


class AgentShard:
    """Three such tablets and their topology."""

    def __init__(self, topo: MovableTopo, tablets: Sequence[AgentTablet]) -> None:
        self.topo = topo
        self.tablets = tablets

    async def start(self) -> None:
        """Start it and wait until it is up."""
        for alias in ALIASES:
            await self.topo.create_cell(alias.cell, server_address="here", root=f"/vitess/{alias.cell}")
        await self.topo.create_keyspace(SHARD.keyspace, durability_policy=POLICY)
        await self.topo.create_shard(SHARD)
        await asyncio.gather(*(tablet.start() for tablet in self.tablets))

    async def stop(self) -> None:
        """End everything but the servers."""
        for tablet in self.tablets:
            with contextlib.suppress(MysqlError):
                await tablet.crash()
        await self.topo.close()

    def refuse_tablet_writes(self, refuse: bool) -> None:
        """Make changes of tablet records fail."""
        self.topo.refuses = refuse

    def silence_primary_records(self) -> None:
        """Leave changes of a primary's record without an answer."""
        self.topo.silent_for_primaries = True
