"""The demo's cluster without MySQL: the lab's tablets, gRPC and topology server, with simulated servers."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.demo.servers import DemoCluster, DemoTablet, Progress
from vtorc.demo.simulated_servers import SimMachine, SimServer
from vtorc.errors import VtorcError
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError
from vtorc.lab.grpc_peers import GrpcPeers
from vtorc.lab.grpc_service import TabletServer
from vtorc.lab.ports import Ports
from vtorc.lab.tablet_handle import TabletSpec
from vtorc.lab.topology import LabTopo
from vtorc.sim.mysql.admin import SimMysqlServer
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.session import SimSession, open_session
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.tasks import all_of
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.config import TabletConfig

_log = structlog.get_logger(__name__)

_DISKS = {
    DiskState.FINE: "fine",
    DiskState.STALLED: "stalled",
    DiskState.FULL_WAITING: "full",
    DiskState.FULL_FAILING: "full",
}
_HOST = "127.0.0.1"
_GRACE = 1.0


class SimulatedServers:
    """The kind of servers that needs nothing installed; `why` tells the operator why the demo has these."""

    simulated = True

    def __init__(self, why: str) -> None:
        self.notice = f"The MySQL servers of this demo are simulated; vtorc, gRPC and topology are real. {why}"

    def login(self, tablet: DemoTablet) -> str:
        """Return nothing: a simulated server takes sessions of this process alone."""
        return ""

    async def prepare(self, progress: Progress) -> None:
        """Do nothing: simulated servers need no data."""

    def cluster(self, spec: LabSpec, folder: Path | None) -> DemoCluster:
        """Make a cluster in this process."""
        return SimCluster(spec, folder=folder)


class SimulatedTablet:
    """One tablet in this process, reached over gRPC like one in its own process, and its simulated server."""

    def __init__(
        self, spec: TabletSpec, server: SimServer, machine: SimMachine, *, topo: TopoAccess, grpc_port: int
    ) -> None:
        self.spec = spec
        self._server = server
        self._machine = machine
        self._clients = machine.client("sessions")
        self._topo_settings = topo
        self._grpc_port = grpc_port
        self._up = asyncio.Event()
        self._stop = asyncio.Event()
        self._gracefully = False
        self._running: asyncio.Task[None] | None = None
        self._grpc: TabletServer | None = None
        self._hangs = False

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.spec.alias

    @property
    def mysql_port(self) -> int:
        """The port in the tablet's record; nothing listens there, only this process reaches the server."""
        return self._server.port

    @property
    def mysqld_state(self) -> str:
        """The real state of its mysqld: running, paused or down."""
        return self._server.state

    @property
    def tablet_state(self) -> str:
        """The real state of the tablet: running, paused or down."""
        if self._running is None or self._running.done():
            return "down"
        return "paused" if self._hangs else "running"

    @property
    def disk_state(self) -> str:
        """The state of its disk in a word: fine, stalled or full."""
        return _DISKS[self._server.mysqld.disk.state]

    @property
    def refuses_connections(self) -> bool:
        """Whether its mysqld takes no new connections."""
        return self._server.mysqld.refuses_connections

    async def kill_tablet(self) -> None:
        """End the tablet at once; its mysqld goes on."""
        await self.end_tablet(gracefully=False)

    async def hang_host(self) -> None:
        """Let neither the tablet nor its mysqld answer."""
        self._hangs = True
        if self._grpc is not None:
            self._grpc.hang()
        if self.mysqld_state == "running":
            self._server.pause()

    async def wake_host(self) -> None:
        """Let both go on."""
        self._hangs = False
        if self._grpc is not None:
            self._grpc.wake()
        if self.mysqld_state == "paused":
            self._server.resume()

    async def stall_disk(self) -> None:
        """Let its disk take no writes."""
        self._server.mysqld.disk.become(DiskState.STALLED)

    async def fill_disk(self) -> None:
        """Let its disk have no space, so that commits wait for it."""
        self._server.mysqld.disk.become(DiskState.FULL_WAITING)

    async def free_disk(self) -> None:
        """Let its disk take writes again."""
        self._server.mysqld.disk.become(DiskState.FINE)

    async def refuse_connections(self) -> None:
        """Let its mysqld take no new connections, not even of its tablet."""
        self._server.mysqld.refuses_connections = True

    async def accept_connections(self) -> None:
        """Let its mysqld take new connections again."""
        self._server.mysqld.refuses_connections = False

    async def start_tablet(self) -> None:
        """Start the tablet and its mysqld, and wait until the tablet is up; raises LabError if it ends first."""
        await self._server.start()
        self._up.clear()
        self._stop.clear()
        self._hangs = False
        self._running = asyncio.create_task(self._run(), name=f"tablet {self.alias}")
        up = asyncio.create_task(self._up.wait())
        try:
            await asyncio.wait((up, self._running), return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if self._running.done():
            await self._running
            raise LabError(f"tablet {self.alias} ended at its start; the log in the demo's folder says why")

    async def end_tablet(self, *, gracefully: bool) -> None:
        """End the tablet, and if `gracefully` clear the addresses in its record; its mysqld goes on."""
        if self._running is not None:
            self._gracefully = gracefully
            self._stop.set()
            running, self._running = self._running, None
            await running

    async def kill_mysqld(self) -> None:
        """End its mysqld at once."""
        self._server.kill()

    async def pause_mysqld(self) -> None:
        """Make its mysqld hang; raises LabError if it is down."""
        self._server.pause()

    async def resume_mysqld(self) -> None:
        """Resume a paused mysqld; raises LabError if it is down."""
        self._server.resume()

    async def start_mysqld(self) -> None:
        """Start its mysqld, and wait until it answers."""
        await self._server.start()

    async def rebuild(self) -> None:
        """Delete all data, and start the tablet and its mysqld as new ones."""
        await self.end_tablet(gracefully=True)
        self._server.wipe()
        await self.start_tablet()

    async def connect(self) -> SimSession:
        """Open a session of the application; raises MysqlError."""
        return await open_session(self._server.mysqld, self._clients)

    async def connect_as_dba(self) -> SimSession:
        """Open a session of the administrator; raises MysqlError."""
        return await open_session(self._server.mysqld, self._clients)

    async def _run(self) -> None:
        """Run the tablet until it is stopped, or until it fails."""
        with structlog.contextvars.bound_contextvars(tablet=str(self.alias)):
            try:
                await self._serve()
            except VtorcError as error:
                _log.error("the tablet ends", error=str(error))

    async def _serve(self) -> None:
        client = self._machine.client(f"tablet {self.alias}")
        topo = await open_topo(self._topo_settings)
        try:
            mysql = SimMysqlServer(self._server.mysqld, client)
            agent = TabletAgent(
                self._config(),
                topo,
                mysql,
                wall=time.time_ns,
                peers=GrpcPeers(),
                disk_probe=self._server.mysqld.disk.probe,
            )
            grpc = self._grpc = TabletServer(agent)
            await grpc.start(_HOST, self._grpc_port)
            try:
                await self._until_stopped(agent)
            finally:
                await grpc.stop(grace=_GRACE)
                await mysql.close()
            if self._gracefully:
                await agent.shut_down()
        finally:
            client.process.crash()
            await topo.close()

    async def _until_stopped(self, agent: TabletAgent) -> None:
        working = asyncio.create_task(agent.run())
        starting = asyncio.create_task(self._report_up(agent))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, starting, stopping):
                task.cancel()
            await asyncio.gather(working, starting, stopping, return_exceptions=True)

    async def _report_up(self, agent: TabletAgent) -> None:
        await agent.state.started.wait()
        self._up.set()

    def _config(self) -> TabletConfig:
        return TabletConfig(
            alias=self.alias,
            shard=self.spec.shard,
            hostname=_HOST,
            grpc_port=self._grpc_port,
            vt_port=self._grpc_port,
            mysql_hostname=_HOST,
            mysql_port=self.mysql_port,
            init_type=self.spec.type,
        )


