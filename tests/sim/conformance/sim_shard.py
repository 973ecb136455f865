"""Tablets of the conformance tests over simulated servers, in real time."""

from tests.tablet_conformance.agents import AgentShard, AgentTablet, MovableTopo, Place
from tests.tablet_conformance.harness import ALIASES
from vtorc.demo.simulated_servers import SimMachine, SimServer
from vtorc.lab.ports import Ports
from vtorc.sim.engine.process import Life
from vtorc.sim.mysql.admin import SimMysqlServer
from vtorc.sim.mysql.binlog import CreateSchema, InsertRow
from vtorc.vttablet.mysql_api import MysqlServer, Threads


class SimTablet(AgentTablet):
    """A tablet over a simulated server."""

    def __init__(self, place: Place, server: SimServer, client: Life) -> None:
        super().__init__(place)
        self._simulated = server
        self._client = client
        self._rows = 0

    def open_server(self) -> MysqlServer:
        """Connect to the simulated server."""
        return SimMysqlServer(self._simulated.mysqld, self._client)

    async def write(self) -> None:
        """Commit a row."""
        self._rows += 1
        await self._simulated.mysqld.write(InsertRow(self._rows))

    async def write_errant(self) -> None:
        """Commit a row in spite of the read-only switches."""
        await self._simulated.mysqld.inject(CreateSchema("errant"))

    async def stop_applier(self) -> None:
        """Stop the SQL thread."""
        await self._simulated.mysqld.replication.stop(Threads.SQL)

    async def kill_mysql(self) -> None:
        """Kill the server."""
        self._simulated.kill()

    def hang_mysql(self, hung: bool) -> None:
        """Freeze the process, or thaw it."""
        if hung:
            self._simulated.pause()
        else:
            self._simulated.resume()

    async def purge_binlogs(self) -> None:
        """Delete all transactions."""
        self._simulated.mysqld.binlog.purge(keep=0)

    async def revive_mysql(self) -> None:
        """Start the server and wait until it answers."""
        await self._simulated.start()


async def new_shard(ports: Ports, *, errant_check: bool) -> AgentShard:
    """Start three new servers and make a shard of them."""
    machine = SimMachine()
    topo = MovableTopo.new()
    tablets = []
    for alias in ALIASES:
        server = machine.server(alias, ports.take())
        server.mysqld.start()
        place = Place(alias=alias, topo=topo, grpc_port=ports.take(), mysql_port=server.port, errant_check=errant_check)
        tablets.append(SimTablet(place, server, machine.client(f"tablet {alias}")))
    shard = AgentShard(topo, tablets)
    await shard.start()
    return shard
