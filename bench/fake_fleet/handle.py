"""The process of a fake fleet as seen by a measurement."""

import asyncio
import json
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.fake_fleet.fleet import FleetReport
from vtorc.core.facts.ids import TabletAlias
from vtorc.lab.errors import LabError
from vtorc.lab.ports import Ports

_LONGEST_LINE = 1 << 22
_PATIENCE = 120.0
"""Seconds until all records are written, which takes 10 ms a tablet on a slow disk, and until a command is answered."""


class FleetProcess:
    """So many fake tablets in a process of their own, on the given cores; it ends with its context."""

    def __init__(self, tablets: int, topo_file: Path, *, cores: Collection[int]) -> None:
        self._tablets = tablets
        self._topo_file = topo_file
        self._cores = cores
        self._ports = Ports()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started.pid

    async def report(self) -> FleetReport:
        """Return what the fleet was asked so far."""
        return FleetReport(**await self._ask({"do": "report"}))

    async def lose(self, tablets: Iterable[TabletAlias], *, silent: bool) -> None:
        """Lose tablets: their connections are refused, or stay open without an answer."""
        await self._ask({"do": "lose", "tablets": [str(alias) for alias in tablets], "silent": silent})

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.fake_fleet", f"--tablets={self._tablets}"),
            *(f"--topo={self._topo_file}", f"--port={self._ports.take()}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        os.sched_setaffinity(self._process.pid, self._cores)
        await self._answer()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._started.returncode is None:
            self._started.kill()
            await self._started.wait()
        self._ports.release()

    @property
    def _started(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the fleet was not started"
        return self._process

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._started.stdin is not None
        self._started.stdin.write(json.dumps(command).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._started.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            line = await self._started.stdout.readline()
        if not line:
            raise LabError(f"the fake fleet ended with {await self._started.wait()}; its words are on standard error")
        answer: dict[str, Any] = json.loads(line)
        return answer
