"""The demo's cluster, with a vtorc of its own and an application that writes, and an operator's actions on it."""

import asyncio
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from vtorc.app import HISTORY_FILE
from vtorc.config.settings import LogSettings, Settings
from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.demo_observer import DemoObserver, Mark
from vtorc.demo.demo_vtorc import DemoVtorc
from vtorc.demo.faults import DemoFault
from vtorc.demo.ledger import Gap
from vtorc.demo.remote import door_of
from vtorc.demo.servers import DemoCluster, DemoTablet, Progress, ServerKind
from vtorc.demo.writer import Writer
from vtorc.errors import ListenError, MysqlError, NameParseError
from vtorc.lab.cluster import LabSpec
from vtorc.lab.errors import LabError
from vtorc.lab.template import TOPOLOGY_PASSWORD, TOPOLOGY_USER
from vtorc.logs import setup_logging
from vtorc.server.listener import BoundListener, Listener, bind
from vtorc.server.opening import DEFAULT_ADDRESS

DATABASE = "vt_commerce"

_SESSION_DEADLINE = 10.0
"""Seconds within which a mysqld that is about to be filled must answer."""

_MOVE_DEADLINE = 120.0
"""Seconds within which the command of an operator that moves the primary must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSpec:
    """The parts of the demo; `topo` is one of TOPO_KINDS, `folder` None means one that is deleted in the end."""

    tablets: int = 3
    durability: str = "semi_sync"
    topo: str = "local"
    folder: Path | None = None


class RunningDemo:
    """A running demo: break and restart its servers here, and see in `observer` what vtorc does."""

    def __init__(
        self,
        spec: DemoSpec,
        servers: ServerKind,
        cluster: DemoCluster,
        observer: DemoObserver,
        listener: BoundListener,
    ) -> None:
        """Take what is up already; vtorc's API will be served at `listener`."""
        self.spec = spec
        self.address = f"http://{listener.address}"
        self.servers = servers
        self.simulated = servers.simulated
        self.cluster = cluster
        self.vtorc = DemoVtorc(
            _settings(cluster, simulated=servers.simulated), listener, observer, door_of(cluster.folder)
        )
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

    @property
    def ask_briefly(self) -> str:
        """The pages, and the command where it finds the address by itself: one line of a terminal, in any case."""
        host, port = DEFAULT_ADDRESS
        return f"{self.pages}  vtorc ctl status" if self.address == f"http://{host}:{port}" else self.pages

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

    @property
    def pages(self) -> str:
        """The address of the pages of this demo's vtorc."""
        return f"{self.address}/ui/"

    @property
    def login(self) -> str:
        """The command that logs in to the primary's MySQL, or why there is none."""
        if self.simulated:
            return "no login: the MySQL servers are simulated, and only this demo reaches them"
        return self.servers.login(self.primary or self.tablets[0]) + f" {DATABASE}"

    @property
    def history(self) -> str:
        """The command that shows what vtorc has done and why."""
        return f"vtorc history {shlex.quote(str(self.cluster.folder / HISTORY_FILE))}"

    async def bring_about(self, fault: DemoFault, target: str) -> str:
        """Bring a fault about; like the other actions it returns the sentence that reports it.

        `target` is a tablet as in `find`, and empty for a fault of the whole cluster. Raises LabError.
        """
        if not fault.of_tablet:
            return await self._break_cluster(fault)
        tablet = self.find(target)
        self._refuse_broken(fault, tablet)
        sentence = self._report(fault.what.format(self._name(tablet)))
        match fault.name:
            case "kill-mysqld":
                await tablet.kill_mysqld()
            case "stop-mysqld":
                await tablet.pause_mysqld()
            case "silent-host":
                await tablet.hang_host()
            case "kill-host":
                await tablet.kill_mysqld()
                await tablet.kill_tablet()
            case "stall-disk":
                await tablet.stall_disk()
            case "full-disk" | "refuse-connections":
                await self._fill(fault, tablet)
            case "kill-tablet":
                await tablet.kill_tablet()
            case "move-primary":
                await self._move_away(tablet)
        return sentence

    async def _fill(self, fault: DemoFault, tablet: DemoTablet) -> None:
        """Let the tablet run out of space or of connections."""
        try:
            async with asyncio.timeout(_SESSION_DEADLINE):
                await (tablet.fill_disk() if fault.name == "full-disk" else tablet.refuse_connections())
        except (MysqlError, TimeoutError) as error:
            raise LabError(f"{fault.name}: the mysqld of {tablet.alias} does not answer: {error}") from error

    async def _move_away(self, tablet: DemoTablet) -> None:
        """Make the tablet after this one the primary, as an operator does."""
        following = self.tablets[(self.tablets.index(tablet) + 1) % len(self.tablets)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vtorc.cli.main", "ctl", "--server", self.address),
            *("promote", str(self.shard), "--to", str(following.alias), "--yes", "--reason", "demo"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_MOVE_DEADLINE):
                said, _ = await process.communicate()
        except TimeoutError:
            raise LabError(f"vtorc ctl promote has not ended within {_MOVE_DEADLINE:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())
        if process.returncode:
            raise LabError(f"vtorc ctl promote ended with {process.returncode}: {said.decode().strip()}")

    async def _break_cluster(self, fault: DemoFault) -> str:
        if fault.name == "end-vtorc":
            self.vtorc.end()
        else:
            await self.cluster.kill_topo()
        return self._report(fault.what)

    def _refuse_broken(self, fault: DemoFault, tablet: DemoTablet) -> None:
        """Refuse a fault of what is broken already, as the operator may mean another tablet."""
        part = "tablet manager" if fault.name == "kill-tablet" else "mysqld"
        state = tablet.tablet_state if fault.name == "kill-tablet" else tablet.mysqld_state
        if state == "down" or (state == "paused" and fault.name != "kill-mysqld"):
            raise LabError(f"the {part} of {tablet.alias} is {state} already")
        if tablet.disk_state != "fine" and fault.name in ("stall-disk", "full-disk"):
            raise LabError(f"the disk of {tablet.alias} is {tablet.disk_state} already")
        if tablet.refuses_connections and fault.name == "refuse-connections":
            raise LabError(f"the mysqld of {tablet.alias} takes no new connections already")
        if fault.name == "move-primary" and tablet is not self.primary:
            raise LabError(f"{tablet.alias} is not the primary; name the primary, which moves to another tablet")

    async def start_or_resume(self, tablet: DemoTablet) -> str:
        """Mend all that is broken at a tablet: start what is down, and resume what is held up."""
        done = []
        if tablet.tablet_state == "paused":
            done.append(self._report(f"the host of {self._name(tablet)} goes on"))
            await tablet.wake_host()
        if tablet.tablet_state == "down":
            done.append(self._report(f"start the tablet manager of {self._name(tablet)}"))
            await tablet.start_tablet()
        if tablet.disk_state != "fine":
            done.append(self._report(f"the disk of {self._name(tablet)} takes writes again"))
            await tablet.free_disk()
        if tablet.refuses_connections:
            done.append(self._report(f"the mysqld of {self._name(tablet)} takes new connections again"))
            await tablet.accept_connections()
        if tablet.mysqld_state == "paused":
            done.append(self._report(f"SIGCONT to the mysqld of {self._name(tablet)}"))
            await tablet.resume_mysqld()
        if tablet.mysqld_state == "down":
            done.append(self._report(f"start the mysqld of {self._name(tablet)}"))
            await tablet.start_mysqld()
        if not done:
            raise LabError(f"all of {tablet.alias} is running")
        return "; ".join(done)

    async def start_or_resume_all(self) -> str:
        """Mend all that is broken: topology server, vtorc, and each tablet."""
        done = []
        if self.cluster.topo_is_down:
            done.append(self._report("start the topology server"))
            await self.cluster.restart_topo()
        if not self.vtorc.is_running:
            done.append(self._report("start vtorc"))
            self.vtorc.start()
        broken = [tablet for tablet in self.tablets if _is_broken(tablet)]
        done += await asyncio.gather(*map(self.start_or_resume, broken))
        if not done:
            raise LabError("everything is running")
        return "; ".join(done)

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


def _is_broken(tablet: DemoTablet) -> bool:
    is_held_up = tablet.disk_state != "fine" or tablet.refuses_connections
    return is_held_up or (tablet.tablet_state, tablet.mysqld_state) != ("running", "running")


def gap_sentence(gap: Gap) -> str:
    """Say how long no write was acknowledged, and which tablet acknowledges now."""
    if gap.is_handover:
        return f"{gap.ended_by} acknowledges; {gap.seconds:.2f} s after the last acknowledgement of {gap.last_from}"
    return f"{gap.ended_by} acknowledges again after {gap.seconds:.2f} s"


_TOPO_STEPS = {
    "etcd2": "starting etcd",
    "consul": "starting Consul",
    "zk2": "starting ZooKeeper",
    "local": "making a local topology (one SQLite file)",
}


@asynccontextmanager
async def open_demo(
    spec: DemoSpec, servers: ServerKind, observer: DemoObserver, progress: Progress
) -> AsyncIterator[RunningDemo]:
    """Start the parts one after the other, and end them in reverse; an error of vtorc or the writer ends the body.

    Raises LabError, and every other VtorcError with which the cluster fails to start.
    """
    cluster = servers.cluster(LabSpec(tablets=spec.tablets, durability=spec.durability, topo=spec.topo), spec.folder)
    try:
        with progress(_TOPO_STEPS[spec.topo]):
            await cluster.start_topo()
        setup_logging(LogSettings(log_dir=str(cluster.folder), log_level="info"), stderr=False)
        await servers.prepare(progress)
        kind = "simulated " if servers.simulated else ""
        with progress(f"starting {spec.tablets} tablets, each with a {kind}mysqld"):
            await cluster.start_tablets()
        listener = _listener()
        with closing(listener.sock):
            demo = RunningDemo(spec, servers, cluster, observer, listener)
            async with _running(demo):
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
async def _running(demo: RunningDemo) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        group.create_task(demo.vtorc.run(), name="vtorc of the demo")
        writing = group.create_task(demo.writer.run(), name="writer")
        try:
            yield
        finally:
            writing.cancel()
            demo.vtorc.stop()


def _settings(cluster: DemoCluster, *, simulated: bool) -> Settings:
    """Return the default settings without a cooldown, so that a tablet that the demo breaks twice is replaced twice.

    A disk that takes no writes leads to a failover here, which vtorc does only if it is told to. A simulated mysqld
    has no port at which vtorc could ask it itself.
    """
    topo = cluster.topo_settings
    return Settings(
        topo_implementation=topo.implementation,
        topo_global_server_address=",".join(topo.global_server_address),
        topo_global_root=topo.global_root,
        recovery_period_block_seconds=0.0,
        shutdown_wait_time=5.0,
        enable_primary_disk_stalled_recovery=True,
        log_dir=str(cluster.folder),
        mysql_topology_user="" if simulated else TOPOLOGY_USER,
        mysql_topology_password="" if simulated else TOPOLOGY_PASSWORD,
    )
