"""A real etcd server of one member, as a child process, for the demo and the tests."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from vtorc.errors import TopoError
from vtorc.lab.errors import LabError
from vtorc.lab.parts import find_etcd
from vtorc.lab.ports import Ports
from vtorc.proto import etcd_pb2
from vtorc.topo.etcd2 import EtcdTls
from vtorc.topo.etcd_client import EtcdClient

_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of a server that demands client certificates of its CA, and the credentials of a client."""

    cert: Path
    key: Path
    ca: Path
    client: EtcdTls


class EtcdServer:
    """One etcd in a folder of its own; it keeps data, log and ports over restarts, and ends with its context."""

    def __init__(self, folder: Path, *, tls: ServerTls | None = None, options: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._tls = tls
        self._options = options
        self._ports = Ports()
        self._client_port, self._peer_port = self._ports.take(), self._ports.take()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """Host and port for clients."""
        return f"127.0.0.1:{self._client_port}"

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
        return self._folder / "etcd.log"

    async def start(self) -> None:
        """Start the server and wait until it answers; otherwise raises LabError with the end of its log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the demo, not for etcd
            )
        ended = asyncio.create_task(self._process.wait(), name="etcd ended")
        ready = asyncio.create_task(self._answer(), name="etcd answers")
        try:
            await asyncio.wait((ended, ready), return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise LabError(f"etcd ended with {ended.result()} at its start: {self._log_tail()}")
            await ready
        except TopoError as error:
            await self.kill()
            raise LabError(f"etcd in {self._folder} does not answer: {error}; its log: {self._log_tail()}") from error
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

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()
        self._ports.release()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            raise LabError(f"there is no etcd running in {self._folder}; start it first")
        return self._process

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        await self._process.wait()

    async def _answer(self) -> None:
        tls = self._tls.client if self._tls else EtcdTls()
        client = EtcdClient([self.address], timeout=_START_SECONDS, credentials=tls.credentials)
        try:
            await client.range(etcd_pb2.RangeRequest(key=b"/"))
        finally:
            await client.close()

    def _log_tail(self) -> str:
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-4:])

    def _command(self) -> list[str]:
        scheme = "https" if self._tls else "http"
        client, peer = f"{scheme}://{self.address}", f"http://127.0.0.1:{self._peer_port}"
        tls = (
            [
                f"--cert-file={self._tls.cert}",
                f"--key-file={self._tls.key}",
                f"--trusted-ca-file={self._tls.ca}",
                "--client-cert-auth",
            ]
            if self._tls
            else []
        )
        return [
            str(find_etcd().path),
            f"--data-dir={self._folder / 'data'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            *tls,
            *self._options,
        ]
