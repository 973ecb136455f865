"""What is done to the server in its turns: clients that read, or an attack."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.server.arms import Load, Served
from bench.server.clients import Heard

ENDS_WITHIN = 120.0
"""Seconds until a process of clients has ended."""

STRIKES_EVERY = 6.0
"""Seconds between two signals to the server process, after the first of which it is back."""

BACK_WITHIN = 60.0
"""Seconds until a server counts as never back."""

_MOST_TOLD = 2**26
"""Bytes of a client's report that are read ahead: one whose process ends while reading is paused was cut short."""

_ASK_EVERY = 0.02
_ANSWERS_WITHIN = 1.0


@dataclass(slots=True)
class Strikes:
    """How long the server was gone after each signal, in seconds."""

    killed: list[float] = field(default_factory=list)
    """After SIGKILL."""
    stopped: list[float] = field(default_factory=list)
    """After SIGSTOP, which nothing but vtorc ends."""

    def __str__(self) -> str:
        return f"the server was killed {len(self.killed)} times, and stopped {len(self.stopped)} times"


def reading(heard: Heard, *, listeners: int, stuck: int) -> Load:
    """Return a load of so many listeners, stuck ones among them, and a reader; what they got is added to `heard`."""

    @asynccontextmanager
    async def load(served: Served) -> AsyncIterator[None]:
        async with _process(served, "bench.server.clients", listeners - stuck, stuck) as process:
            yield
            async with asyncio.timeout(ENDS_WITHIN):
                told, _ = await process.communicate(b"")
            heard.add(Heard(**json.loads(told)))

    return load


def attack(strikes: Strikes, *, connections: int) -> Load:
    """Return a load of so many connections that mean harm, while the server process is killed and stopped."""

    @asynccontextmanager
    async def load(served: Served) -> AsyncIterator[None]:
        async with _process(served, "bench.server.attackers", connections):
            striking = asyncio.create_task(strike(served, strikes), name="strikes")
            try:
                yield
            finally:
                striking.cancel()
                await asyncio.gather(striking, return_exceptions=True)

    return load


@asynccontextmanager
async def _process(served: Served, module: str, *arguments: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run clients in a process of their own, which ends with the context."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, served.host, str(served.port), *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_MOST_TOLD,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def strike(served: Served, strikes: Strikes) -> None:
    """Kill the server, and stop it, by turns until cancelled."""
    for number, times in itertools.cycle(((signal.SIGKILL, strikes.killed), (signal.SIGSTOP, strikes.stopped))):
        await asyncio.sleep(STRIKES_EVERY)
        pid = served.pid
        if pid is None:
            continue
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        while time.monotonic() - began < BACK_WITHIN:
            if await asyncio.to_thread(served.status, "/api/v1/status", seconds=_ANSWERS_WITHIN) == 200:
                break
            await asyncio.sleep(_ASK_EVERY)
        times.append(time.monotonic() - began)
