"""Tablets of the conformance tests on real mysqlds, which are started once and wiped for each test."""

import asyncio

from tests.tablet_conformance.agents import HOST, AgentShard, AgentTablet, MovableTopo, Place
from tests.tablet_conformance.harness import ALIASES
from vtorc.lab.guard import RunFolder
from vtorc.lab.mysql_connection import connect, quote_name
from vtorc.lab.mysql_server import RealMysqlServer
from vtorc.lab.mysqld import Mysqld, MysqldConfig
from vtorc.lab.parts import find_mysqld
from vtorc.lab.ports import Ports
from vtorc.vttablet.mysql_api import MysqlServer

OWN_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
WIPE = (
    "SET GLOBAL rpl_semi_sync_source_enabled = OFF, GLOBAL rpl_semi_sync_replica_enabled = OFF",
    "STOP REPLICA",
    "RESET REPLICA ALL",
    "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF",
)


class Servers:
    """Three mysqlds that outlive the tests, but not the process that runs the tests."""

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

    async def new_shard(self, *, errant_check: bool) -> AgentShard:
        """Wipe the servers and make a shard of them."""
        await asyncio.gather(*(self._wipe(mysqld) for mysqld in self.mysqlds))
        topo = MovableTopo.new()
        tablets = [
            RealTablet(
                Place(
                    alias=alias,
                    topo=topo,
                    grpc_port=self.ports.take(),
                    mysql_port=mysqld.config.port,
                    errant_check=errant_check,
                ),
                mysqld,
            )
            for alias, mysqld in zip(ALIASES, self.mysqlds, strict=True)
        ]
        shard = AgentShard(topo, tablets)
        await shard.start()
        return shard

    async def stop(self) -> None:
        """Kill the servers."""
        await asyncio.to_thread(self._run.close)
        self.ports.release()

    async def _wipe(self, mysqld: Mysqld) -> None:
        """Give a server the state of a new one."""
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


class RealTablet(AgentTablet):
    """A tablet on one of the servers."""

    def __init__(self, place: Place, mysqld: Mysqld) -> None:
        super().__init__(place)
        self._mysqld = mysqld

    def open_server(self) -> MysqlServer:
        """Connect over the unix socket."""
        return RealMysqlServer(self._mysqld.socket, version=self._mysqld.config.mysql.version)

    async def write(self) -> None:
        """Commit over TCP."""
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

    def hang_mysql(self, hung: bool) -> None:
        """Pause the process by SIGSTOP, or resume it."""
        if hung:
            self._mysqld.pause()
        else:
            self._mysqld.resume()

    async def purge_binlogs(self) -> None:
        """Begin a new file and delete all before it."""
        session = await connect(self._mysqld.socket)
        await session.run("FLUSH BINARY LOGS")
        await session.run("PURGE BINARY LOGS BEFORE NOW(6) + INTERVAL 1 DAY")
        session.close()

    async def revive_mysql(self) -> None:
        """Start the server and wait until it answers."""
        await self._mysqld.start()
