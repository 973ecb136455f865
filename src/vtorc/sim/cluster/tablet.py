"""A simulated tablet: the small vttablet over a simulated mysqld, and the query service in front of it."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import TabletUnreachable, VtorcError
from vtorc.sim.engine.network import Network, NetworkError
from vtorc.sim.engine.process import Host, Life, Process
from vtorc.sim.mysql.admin import SimMysqlServer, Statement
from vtorc.sim.mysql.binlog import InsertRow, Transaction
from vtorc.sim.mysql.server import SimMysqld
from vtorc.topo.server import TopoServer
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.config import AgentTimings, TabletConfig
from vtorc.vttablet.errors import TabletActionError
from vtorc.vttablet.mysql_api import PrimaryReport, ServerReport

Address = tuple[str, int]

GRPC_PORT = 15999
MYSQL_PORT = 3306

_RESTART_AFTER = 5.0
"""Seconds that a supervisor needs to start a dead vttablet again, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletTraits:
    """The differences between tablets of a world.

    `tells_all` is False for a vttablet that is too old to report everything, `checks_errant` for one that does not
    look for errant GTIDs.
    """

    tells_all: bool = True
    checks_errant: bool = True


class SimTablet:
    """One vttablet process and its mysqld, on a host of their own."""

    def __init__(
        self,
        config: TabletConfig,
        host: Host,
        mysqld: SimMysqld,
        *,
        network: Network,
        open_topo: Callable[[Life], TopoServer],
        directory: "Mapping[Address, SimTablet]",
        generator: random.Random,
        traits: TabletTraits,
    ) -> None:
        self.config = config
        self.host = host
        self.mysqld = mysqld
        self.process = Process(host, "vttablet")
        self.directory = directory
        self.traits = traits
        self.network = network
        self.agent: TabletAgent | None = None
        self.wanted = True
        self._open_topo = open_topo
        self._random = generator
        self._queries: dict[Statement[Transaction], None] = {}

    @property
    def alias_text(self) -> str:
        """The tablet's alias as text."""
        return str(self.config.alias)

    @property
    def address(self) -> Address:
        """Host name and port of the tablet's gRPC server."""
        return (self.config.hostname, self.config.grpc_port)

    # --- life

    def start(self) -> None:
        """Start vttablet; its supervisor starts it again whenever it ends while it is `wanted`."""
        self.wanted = True
        life = self.process.start()
        life.at_end.append(self._ended)
        agent = self.agent = TabletAgent(
            self.config,
            self._open_topo(life),
            SimMysqlServer(self.mysqld, life),
            wall=self.host.wall,
            peers=SimPeers(self, life) if self.traits.checks_errant else None,
            disk_probe=self.mysqld.disk.probe,
            timings=AgentTimings(),
        )
        self._queries.clear()
        life.spawn(self._run(agent), name="agent")
        life.spawn(self._kill_queries(agent), name="query killer")

    async def _run(self, agent: TabletAgent) -> None:
        with contextlib.suppress(VtorcError):
            await agent.run()
        self.process.crash()

    def _ended(self) -> None:
        self.agent = None
        delay = _RESTART_AFTER * self._random.uniform(0.5, 1.5)
        asyncio.get_running_loop().call_later(delay, self._restart, self.process.life)

    def _restart(self, ended: Life) -> None:
        if self.wanted and self.host.up and self.process.life is ended and not ended.alive:
            self.start()

    async def shut_down(self) -> None:
        """Stop vttablet on purpose: it blanks its record, and its supervisor does not start it again."""
        self.wanted = False
        agent = self.agent
        if agent is not None:
            with contextlib.suppress(VtorcError, TimeoutError):
                await agent.shut_down()
        self.process.crash()

    # --- the query service

    async def execute(self, row: int) -> Transaction:
        """Insert a row for a client, as a query through vtgate does; raises TabletActionError or MysqlError.

        A demotion kills the query: its client gets an error then, whether mysqld commits the row or not.
        """
        self._serving_primary()
        life = self.process.life
        query = Statement(self.mysqld.write(InsertRow(row), pooled=True))
        self._queries[query] = None
        try:
            await query.over(life)
        finally:
            self._queries.pop(query, None)
        if query.killed:
            raise TabletActionError("the query was killed by a demotion")
        transaction = query.result()
        if not life.runs:
            await life.until_running()
        return transaction

    def _serving_primary(self) -> None:
        agent = self.agent
        if agent is None or agent.state.type is not TabletType.PRIMARY or not agent.state.serving:
            raise TabletActionError("operation not allowed in state NOT_SERVING")

    async def _kill_queries(self, agent: TabletAgent) -> None:
        async for health in agent.state.watch_health():
            if not (health.serving and health.type is TabletType.PRIMARY):
                for query in list(self._queries):
                    query.kill()

    # --- reports

    async def full_status(self) -> ServerReport:
        """Return FullStatus as this tablet's version does."""
        assert self.agent is not None
        report = await self.agent.queries.full_status()
        if self.traits.tells_all:
            return report
        return replace(
            report,
            super_read_only=None,
            semi_sync_blocked=None,
            disk_stalled=None,
            tablet_type=None,
            heartbeat_interval=None,
            replica_net_timeout=None,
        )

    def __repr__(self) -> str:
        return f"<tablet {self.config.alias}>"


class SimPeers:
    """The other tablets as one vttablet calls them; implements the small vttablet's `Peers`."""

    def __init__(self, tablet: SimTablet, life: Life) -> None:
        self._tablet = tablet
        self._life = life

    async def primary_report(self, tablet: TabletRecord) -> PrimaryReport:
        """Ask another tablet for its `PrimaryStatus`."""
        peer = self._tablet.directory.get((tablet.hostname, tablet.grpc_port))
        if peer is None:
            raise TabletUnreachable(f"{tablet.alias}: no such host", reason="unreachable")

        async def work() -> PrimaryReport:
            assert peer.agent is not None
            return await peer.agent.queries.primary_report()

        try:
            return await self._tablet.network.call(self._life, peer.process, work)
        except NetworkError as error:
            raise TabletUnreachable(f"PrimaryStatus of {tablet.alias}: {error}", reason="unreachable") from error
