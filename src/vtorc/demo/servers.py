"""What a demo needs of the cluster it shows: one kind has real servers, one simulated ones."""

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

Progress = Callable[[str], AbstractContextManager[None]]
"""Tells what is being started while inside, and how long it took."""


class DemoTablet(Protocol):
    """One tablet with its server, to break and to mend."""

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        ...

    @property
    def spec(self) -> TabletSpec:
        """What it was made from."""
        ...

    @property
    def mysql_port(self) -> int:
        """Where its server is."""
        ...

    @property
    def mysqld_state(self) -> str:
        """How its mysqld is in truth, whatever anybody knows of it: running, paused or down."""
        ...

    async def kill_mysqld(self) -> None:
        """End its mysqld at once."""
        ...

    async def pause_mysqld(self) -> None:
        """Make its mysqld hang."""
        ...

    async def resume_mysqld(self) -> None:
        """Let a hanging mysqld go on."""
        ...

    async def start_mysqld(self) -> None:
        """Start its mysqld, and wait until that answers."""
        ...

    async def rebuild(self) -> None:
        """Delete all data, and start the tablet and its mysqld as new ones."""
        ...

    async def connect(self) -> SqlSession:
        """Open a session of the application; raises MysqlError. Brings no deadline of its own."""
        ...

    async def connect_as_dba(self) -> SqlSession:
        """Open a session of the administrator; raises MysqlError. Brings no deadline of its own."""
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


class Servers(Protocol):
    """A kind of servers; `notice` is what a person is told of them before anything starts, if there is anything."""

    @property
    def simulated(self) -> bool:
        """Whether there is no MySQL behind it."""
        ...

    @property
    def notice(self) -> str:
        """A sentence to begin with, empty if nothing is out of the ordinary."""
        ...

    async def prepare(self, progress: Progress) -> None:
        """Do once what all servers need."""
        ...

    def cluster(self, spec: LabSpec, folder: Path | None) -> DemoCluster:
        """Make a cluster that is not yet started."""
        ...


class RealServers:
    """Processes of one installed MySQL."""

    simulated = False
    notice = ""

    def __init__(self, mysql: MysqlParts) -> None:
        self._mysql = mysql

    async def prepare(self, progress: Progress) -> None:
        """Make the data directory that all servers start from."""
        version = ".".join(map(str, self._mysql.version))
        with progress(f"preparing data for MySQL {version}, {self._mysql.origin}"):
            await asyncio.to_thread(template_folder, self._mysql)

    def cluster(self, spec: LabSpec, folder: Path | None) -> DemoCluster:
        """Make a cluster of processes."""
        return LabCluster(spec, folder=folder)
