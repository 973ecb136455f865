"""A real topology server as a child process: its start, its end, and the ways in which tests and the demo break it."""

import abc
import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from vtorc.errors import TopoError
from vtorc.lab.errors import LabError
from vtorc.lab.ports import Ports

START_SECONDS = 120.0
"""Seconds within which a server must answer after its start."""


class TopoProcess(abc.ABC):
    """One server in a folder of its own; it keeps data, log and ports over restarts, and ends with its context."""

    name: ClassVar[str]
    """The name of the server in messages and of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports()
        self._client_port = self.ports.take()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self._client_port}"

    @property
    def client_port(self) -> int:
        """The port for clients."""
        return self._client_port

    @property
    def data(self) -> Path:
        """The folder of the server's data, which a test may replace while the server does not run."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The server's process id; raises LabError while it does not run."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / f"{self.name}.log"

    async def start(self) -> None:
        """Start the server and wait until it answers; otherwise raises LabError with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(),
                env={**os.environ, **self.environment()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, not for the server
            )
        ended = asyncio.create_task(self._process.wait(), name=f"{self.name} ended")
        ready = asyncio.create_task(self.answer(), name=f"{self.name} answers")
        try:
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise LabError(f"{self.name} ended with {ended.result()} at its start: {self._log_tail()}")
            await ready
        except TopoError as error:
            await self.kill()
            raise LabError(
                f"{self.name} in {self.folder} does not answer: {error}; its log: {self._log_tail()}"
            ) from error
        finally:
            ended.cancel()
            ready.cancel()

    async def stop(self) -> None:
        """Shut the server down in order."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        await self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Make the server hang: its connections stay open and it answers nothing."""
        process = self._running
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # without this its threads run on for a moment

    def resume(self) -> None:
        """Resume a paused server."""
        self._running.send_signal(signal.SIGCONT)

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program and its arguments, and write the files that it reads."""

    @abc.abstractmethod
    async def answer(self) -> None:
        """Wait until the server does what clients ask for; raises TopoError after START_SECONDS."""

    def environment(self) -> Mapping[str, str]:
        """Return what is added to the environment of the process."""
        return {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        self.ports.release()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise LabError(f"there is no {self.name} running in {self.folder}; start it first")
        return self._process

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        await self._process.wait()

    def _log_tail(self) -> str:
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-4:])
