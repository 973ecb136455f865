"""Controls a lab tablet from outside: starts, stops and kills its process and its mysqld independently."""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.errors import MysqlError
from vtorc.lab import tablet_control as control
from vtorc.lab.errors import LabError
from vtorc.lab.held_sessions import HeldCommits, TakenConnections
from vtorc.lab.mysql_connection import MysqlConnection, connect
from vtorc.lab.processes import PidFileProcess, unix_socket

_ANSWER_DEADLINE = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletSpec:
    """The alias, the shard and the type of one tablet of a lab."""

    alias: TabletAlias
    shard: ShardId
    type: TabletType = TabletType.REPLICA


class LabTablet:
    """One tablet process with its mysqld; both are found by pid files, so that either can end without the other."""

    def __init__(
        self, spec: TabletSpec, *, folder: Path, host: str, grpc_port: int, mysql_port: int, flags: Sequence[str]
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.host = host
        self.grpc_port = grpc_port
        self.mysql_port = mysql_port
        self.disk_state = "fine"
        """The state in which it was made to find its disk: fine, stalled or full."""
        self._commits: HeldCommits | None = None
        self._connections: TakenConnections | None = None
        self._flags = tuple(flags)
        self._process = PidFileProcess(folder / "tablet.pid", f"--dir={folder}")
        self._mysqld = PidFileProcess(folder / "mysqld.pid", f"--datadir={folder / 'data'}")

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.spec.alias

    @property
    def tablet_pid(self) -> int | None:
        """The process id of the tablet, None while it is down."""
        return self._process.pid

    @property
    def mysqld_pid(self) -> int | None:
        """The process id of its mysqld, None while it is down."""
        return self._mysqld.pid

    @property
    def mysqld_state(self) -> str:
        """The real state of its mysqld, read from the process: running, paused or down."""
        return _state_of(self.mysqld_pid)

    @property
    def tablet_state(self) -> str:
        """The real state of the tablet manager, read from the process: running, paused or down."""
        return _state_of(self.tablet_pid)

    @property
    def refuses_connections(self) -> bool:
        """Whether its mysqld was made to take no new connections."""
        return self._connections is not None

    async def start_tablet(self, *extra: str) -> None:
        """Start the tablet process, and its mysqld unless it runs, and wait until the tablet is up.

        `extra` are more options for this start. If the tablet does not come up, it raises LabError with the end of its
        log.
        """
        self.spawn_tablet(*extra)
        await self.wait_up()

    def spawn_tablet(self, *extra: str) -> None:
        """Start the tablet process without waiting until it is up; what it knew of a disk is gone."""
        self.disk_state = "fine"
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "vtorc.lab.tablet_main",
            f"--dir={self.folder}",
            f"--tablet-alias={self.alias}",
            f"--keyspace={self.spec.shard.keyspace}",
            f"--shard={self.spec.shard.shard}",
            f"--init-tablet-type={self.spec.type}",
            f"--hostname={self.host}",
            f"--grpc-port={self.grpc_port}",
            f"--mysql-port={self.mysql_port}",
            *self._flags,
            *extra,
        ]
        self._process.spawn(command, log=self.folder / "tablet.log")

    async def wait_up(self) -> None:
        """Wait until the tablet is up, for which its mysqld must run."""
        try:
            async with asyncio.timeout(_ANSWER_DEADLINE):
                while not await self._is_up():
                    if self._process.pid is None:
                        raise LabError(f"tablet {self.alias} ended at its start: {self._log_tail()}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LabError(
                f"tablet {self.alias} did not come up in {_ANSWER_DEADLINE:g} s: {self._log_tail()}"
            ) from None

    async def status(self) -> dict[str, object]:
        """Ask the tablet process for its status; raises LabError while it is down."""
        answer = await control.send_command(self.folder, "status")
        assert isinstance(answer, dict)
        return answer

    async def stop_tablet(self) -> None:
        """Shut the tablet down in order; its mysqld goes on."""
        await self._process.terminate(deadline=20.0)

    async def kill_tablet(self) -> None:
        """Kill the tablet process; its mysqld goes on."""
        await self._process.kill()

    async def kill_mysqld(self) -> None:
        """Kill mysqld, whether or not the tablet runs."""
        self._commits = self._connections = None
        await self._mysqld.kill()

    async def stop_mysqld(self) -> None:
        """Shut mysqld down in order."""
        await self._mysqld.terminate(deadline=30.0)

    async def start_mysqld(self) -> None:
        """Let the tablet start its mysqld, and wait until it answers; raises LabError while the tablet is down."""
        await control.send_command(self.folder, "mysqld-start")

    async def restart_mysqld(self) -> None:
        """Let the tablet restart its mysqld; raises LabError while the tablet is down."""
        await control.send_command(self.folder, "mysqld-restart")

    async def pause_mysqld(self) -> None:
        """Make mysqld hang (SIGSTOP)."""
        await control.send_command(self.folder, "mysqld-pause")

    async def resume_mysqld(self) -> None:
        """Resume a paused mysqld (SIGCONT)."""
        await control.send_command(self.folder, "mysqld-resume")

    async def hang_host(self) -> None:
        """Let neither the tablet nor its mysqld answer (SIGSTOP), as on a host behind a cut network."""
        for process in (self._process, self._mysqld):
            process.send(signal.SIGSTOP)

    async def wake_host(self) -> None:
        """Let both go on (SIGCONT)."""
        for process in (self._process, self._mysqld):
            process.send(signal.SIGCONT)

    async def stall_disk(self) -> None:
        """Let the tablet find that its disk takes no writes, and its mysqld hang as it then would."""
        await control.send_command(self.folder, "disk-stall")
        await self.pause_mysqld()
        self.disk_state = "stalled"

    async def fill_disk(self) -> None:
        """Let the tablet find its disk full, and its mysqld keep commits waiting as it then would."""
        await control.send_command(self.folder, "disk-fill")
        commits = HeldCommits(await self.connect_as_dba())
        await commits.begin()
        self._commits, self.disk_state = commits, "full"

    async def free_disk(self) -> None:
        """Let the disk take writes again, and mysqld go on."""
        was, self.disk_state = self.disk_state, "fine"
        await control.send_command(self.folder, "disk-go-on")
        if was == "stalled":
            await self.resume_mysqld()
        if self._commits is not None:
            await self._commits.end()
            self._commits = None

    async def refuse_connections(self) -> None:
        """Let mysqld refuse new connections (too many), those of its tablet among them; raises MysqlError."""
        connections = TakenConnections(await self.connect_as_dba(), await self.connect_as_dba())
        await connections.begin()
        self._connections = connections

    async def accept_connections(self) -> None:
        """Let mysqld take new connections again; one that has ended meanwhile does so by itself."""
        connections, self._connections = self._connections, None
        if connections is not None:
            with contextlib.suppress(MysqlError):
                await connections.end()

    async def rebuild(self) -> None:
        """Delete all data, and start the tablet and its mysqld as new ones."""
        await self.stop_tablet()
        await self.kill_mysqld()
        await asyncio.to_thread(shutil.rmtree, self.folder / "data")
        await self.start_tablet()

    async def snapshot(self) -> Path:
        """Copy the data folder as a disk has it at one moment, while mysqld stands still; returns the copy."""
        snapshot = self.folder / "snapshot"
        await self.pause_mysqld()
        ignored = shutil.ignore_patterns("*.sock*", "*.pid")
        await asyncio.to_thread(shutil.copytree, self.folder / "data", snapshot, ignore=ignored)
        await self.resume_mysqld()
        return snapshot

    async def roll_back(self, snapshot: Path) -> None:
        """Put an older copy of the data folder in place, and start tablet and mysqld on it."""
        await self.stop_tablet()
        await self.kill_mysqld()
        await asyncio.to_thread(shutil.rmtree, self.folder / "data")
        await asyncio.to_thread(shutil.move, snapshot, self.folder / "data")
        await self.start_tablet()

    async def connect(self, *, user: str = "vt_app", database: str = "") -> MysqlConnection:
        """Open a session over TCP, as the application does; raises MysqlError. The caller sets the deadline."""
        return await connect(user=user, host=self.host, port=self.mysql_port, database=database)

    async def connect_as_dba(self) -> MysqlConnection:
        """Open a session of the administrator over the unix socket; raises MysqlError."""
        return await connect(unix_socket(self.folder, "mysql.sock"))

    async def _is_up(self) -> bool:
        try:
            await control.send_command(self.folder, "wait-up")
        except LabError:
            return False
        return True

    def _log_tail(self) -> str:
        try:
            lines = (self.folder / "tablet.log").read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " / ".join(lines[-6:])


def _state_of(pid: int | None) -> str:
    """Return the state of a process: running, paused, or down if there is none."""
    if pid is None:
        return "down"
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "down"
    return "paused" if stat.rpartition(b")")[2].split()[0] in (b"T", b"t") else "running"
