"""One tablet: its parts, its start and shutdown, its background loops."""

import asyncio

import structlog

from vtorc.errors import VtorcError
from vtorc.topo.server import TopoServer
from vtorc.vttablet.config import AgentTimings, DiskProbe, Peers, TabletConfig, WallClock
from vtorc.vttablet.monitors import DiskMonitor, MysqlMonitor
from vtorc.vttablet.mysql_api import MysqlServer
from vtorc.vttablet.queries import TabletQueries
from vtorc.vttablet.reparent import ReparentActions
from vtorc.vttablet.replication import ReplicationActions
from vtorc.vttablet.semi_sync import SemiSync
from vtorc.vttablet.shard_sync import ShardSync
from vtorc.vttablet.startup import Startup
from vtorc.vttablet.state import TabletState

_log = structlog.get_logger(__name__)


class TabletAgent:
    """A tablet manager without its gRPC side: an RPC is a call on `queries`, `replication` or `reparent`.

    RPCs about MySQL wait until the tablet has started, as those of vttablet 19 and newer do. With `peers` the tablet
    checks for errant GTIDs before it replicates, as vttablet 22 and newer do. To crash a tablet, cancel `run`.
    """

    def __init__(
        self,
        config: TabletConfig,
        topo: TopoServer,
        server: MysqlServer,
        *,
        wall: WallClock,
        peers: Peers | None = None,
        disk_probe: DiskProbe | None = None,
        timings: AgentTimings | None = None,
    ) -> None:
        timings = timings or AgentTimings()
        self.config = config
        self.state = TabletState(config, topo, server, wall=wall, timings=timings)
        self._semi_sync = SemiSync(self.state)
        self._disk = DiskMonitor(disk_probe, timings)
        self._mysql = MysqlMonitor(self.state)
        self.replication = ReplicationActions(self.state, self._semi_sync, peers)
        self.reparent = ReparentActions(self.state, self._semi_sync, self.replication)
        self.queries = TabletQueries(self.state, self._semi_sync, self._disk)
        self._startup = Startup(self.state, self._semi_sync, self.replication)
        self._shard_sync = ShardSync(self.state, self.reparent)

    async def run(self) -> None:
        """Start the tablet and run it until cancelled.

        Raises TabletAliasLost if another process took the tablet's record or an operator deleted it. Raises the
        topology's errors if the records cannot be written at the start.
        """
        await self._startup.write_records()
        _log.info("the tablet has its record", type=str(self.state.type))
        try:
            async with asyncio.TaskGroup() as group:
                for loop in (
                    self._mysql.run(),
                    self._start_with_mysql(),
                    self._semi_sync.monitor_loop(),
                    self._disk.run(),
                    self.state.publish_loop(),
                    self._until_lost(),
                ):
                    group.create_task(loop)
        except* VtorcError as errors:
            raise errors.exceptions[0] from None
        finally:
            await self.state.tasks.close()

    async def shut_down(self) -> None:
        """Clear the addresses in the tablet's record, as a vttablet does at an orderly shutdown; cancel `run` first."""
        await self._startup.shut_down()

    async def _start_with_mysql(self) -> None:
        await self._mysql.wait_up()
        await self._startup.take_up_mysql()
        self.state.started.set()
        _log.info("the tablet is up", type=str(self.state.type))
        await self._shard_sync.run()

    async def _until_lost(self) -> None:
        await self.state.lost
