"""What is done to the server in its turns: clients that read, or an attack."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.server.arms import Load, Served
from bench.server.clients import Heard
from bench.server.strikes import Strikes

ENDS_WITHIN = 120.0
"""Seconds until a process of clients has ended."""

_MOST_TOLD = 2**26
"""Bytes of a client's report that are read ahead: one whose process ends while reading is paused was cut short."""


def reading(heard: Heard, *, listeners: int, stuck: int) -> Load:
    """Return a load of so many listeners, stuck ones among them, and a reader; what they got is added to `heard`."""

    @asynccontextmanager
    async def load(served: Served) -> AsyncIterator[None]:
        async with _process(served, "bench.server.clients", listeners - stuck, stuck) as process:
            yield
            heard.add(Heard(**json.loads(await _told(process))))

    return load


def attack(strikes: Strikes, *, connections: int) -> Load:
    """Return a load of so many connections that mean harm, while the server process is killed and stopped."""

    @asynccontextmanager
    async def load(served: Served) -> AsyncIterator[None]:
        async with (
            _process(served, "bench.server.attackers", connections) as attackers,
            _process(served, "bench.server.strikes", served.parent) as striker,
        ):
            yield
            strikes.add(Strikes(**json.loads(await _told(striker))))
            strikes.attempts += int(await _told(attackers))

    return load


async def _told(process: asyncio.subprocess.Process) -> bytes:
    """End a process of clients; returns what it prints then."""
    async with asyncio.timeout(ENDS_WITHIN):
        told, _ = await process.communicate(b"")
    return told


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
