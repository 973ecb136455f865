"""The demo's cluster with a vtorc of its own and an application that writes; and what a person may do to it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vtorc.app import fleet_settings, open_tools
from vtorc.config.settings import LogSettings, Settings
from vtorc.control.fleet import Fleet
from vtorc.control.log_observer import LogObserver
from vtorc.control.observer import Observers
from vtorc.control.scope import Scope
from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.board import Board, Mark
from vtorc.demo.ledger import Gap
from vtorc.demo.servers import DemoCluster, DemoTablet, Progress, Servers
from vtorc.demo.writer import Writer
from vtorc.errors import NameParseError
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError
from vtorc.logs import setup_logging

DATABASE = "vt_commerce"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """What the demo is made of; `topo` is "etcd2" or "local", `folder` None for one that is deleted in the end."""

    tablets: int = 3
    durability: str = "semi_sync"
    topo: str = "local"
    folder: Path | None = None


class Scene:
    """A running demo; vtorc's observer is `board`."""

    def __init__(self, spec: SceneSpec, cluster: DemoCluster, board: Board, *, simulated: bool) -> None:
        self.spec = spec
        self.simulated = simulated
        self.cluster = cluster
        self.board = board
        self.tablets = [cluster.tablets[alias] for alias in sorted(cluster.tablets)]
        self.writer = Writer(self.tablets, database=DATABASE, told=self._tell_gap)
        self.shard = cluster.shard_ids()[0]
        self.began = time.monotonic()

    @property
    def primary(self) -> DemoTablet | None:
        """The primary, as vtorc sees it."""
        view = self.board.judgement.view if self.board.judgement is not None else None
        return self.cluster.tablets[view.primary.alias] if view is not None and view.primary is not None else None

    def find(self, name: str) -> DemoTablet:
        """Find a tablet by alias, or by the word `primary`; raises LabError."""
        if name == "primary":
            if self.primary is None:
                raise LabError("the shard has no primary at the moment")
            return self.primary
        try:
            alias = TabletAlias.parse(name)
        except NameParseError as error:
            raise LabError(f"{error}, or primary") from error
        if alias not in self.cluster.tablets:
            known = ", ".join(str(tablet.alias) for tablet in self.tablets)
            raise LabError(f"there is no tablet {alias}; there are {known}")
        return self.cluster.tablets[alias]

    async def kill(self, tablet: DemoTablet) -> str:
        """Kill the mysqld of a tablet; returns the sentence that says so, as the others do."""
        if tablet.mysqld_state == "down":
            raise LabError(f"the mysqld of {tablet.alias} is down already")
        said = self._say(f"kill -9 of the mysqld of {self._name(tablet)}")
        await tablet.kill_mysqld()
        return said

    async def pause(self, tablet: DemoTablet) -> str:
        """Make the mysqld of a tablet hang."""
        if tablet.mysqld_state != "running":
            raise LabError(f"the mysqld of {tablet.alias} is {tablet.mysqld_state}")
        said = self._say(f"SIGSTOP to the mysqld of {self._name(tablet)}")
        await tablet.pause_mysqld()
        return said

    async def mend(self, tablet: DemoTablet) -> str:
        """Start a mysqld that is down, or let a hanging one go on."""
        state = tablet.mysqld_state
        if state == "running":
            raise LabError(f"the mysqld of {tablet.alias} is running")
        if state == "paused":
            said = self._say(f"SIGCONT to the mysqld of {self._name(tablet)}")
            await tablet.resume_mysqld()
        else:
            said = self._say(f"start the mysqld of {self._name(tablet)}")
            await tablet.start_mysqld()
        return said

    async def mend_all(self) -> str:
        """Start or resume whatever is not running."""
        broken = [tablet for tablet in self.tablets if tablet.mysqld_state != "running"]
        if not broken:
            raise LabError("every mysqld is running")
        return "; ".join(await asyncio.gather(*map(self.mend, broken)))

    async def rebuild(self, tablet: DemoTablet) -> str:
        """Delete all data of a tablet and have it replicate from the start, as one does with errant transactions."""
        if self.primary is None or self.primary.alias == tablet.alias:
            raise LabError(f"{tablet.alias} is not rebuilt: it takes another tablet that is primary")
        said = self._say(f"rebuild {tablet.alias}: delete its data, start it again as new")
        await tablet.rebuild()
        return said

    def _name(self, tablet: DemoTablet) -> str:
        return f"{tablet.alias}, the primary" if tablet is self.primary else str(tablet.alias)

    def _say(self, what: str) -> str:
        self.board.say(Mark.PERSON, f"you: {what}")
        return what

    def _tell_gap(self, gap: Gap) -> None:
        self.board.say(Mark.WRITES, f"writes: {gap_sentence(gap)}")


def gap_sentence(gap: Gap) -> str:
    """Say how long writes stood still and who takes them since."""
    if gap.is_handover:
        return f"{gap.ended_by} acknowledges; {gap.seconds:.2f} s after the last acknowledgement of {gap.last_from}"
    return f"{gap.ended_by} acknowledges again after {gap.seconds:.2f} s"


@asynccontextmanager
async def open_scene(spec: SceneSpec, servers: Servers, board: Board, progress: Progress) -> AsyncIterator[Scene]:
    """Start everything in order and end it in order; an error of vtorc or the writer ends the body.

    Raises LabError and what else keeps the cluster from starting.
    """
    cluster = servers.cluster(LabSpec(tablets=spec.tablets, durability=spec.durability, topo=spec.topo), spec.folder)
    try:
        with progress("starting etcd" if spec.topo == "etcd2" else "making a local topology (one SQLite file)"):
            await cluster.start_topo()
        setup_logging(LogSettings(log_dir=str(cluster.folder), log_level="info"), stderr=False)
        await servers.prepare(progress)
        kind = "simulated " if servers.simulated else ""
        with progress(f"starting {spec.tablets} tablets, each with a {kind}mysqld"):
            await cluster.start_tablets()
        async with _running(Scene(spec, cluster, board, simulated=servers.simulated)) as scene:
            yield scene
    finally:
        await asyncio.shield(cluster.stop())


@asynccontextmanager
async def _running(scene: Scene) -> AsyncIterator[Scene]:
    settings = _settings(scene)
    scope = Scope.parse(settings.clusters_to_watch)
    async with open_tools(lambda: settings) as (tools, _):
        fleet = Fleet(tools, lambda: fleet_settings(settings, scope), Observers([scene.board, LogObserver()]))
        async with asyncio.TaskGroup() as group:
            group.create_task(fleet.run(), name="vtorc")
            writing = group.create_task(scene.writer.run(), name="writer")
            try:
                yield scene
            finally:
                writing.cancel()
                fleet.stop()


def _settings(scene: Scene) -> Settings:
    """The settings of a vtorc that may replace the same tablet again and again, since a demo breaks it on purpose."""
    topo = scene.cluster.topo_settings
    return Settings(
        topo_implementation=topo.implementation,
        topo_global_server_address=",".join(topo.global_server_address),
        topo_global_root=topo.global_root,
        instance_poll_time=1.0,
        suspicious_poll_time=0.15,
        recovery_period_block_seconds=0.0,
        shutdown_wait_time=5.0,
    )
