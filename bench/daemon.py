"""The real daemon under measurement: started with a settings file, on one core, its log read as it grows."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from vtorc.topo.open import TopoAccess

LogLine = Mapping[str, Any]

LATENESS_FIELD = "late_seconds"
"""Field of a log line in which the daemon tells by how much its event loop was late; no line has it yet."""

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds of CPU of the daemon, and of all that ran on its core or took it away (steal)."""

    daemon: float
    core: float


class Daemon:
    """One daemon with default settings over this topology; it ends at once with its context."""

    def __init__(self, folder: Path, topo: TopoAccess, *, core: int) -> None:
        self.lines: list[LogLine] = []
        self._core = core
        self._log_file = folder / "vtorc.log"
        self._settings = folder / "vtorc.json"
        self._settings.write_text(
            json.dumps(
                {
                    "topo-implementation": topo.implementation,
                    "topo-global-server-address": ",".join(topo.global_server_address),
                    "topo-global-root": topo.global_root,
                    "log-format": "json",
                }
            )
        )
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None
        self._half_line = b""

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the daemon was not started"
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def last_words(self) -> str:
        """The last lines of its log."""
        return " / ".join(str(line["event"]) for line in self.lines[-3:])

    async def __aenter__(self) -> Self:
        with self._log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vtorc.cli.main", f"--config={self._settings}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
            )
        os.sched_setaffinity(self._process.pid, {self._core})
        self._log = self._log_file.open("rb")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._log is not None:
            self._log.close()

    def read_log(self) -> list[LogLine]:
        """Take over what the log has more than last time, and return it."""
        assert self._log is not None, "the daemon was not started"
        *whole, self._half_line = (self._half_line + self._log.read()).split(b"\n")
        new = [_parse(line) for line in whole if line]
        self.lines += new
        return new

    def cpu_times(self) -> CpuTimes:
        """Read how much CPU was used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        own = (int(fields[11]) + int(fields[12])) / _TICK
        line = next(
            line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{self._core} ")
        )
        user, nice, system, _, _, _, _, steal = (int(field) for field in line.split()[1:9])
        return CpuTimes(daemon=own, core=(user + nice + system + steal) / _TICK)

    def resident_mib(self) -> float:
        """Read the resident memory, in MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def logged_at(line: LogLine) -> float:
    """Return when a line was logged, in seconds since the Unix epoch; 0 for a line without a time."""
    text = str(line.get("timestamp", ""))
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def _parse(raw: bytes) -> LogLine:
    try:
        fields = json.loads(raw)
    except ValueError:
        fields = None
    return fields if isinstance(fields, dict) and "event" in fields else {"event": raw.decode(errors="replace")}
