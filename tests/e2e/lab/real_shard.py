"""Tablets of the conformance tests over real mysqlds: the servers are started once and wiped for each test."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import grpc

from tests.tablet_conformance.harness import ALIASES, PATIENCE, POLICY, SHARD, eventually
from vtorc.core.ids import TabletAlias
from vtorc.errors import MysqlError, TopoUnavailable
from vtorc.lab.agent.agent import TabletAgent
from vtorc.lab.agent.config import AgentTimings, TabletConfig
from vtorc.lab.grpc_peers import GrpcPeers
from vtorc.lab.grpc_service import TabletServer
from vtorc.lab.guard import RunFolder
from vtorc.lab.mysql_connection import connect, quote_name
from vtorc.lab.mysql_server import RealMysqlServer
from vtorc.lab.mysqld import Mysqld, MysqldConfig
from vtorc.lab.parts import find_mysqld
from vtorc.lab.ports import Ports
from vtorc.proto.queryservice_pb2_grpc import QueryStub
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub
from vtorc.proto.topodata_pb2 import Tablet as TabletMessage
from vtorc.topo.conn import TopoConn
from vtorc.topo.memory import MemoryStore
from vtorc.topo.server import TopoServer

HOST = "127.0.0.1"
GLOBAL = "/vitess/global"
OWN_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
QUICK = AgentTimings().scaled(0.01)
WIPE = (
    "SET GLOBAL rpl_semi_sync_source_enabled = OFF, GLOBAL rpl_semi_sync_replica_enabled = OFF",
    "STOP REPLICA",
    "RESET REPLICA ALL",
    "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF",
)


class Servers:
    """Three mysqlds that outlive the tests, but not the process that runs these."""

    def __init__(self) -> None:
        self._run = RunFolder()
        self.ports = Ports()
        self.mysqlds = [
            Mysqld(
                MysqldConfig(
                    mysql=find_mysqld(),
                    folder=self._run.path / str(uid),
                    port=self.ports.take(),
                    server_id=uid,
                    host=HOST,
                )
            )
            for uid in (101, 102, 103)
        ]

    async def wiped(self) -> list[Mysqld]:
        """Make all of them run as new ones do."""
        await asyncio.gather(*(self._wipe(mysqld) for mysqld in self.mysqlds))
        return self.mysqlds

    async def stop(self) -> None:
        """Kill them."""
        await asyncio.to_thread(self._run.close)
        self.ports.release()

    async def _wipe(self, mysqld: Mysqld) -> None:
        await mysqld.start()
        session = await connect(mysqld.socket)
        for statement in WIPE:
            await session.run(statement)
        for row in await session.rows("SELECT schema_name AS name FROM information_schema.schemata"):
            if row["name"] not in OWN_DATABASES:
                await session.run(f"DROP DATABASE {quote_name(row['name'])}")
        reset = "RESET BINARY LOGS AND GTIDS" if mysqld.config.mysql.version >= (8, 2, 0) else "RESET MASTER"
        await session.run(reset)
        await session.run("SET GLOBAL super_read_only = ON")
        session.close()


class MovableTopo(TopoServer):
    """A topology in this process whose tablet records can be made to refuse changes."""

    refuses = False

    @classmethod
    def new(cls) -> "MovableTopo":
        """Make an empty one."""
        store = MemoryStore()

        async def open_conn(address: str, root: str) -> TopoConn:
            del address  # there is only one store
            return store.connect(root)

        return cls(store.connect(GLOBAL), open_conn)

    async def update_tablet(self, alias: TabletAlias, change: Callable[[TabletMessage], bool | None]) -> TabletMessage:
        """Change a record, unless told to refuse."""
        if self.refuses:
            raise TopoUnavailable("refused for the test")
        return await super().update_tablet(alias, change)


class RealTablet:
    """One agent behind gRPC over one of the servers."""

    def __init__(self, alias: TabletAlias, mysqld: Mysqld, topo: TopoServer, *, port: int, errant_check: bool) -> None:
        self.alias = alias
        self._mysqld = mysqld
        self._topo = topo
        self._port = port
        self._errant_check = errant_check
        self._disk = asyncio.Event()
        self._disk.set()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the tablet and wait until it is up."""
        self._server = RealMysqlServer(self._mysqld.socket, version=self._mysqld.config.mysql.version)
        self._agent = TabletAgent(
            TabletConfig(
                alias=self.alias,
                shard=SHARD,
                hostname=HOST,
                grpc_port=self._port,
                vt_port=self._port,
                mysql_hostname=HOST,
                mysql_port=self._mysqld.config.port,
            ),
            self._topo,
            self._server,
            wall=time.time_ns,
            peers=GrpcPeers() if self._errant_check else None,
            disk_probe=self._write_to_disk,
            timings=QUICK,
        )
        self._grpc = TabletServer(self._agent)
        await self._grpc.start(HOST, self._port)
        self._running = asyncio.create_task(self._agent.run())
        self._channel = grpc.aio.insecure_channel(f"{HOST}:{self._port}")
        self.rpc = TabletManagerStub(self._channel)
        self.query = QueryStub(self._channel)
        up = asyncio.create_task(self._agent.state.started.wait())
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({up, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            self._running.result()

    async def crash(self) -> None:
        """End the tablet without a word."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        await self._channel.close()
        await self._grpc.stop(grace=0)
        await self._server.close()

    async def shut_down(self) -> None:
        """End the tablet in order."""
        await self.crash()
        await self._agent.shut_down()

    async def ended(self) -> Exception:
        """Wait until the tablet gives up by itself."""
        assert self._running is not None
        await asyncio.wait({self._running})
        error = self._running.exception()
        assert isinstance(error, Exception)
        return error

    async def write(self) -> None:
        """Commit as the application."""
        session = await connect(host=HOST, port=self._mysqld.config.port, user="vt_app")
        try:
            await session.run("CREATE TABLE IF NOT EXISTS vt_commerce.writes (id INT AUTO_INCREMENT PRIMARY KEY)")
            await session.run("INSERT INTO vt_commerce.writes VALUES ()")
        finally:
            session.close()

    async def write_errant(self) -> None:
        """Commit as the administrator, with the read-only switches off for the moment."""
        session = await connect(self._mysqld.socket)
        await session.run("SET GLOBAL super_read_only = OFF")
        await session.run("CREATE DATABASE errant")
        await session.run("SET GLOBAL super_read_only = ON")
        session.close()

    async def stop_applier(self) -> None:
        """Stop the SQL thread."""
        session = await connect(self._mysqld.socket)
        await session.run("STOP REPLICA SQL_THREAD")
        session.close()

    async def kill_mysql(self) -> None:
        """Kill the server."""
        await self._mysqld.kill()

    async def start_mysql(self) -> None:
        """Start the server, and wait until the tablet has seen it too."""
        await self._mysqld.start()

        async def seen() -> bool:
            return not self._agent.state.health().error

        await eventually(seen)

    def stall_disk(self, stalled: bool) -> None:
        """Let the disk probe hang."""
        if stalled:
            self._disk.clear()
        else:
            self._disk.set()

    async def _write_to_disk(self) -> None:
        await self._disk.wait()


class RealShard:
    """Three such tablets and their topology."""

    def __init__(self, mysqlds: list[Mysqld], ports: list[int], *, errant_check: bool) -> None:
        self.topo = MovableTopo.new()
        self.tablets = [
            RealTablet(alias, mysqld, self.topo, port=port, errant_check=errant_check)
            for alias, mysqld, port in zip(ALIASES, mysqlds, ports, strict=True)
        ]

    async def start(self) -> None:
        """Write the shard, start the tablets."""
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
        """Let changes of tablet records fail."""
        self.topo.refuses = refuse
