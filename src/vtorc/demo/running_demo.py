"""The demo's cluster, with a vtorc of its own and an application that writes, and an operator's actions on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, fields
from pathlib import Path

from vtorc.app import daemon_facts, fleet_settings, open_tools
from vtorc.config.settings import LogSettings, Settings
from vtorc.control.fleet import Fleet
from vtorc.control.log_observer import LogObserver
from vtorc.control.observer import Observers, TopologyObservers
from vtorc.control.scope import Scope
from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.demo_observer import DemoObserver, Mark
from vtorc.demo.ledger import Gap
from vtorc.demo.servers import DemoCluster, DemoTablet, Progress, ServerKind
from vtorc.demo.writer import Writer
from vtorc.errors import ListenError, NameParseError
from vtorc.forms.settings import setting_forms
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError
from vtorc.logs import setup_logging
from vtorc.server.listener import BoundListener, Listener, bind
from vtorc.server.opening import DEFAULT_ADDRESS
from vtorc.server.options import ServerRules
from vtorc.serving import HttpSide

DATABASE = "vt_commerce"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSpec:
    """The parts of the demo; `topo` is "etcd2" or "local", `folder` None means one that is deleted in the end."""

    tablets: int = 3
    durability: str = "semi_sync"
    topo: str = "local"
    folder: Path | None = None


class RunningDemo:
    """A running demo: break and restart its servers here, and see in `observer` what vtorc does."""

    def __init__(
        self, spec: DemoSpec, cluster: DemoCluster, observer: DemoObserver, *, simulated: bool, address: str
    ) -> None:
        """Take what is up already; `address` is the URL at which vtorc's API will be served."""
        self.spec = spec
        self.address = address
        self.simulated = simulated
        self.cluster = cluster
        self.observer = observer
        self.tablets = [cluster.tablets[alias] for alias in sorted(cluster.tablets)]
        self.writer = Writer(self.tablets, database=DATABASE, on_gap=self._on_gap)
        self.shard = cluster.shard_ids()[0]
        self.began = time.monotonic()

    @property
    def primary(self) -> DemoTablet | None:
        """The primary by vtorc's last judgement, None if there is none."""
        view = self.observer.judgement.view if self.observer.judgement is not None else None
        return self.cluster.tablets[view.primary.alias] if view is not None and view.primary is not None else None

    @property
    def healthy(self) -> DemoTablet | None:
        """The primary of a shard that has no problem; None while it has one."""
        judgement = self.observer.judgement
        return self.primary if judgement is not None and not judgement.decisions else None

    @property
    def ask(self) -> str:
        """The command that asks this demo's vtorc for its state."""
        return f"vtorc ctl --server {self.address} status"

    def find(self, name: str) -> DemoTablet:
        """Find a tablet by its alias, or by the word `primary`; raises LabError."""
        if name == "primary":
            if self.primary is None:
                raise LabError("the shard has no primary at the moment; name a tablet by its alias")
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
        """Kill the mysqld of a tablet; like the other actions it returns the sentence that reports it."""
        if tablet.mysqld_state == "down":
            raise LabError(f"the mysqld of {tablet.alias} is down already")
        sentence = self._report(f"kill -9 of the mysqld of {self._name(tablet)}")
        await tablet.kill_mysqld()
        return sentence

    async def pause(self, tablet: DemoTablet) -> str:
        """Make the mysqld of a tablet hang."""
        if tablet.mysqld_state != "running":
            raise LabError(f"the mysqld of {tablet.alias} is {tablet.mysqld_state}")
        sentence = self._report(f"SIGSTOP to the mysqld of {self._name(tablet)}")
        await tablet.pause_mysqld()
        return sentence

    async def start_or_resume(self, tablet: DemoTablet) -> str:
        """Start a mysqld that is down, or resume a paused one."""
        state = tablet.mysqld_state
        if state == "running":
            raise LabError(f"the mysqld of {tablet.alias} is running")
        if state == "paused":
            sentence = self._report(f"SIGCONT to the mysqld of {self._name(tablet)}")
            await tablet.resume_mysqld()
        else:
            sentence = self._report(f"start the mysqld of {self._name(tablet)}")
            await tablet.start_mysqld()
        return sentence

    async def start_or_resume_all(self) -> str:
        """Start or resume each mysqld that is not running."""
        not_running = [tablet for tablet in self.tablets if tablet.mysqld_state != "running"]
        if not not_running:
            raise LabError("every mysqld is running")
        return "; ".join(await asyncio.gather(*map(self.start_or_resume, not_running)))

    async def rebuild(self, tablet: DemoTablet) -> str:
        """Delete all data of a tablet and let it replicate from the start, as operators do with errant transactions."""
        if self.primary is None or self.primary.alias == tablet.alias:
            raise LabError(
                f"{tablet.alias} is not rebuilt: its data can only come from another tablet that is primary; "
                "wait until the shard has one"
            )
        sentence = self._report(f"rebuild {tablet.alias}: delete its data, start it again as new")
        await tablet.rebuild()
        return sentence

    def _name(self, tablet: DemoTablet) -> str:
        return f"{tablet.alias}, the primary" if tablet is self.primary else str(tablet.alias)

    def _report(self, action: str) -> str:
        self.observer.say(Mark.OPERATOR, f"you: {action}")
        return action

    def _on_gap(self, gap: Gap) -> None:
        self.observer.say(Mark.WRITES, f"writes: {gap_sentence(gap)}")