class SimCluster:
    """A lab with tablets and servers in this process."""

    def __init__(self, spec: LabSpec, *, folder: Path | None = None) -> None:
        self._spec = spec
        self._topology = LabTopo(spec.topo, folder)
        self._ports = Ports()
        self._tablets: dict[TabletAlias, SimulatedTablet] = {}

    async def start_topo(self) -> None:
        """Start the topology server and write cells, keyspace and shards."""
        spec = self._spec
        await self._topology.start(cells=spec.cells, shards=spec.shard_ids(), durability=spec.durability)

    async def start_tablets(self) -> None:
        """Start all tablets and wait until they are up."""
        machine = SimMachine(_HOST)
        for spec in self._spec.tablet_specs():
            server = machine.server(spec.alias, self._ports.take())
            self._tablets[spec.alias] = SimulatedTablet(
                spec, server, machine, topo=self.topo_settings, grpc_port=self._ports.take()
            )
        await all_of([tablet.start_tablet() for tablet in self._tablets.values()])

    async def stop(self) -> None:
        """End everything at once and delete the folder, unless that was given."""
        try:
            await all_of([tablet.end_tablet(gracefully=False) for tablet in self._tablets.values()])
        finally:
            await self._topology.stop()
            self._ports.release()

    @property
    def topo_is_down(self) -> bool:
        """Whether the topology server was killed."""
        return self._topology.is_down

    async def kill_topo(self) -> None:
        """Kill the topology server; raises LabError if the topology is a file."""
        await self._topology.kill_server()

    async def restart_topo(self) -> None:
        """Start the topology server again with its data."""
        await self._topology.start_server()

    @property
    def topo_settings(self) -> TopoAccess:
        """The address of the topology server."""
        return self._topology.settings

    @property
    def folder(self) -> Path:
        """The folder of the topology's data and of the logs."""
        return self._topology.folder

    @property
    def tablets(self) -> Mapping[TabletAlias, SimulatedTablet]:
        """All tablets by name."""
        return self._tablets

    def shard_ids(self) -> list[ShardId]:
        """List the shards."""
        return self._spec.shard_ids()
