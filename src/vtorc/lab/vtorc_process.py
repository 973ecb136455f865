"""One `vtorc` daemon as a process: start it with flags, read its log line by line, end it by any signal."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vtorc.lab.errors import LabError

LogLine = Mapping[str, Any]
"""One line of vtorc's log: its fields, or `event` alone if the line is not JSON (such as Python's own last words)."""

_PATIENCE = 300.0
_LAST_LINES = 8
_LONGEST_LINE = 1 << 20


class VtorcProcess:
    """One daemon process, which is killed at the end of its context.

    `folder` is its working directory, so that its flags may name files relative to it. If `folder` lies in the folder
    of a lab, and a flag such as `-log_dir` names it, the daemon ends with the lab. It serves HTTP only if its flags say
    where. `on_line` is called with every line of the log.
    """

    def __init__(
        self,
        folder: Path,
        flags: Sequence[str],
        *,
        name: str = "vtorc",
        on_line: Callable[[LogLine], None] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.lines: list[LogLine] = []
        self._flags = ("--listen-address=", *flags)
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    @property
    def pid(self) -> int:
        """The process id of the daemon, also after its end; raises LabError before its start."""
        return self._started.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, None while it runs; the negative signal number if a signal ended it."""
        return self._started.returncode

    async def start(self) -> None:
        """Start the process and return at once; `wait_for` waits for its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *_program(),
            *self._flags,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        (self.folder / f"{self.name}.pid").write_text(str(self._process.pid))
        self._reading = asyncio.create_task(self._read(), name=f"log of {self.name}")

    async def wait_for(
        self, wanted: Callable[[LogLine], bool], *, since: int = 0, deadline: float = _PATIENCE
    ) -> LogLine:
        """Return the first line of the log, from number `since` on, that is `wanted`; waits until there is one.

        Raises LabError with the last lines if the daemon ends first, or after `deadline` seconds.
        """
        position = since
        try:
            async with asyncio.timeout(deadline):
                while True:
                    for line in self.lines[position:]:
                        position += 1
                        if wanted(line):
                            return line
                    if self._reading is None or self._reading.done():
                        code = await self._started.wait()
                        raise LabError(f"{self.name} ended with {code} before the wanted line: {self._log_tail()}")
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise LabError(f"{self.name} did not log the wanted line in {deadline:g} s: {self._log_tail()}") from None

    async def wait_exit(self, *, deadline: float = _PATIENCE) -> int:
        """Wait until it has ended and its whole log is in `lines`; returns the exit code.

        Raises LabError after `deadline` seconds.
        """
        try:
            async with asyncio.timeout(deadline):
                code = await self._started.wait()
                if self._reading is not None:
                    await asyncio.wait((self._reading,))
                return code
        except TimeoutError:
            raise LabError(f"{self.name} did not end within {deadline:g} s: {self._log_tail()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if the daemon still runs."""
        if self._started.returncode is None:
            self._started.send_signal(number)

    async def terminate(self) -> int:
        """Shut the daemon down in order (SIGTERM) and return its exit code."""
        self.send(signal.SIGTERM)
        return await self.wait_exit()

    async def kill(self) -> None:
        """End the daemon at once (SIGKILL)."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            await self.wait_exit()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise LabError(f"{self.name} was not started")
        return self._process

    async def _read(self) -> None:
        output = self._started.stderr
        assert output is not None
        try:
            async for raw in output:
                line = _parse(raw.decode(errors="replace").rstrip("\n"))
                self.lines.append(line)
                self._more.set()
                if self._on_line is not None:
                    self._on_line(line)
        finally:
            self._more.set()

    def _log_tail(self) -> str:
        return " / ".join(str(line["event"]) for line in self.lines[-_LAST_LINES:]) or "its log is empty"


def _program() -> list[str]:
    """Return the `vtorc` command of this installation, or the same as a module if it is not installed."""
    script = Path(sys.executable).with_name("vtorc")
    return [str(script)] if script.exists() else [sys.executable, "-m", "vtorc.cli.main"]


def _parse(text: str) -> LogLine:
    try:
        fields = json.loads(text)
    except ValueError:
        return {"event": text}
    return fields if isinstance(fields, dict) and "event" in fields else {"event": text}
