"""The demo's interface to its cluster, and the kind with real servers; simulated ones are in `simulated_cluster`."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.parts import MysqlParts
from vtorc.lab.tablet_handle import TabletSpec
from vtorc.lab.template import template_folder
from vtorc.topo.open import TopoAccess
from vtorc.vttablet.sql_session import SqlSession

APPLICATION = "vt_app"
"""The user of the application; it has no password."""

Progress = Callable[[str], AbstractContextManager[None]]
"""Shows a step of the start while inside, and then how long it took."""


class DemoTablet(Protocol):
    """One tablet with its server, to break and to restart."""

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        ...

    @property
    def spec(self) -> TabletSpec:
        """The tablet's shard and type."""
        ...

    @property
    def mysql_port(self) -> int:
        """The port of its server."""
        ...

    @property
    def mysqld_state(self) -> str:
        """The real state of its mysqld, independent of what vtorc sees: running, paused or down."""
        ...

    @property
    def tablet_state(self) -> str:
        """The real state of its tablet manager: running, paused or down."""
        ...

    @property
    def disk_state(self) -> str:
        """The state of its disk in a word: fine, stalled or full."""
        ...

    @property
    def refuses_connections(self) -> bool:
        """Whether its mysqld takes no new connections."""
        ...

    async def kill_tablet(self) -> None:
        """End its tablet manager at once; its mysqld goes on."""
        ...

    async def start_tablet(self) -> None:
        """Start its tablet manager, and its mysqld unless it runs, and wait until the tablet is up."""
        ...

    async def hang_host(self) -> None:
        """Let neither tablet manager nor mysqld answer, as behind a cut network."""
        ...

    async def wake_host(self) -> None:
        """Let both go on."""
        ...

    async def stall_disk(self) -> None:
        """Let its disk take no writes."""
        ...

    async def fill_disk(self) -> None:
        """Let its disk have no space, so that commits wait for it; raises MysqlError."""
        ...

    async def free_disk(self) -> None:
        """Let its disk take writes again."""
        ...

    async def refuse_connections(self) -> None:
        """Let its mysqld take no new connections, not even of its tablet; raises MysqlError."""
        ...

    async def accept_connections(self) -> None:
        """Let its mysqld take new connections again."""
        ...

    async def kill_mysqld(self) -> None:
        """End its mysqld at once."""
        ...

    async def pause_mysqld(self) -> None:
        """Make its mysqld hang."""
        ...

    async def resume_mysqld(self) -> None:
        """Resume a paused mysqld."""
        ...

    async def start_mysqld(self) -> None:
        """Start its mysqld, and wait until it answers."""
        ...

    async def rebuild(self) -> None:
        """Delete all data, and start the tablet and its mysqld as new ones."""
        ...

    async def connect(self) -> SqlSession:
        """Open a session of the application; raises MysqlError. The caller sets the deadline."""
        ...

    async def connect_as_dba(self) -> SqlSession:
        """Open a session of the administrator; raises MysqlError. The caller sets the deadline."""
        ...


class DemoCluster(Protocol):
    """One shard's tablets and the topology server, started one after the other and ended together."""

    async def start_topo(self) -> None:
        """Start the topology server and write cells, keyspace and shard."""
        ...

    async def start_tablets(self) -> None:
        """Start all tablets and wait until they are up."""
        ...

    async def stop(self) -> None:
        """End everything that was started."""
        ...

    @property
    def topo_is_down(self) -> bool:
        """Whether the topology server was killed."""
        ...

    async def kill_topo(self) -> None:
        """End the topology server at once; raises LabError if the topology is a file."""
        ...

    async def restart_topo(self) -> None:
        """Start the topology server again with its data."""
        ...

    @property
    def topo_settings(self) -> TopoAccess:
        """How to reach the topology."""
        ...

    @property
    def folder(self) -> Path:
        """Where all data and logs are."""
        ...

    @property
    def tablets(self) -> Mapping[TabletAlias, DemoTablet]:
        """All tablets by name."""
        ...

    def shard_ids(self) -> list[ShardId]:
        """List the shards."""
        ...


class ServerKind(Protocol):
    """A kind of servers: real or simulated."""

    @property
    def simulated(self) -> bool:
        """Whether there is no real mysqld."""
        ...

    @property
    def notice(self) -> str:
        """The line that the demo prints before anything starts, empty for none."""
        ...

    def login(self, tablet: DemoTablet) -> str:
        """Return the command that logs in to the server of a tablet; empty if there is none."""
        ...

    async def prepare(self, progress: Progress) -> None:
        """Make once what all servers of this kind need."""
        ...

    def cluster(self, spec: LabSpec, folder: Path | None) -> DemoCluster:
        """Make a cluster that is not yet started."""
        ...


class RealServers:
    """The kind with processes of one installed MySQL."""

    simulated = False
    notice = ""

    def __init__(self, mysql: MysqlParts) -> None:
        self._mysql = mysql

    def login(self, tablet: DemoTablet) -> str:
        """Return the command that logs in to the server of a tablet as its application does."""
        client = str(self._mysql.mysql) if self._mysql.mysql is not None else "mysql"
        return f"{client} --host=127.0.0.1 --port={tablet.mysql_port} --user={APPLICATION}"

    async def prepare(self, progress: Progress) -> None:
        """Make the data directory that all servers are copied from."""
        version = ".".join(map(str, self._mysql.version))
        with progress(f"preparing data for MySQL {version}, {self._mysql.origin}"):
            await asyncio.to_thread(template_folder, self._mysql)

    def cluster(self, spec: LabSpec, folder: Path | None) -> DemoCluster:
        """Make a cluster of processes."""
        return LabCluster(spec, folder=folder)