def gap_sentence(gap: Gap) -> str:
    """Say how long no write was acknowledged, and which tablet acknowledges now."""
    if gap.is_handover:
        return f"{gap.ended_by} acknowledges; {gap.seconds:.2f} s after the last acknowledgement of {gap.last_from}"
    return f"{gap.ended_by} acknowledges again after {gap.seconds:.2f} s"


@asynccontextmanager
async def open_demo(
    spec: DemoSpec, servers: ServerKind, observer: DemoObserver, progress: Progress
) -> AsyncIterator[RunningDemo]:
    """Start the parts one after the other, and end them in reverse; an error of vtorc or the writer ends the body.

    Raises LabError, and every other VtorcError with which the cluster fails to start.
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
        listener = _listener()
        with closing(listener.sock):
            demo = RunningDemo(
                spec, cluster, observer, simulated=servers.simulated, address=f"http://{listener.address}"
            )
            async with _running(demo, listener):
                yield demo
    finally:
        await asyncio.shield(cluster.stop())


def _listener() -> BoundListener:
    """Listen where `vtorc ctl` looks by itself, or at any port if another vtorc or demo is there."""
    host, port = DEFAULT_ADDRESS
    try:
        return bind(Listener.V12, host, port)
    except ListenError:
        return bind(Listener.V12, host, 0)


@asynccontextmanager
async def _running(demo: RunningDemo, listener: BoundListener) -> AsyncIterator[None]:
    settings = _settings(demo)
    scope = Scope.parse(settings.clusters_to_watch)
    forms = setting_forms(settings, {field.name: "vtorc demo" for field in fields(settings)})
    async with open_tools(lambda: settings) as (tools, _):
        log = LogObserver()
        http = HttpSide(
            [listener],
            ServerRules(),
            tools,
            fleet=lambda: fleet,
            facts=lambda: daemon_facts(settings, fleet, forms),
            audit=[log],
        )
        fleet = Fleet(
            tools,
            lambda: fleet_settings(settings, scope),
            Observers([demo.observer, log, *http.observers]),
            topology_observer=TopologyObservers([log, *http.observers]),
        )
        for hear in (log.held, *(each.held for each in http.hold_observers)):
            fleet.holds.listen(hear)
        async with http.serving(), asyncio.TaskGroup() as group:
            group.create_task(fleet.run(), name="vtorc")
            writing = group.create_task(demo.writer.run(), name="writer")
            try:
                yield
            finally:
                writing.cancel()
                fleet.stop()


def _settings(demo: RunningDemo) -> Settings:
    """Return settings without a cooldown, so that a tablet that the demo breaks twice is replaced twice."""
    topo = demo.cluster.topo_settings
    return Settings(
        topo_implementation=topo.implementation,
        topo_global_server_address=",".join(topo.global_server_address),
        topo_global_root=topo.global_root,
        instance_poll_time=1.0,
        suspicious_poll_time=0.15,
        recovery_period_block_seconds=0.0,
        shutdown_wait_time=5.0,
    )
