"""One real mysqld: its data directory and its process, which can be started, stopped, killed and paused.

The process is found by its pid file. So a tablet process that is started again takes over the server that its
predecessor started.
"""

import asyncio
import contextlib
import shutil
import signal
import zlib
from dataclasses import dataclass
from pathlib import Path

from vtorc.errors import MysqlError
from vtorc.lab.errors import LabError
from vtorc.lab.mysql_connection import connect
from vtorc.lab.parts import MysqlParts, required_options
from vtorc.lab.processes import PidFileProcess, unix_socket
from vtorc.lab.template import SMALL, copy_template, template_folder

SEMI_SYNC_TIMEOUT_MS = 1_000_000_000_000_000_000
"""Vitess' setting: MySQL never falls back to asynchronous replication."""

_VITESS_LIKE = (
    "--log-bin=binlog",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--log-replica-updates=ON",
    "--relay-log=relay",
    "--relay-log-recovery=ON",
    "--skip-replica-start=ON",
    "--replica-net-timeout=8",
    "--replica-parallel-workers=1",
    "--super-read-only=ON",
    "--sync-binlog=0",
    "--skip-name-resolve",
    "--plugin-load-add=rpl_semi_sync_source=semisync_source.so",
    "--plugin-load-add=rpl_semi_sync_replica=semisync_replica.so",
    f"--rpl-semi-sync-source-timeout={SEMI_SYNC_TIMEOUT_MS}",
    "--rpl-semi-sync-source-wait-no-replica=ON",
    "--rpl-semi-sync-source-wait-for-replica-count=1",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MysqldConfig:
    """The folder, the address and the options of a mysqld; `options` come last, so that they win."""

    mysql: MysqlParts
    folder: Path
    port: int
    server_id: int
    host: str = "127.0.0.1"
    options: tuple[str, ...] = ()


class Mysqld:
    """The process of one mysqld, started by this process or by an earlier one."""

    def __init__(self, config: MysqldConfig) -> None:
        self._config = config
        self._folder = config.folder.absolute()
        self._process = PidFileProcess(self._folder / "mysqld.pid", f"--datadir={self._data}")

    @property
    def socket(self) -> Path:
        """The unix socket of the server."""
        return unix_socket(self._folder, "mysql.sock")

    @property
    def config(self) -> MysqldConfig:
        """The configuration of the server."""
        return self._config

    @property
    def log(self) -> Path:
        """The server's error log."""
        return self._folder / "mysqld.log"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _generation_file(self) -> Path:
        return self._folder / "data.generation"

    @property
    def _generation(self) -> int:
        """How many data directories this folder has had."""
        try:
            return int(self._generation_file.read_text())
        except (OSError, ValueError):
            return 0

    @property
    def _server_id(self) -> int:
        """The configured server_id for the first data directory, another one for each later data directory.

        A replica skips transactions with its own server_id. With the same one, a rebuilt server would never get back
        the transactions that it had written before.
        """
        first, generation = self._config.server_id, self._generation
        return first if generation <= 1 else zlib.crc32(f"{first}/{generation}".encode()) or 1

    @property
    def pid(self) -> int | None:
        """The process id of the server, None while it is down."""
        return self._process.pid

    async def prepare(self) -> None:
        """Make the data directory if there is none: 0.1 s from a template, 3 s for the first of a MySQL version."""
        if not self._data.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._generation_file.write_text(str(self._generation + 1))
            template = await asyncio.to_thread(template_folder, self._config.mysql)
            await asyncio.to_thread(copy_template, template, self._data)

    async def start(self, *, deadline: float = 120.0) -> None:
        """Start the server unless it runs, and wait until it answers; else raises LabError with the end of its log."""
        await self.prepare()
        self.spawn()
        await self.wait_ready(deadline=deadline)

    def spawn(self) -> None:
        """Start the process unless it runs, without waiting for an answer."""
        if self.pid is None:
            # A killed server leaves its lock file. While a zombie has the pid in it, the next server would not start.
            self.socket.with_name(f"{self.socket.name}.lock").unlink(missing_ok=True)
        self._process.spawn(self._command(), log=self.log)

    async def wait_ready(self, *, deadline: float = 120.0) -> None:
        """Wait until the server accepts a session of its administrator; raises LabError after `deadline` s."""
        try:
            async with asyncio.timeout(deadline):
                while not await self._answers():
                    if self._process.exit_code is not None:
                        raise LabError(f"mysqld ended with {self._process.exit_code} at its start: {self._log_tail()}")
                    await asyncio.sleep(0.03)
        except TimeoutError:
            raise LabError(
                f"mysqld in {self._folder} did not answer within {deadline:g} s: {self._log_tail()}"
            ) from None

    async def stop(self, *, deadline: float = 20.0) -> None:
        """Shut the server down in order (SIGTERM), or kill it if that takes longer than `deadline` s."""
        await self._process.terminate(deadline=deadline)

    async def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        await self._process.kill()

    def pause(self) -> None:
        """Pause the process (SIGSTOP): its connections stay open and it answers nothing."""
        if not self._process.send(signal.SIGSTOP):
            raise LabError(f"there is no mysqld in {self._folder} to pause; start it first")

    def resume(self) -> None:
        """Resume a paused process (SIGCONT)."""
        if not self._process.send(signal.SIGCONT):
            raise LabError(f"there is no mysqld in {self._folder} to resume; start it first")

    async def restart(self) -> None:
        """Stop the server in order and start it again."""
        await self.stop()
        await self.start()

    async def wait_exit(self) -> None:
        """Wait until the process has ended, be it a child of this process or not."""
        await self._process.wait_exit()

    def remove(self) -> None:
        """Delete the folder with all data; the server must not run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(2.0):
                connection = await connect(self.socket)
        except (MysqlError, TimeoutError):
            return False
        connection.close()
        return True

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return " / ".join(self.log.read_text(errors="replace").splitlines()[-4:])
        return "it left no log"

    def _command(self) -> list[str]:
        config = self._config
        return [
            str(config.mysql.mysqld),
            *required_options(config.mysql),
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={self._data / 'server.pid'}",
            f"--log-error={self.log}",
            f"--port={config.port}",
            f"--bind-address={config.host}",
            f"--server-id={self._server_id}",
            *SMALL,
            *_VITESS_LIKE,
            *config.options,
        ]
