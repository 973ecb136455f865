"""Clients that mean harm, in a process of their own: `python -m bench.server.attackers HOST PORT CONNECTIONS`.

They hold connections by sending slowly, or by taking nothing, and send bodies of 50 MB as fast as they are taken. One
that is cut off comes back at once. It ends when its standard input does, and prints how often it has connected.
"""

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from bench.server.clients import NICENESS, closed, end_of_input

HEADERS, BODIES, IDLE, DEAF, PIPELINES = 0.3, 0.2, 0.3, 0.1, 0.05
"""Shares of the connections; the rest sends bodies of 50 MB."""

BODY = 50 << 20
"""Bytes of a long body."""

SLOWLY = 1.0
"""Seconds between two bytes of a slow client."""

_REST = 0.1
_PIPELINED = 200
"""Requests that a client sends at once, without taking an answer."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a request that never gets to its end."""
    writer.write(b"GET /api/v1/shards HTTP/1.1\r\nhost: localhost\r\nlong: ")
    await _drip(writer)


async def slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a body byte by byte."""
    writer.write(_post(1000))
    await _drip(writer)


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask once, and stay."""
    writer.write(b"GET /debug/liveness HTTP/1.1\r\nhost: localhost\r\n\r\n")
    while await reader.read(1 << 16):
        pass


async def deaf_listener(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for events, and take none."""
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await _until_lost(writer)


async def deaf_pipeline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for the whole fleet again and again, and take no answer."""
    writer.write(b"GET /api/v1/shards HTTP/1.1\r\nhost: localhost\r\n\r\n" * _PIPELINED)
    await _until_lost(writer)


async def long_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a long body as fast as it is taken."""
    writer.write(_post(BODY))
    for _ in range(BODY >> 16):
        writer.write(b"x" * (1 << 16))
        await writer.drain()


def shared_out(connections: int) -> list[Talk]:
    """Return what each connection does."""
    kinds: Sequence[tuple[Talk, float]] = (
        (slow_headers, HEADERS),
        (slow_body, BODIES),
        (idle, IDLE),
        (deaf_listener, DEAF),
        (deaf_pipeline, PIPELINES),
    )
    talks = [talk for talk, share in kinds for _ in range(int(share * connections))]
    return talks + [long_body] * (connections - len(talks))


async def attack(host: str, port: int, talk: Talk, connected: Callable[[], object] = lambda: None) -> None:
    """Do the same over and over on one connection at a time, until cancelled; `connected` is called for each."""
    while True:
        with contextlib.suppress(OSError):
            # A buffer of a few bytes: what the server has sent waits there, not here.
            reader, writer = await asyncio.open_connection(host, port, limit=1024)
            connected()
            try:
                await talk(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(_REST)


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(SLOWLY)
        writer.write(b"x")
        await writer.drain()


async def _until_lost(writer: asyncio.StreamWriter) -> None:
    """Wait until the server has cut the connection off, and take nothing meanwhile."""
    await closed(writer.get_extra_info("socket"))


def _post(length: int) -> bytes:
    path = "/api/v1/shards/commerce/0/plans"
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}"
    return head.encode() + b"\r\n\r\n"


async def _run(host: str, port: int, connections: int) -> int:
    count = itertools.count()
    tasks = [asyncio.create_task(attack(host, port, talk, lambda: next(count))) for talk in shared_out(connections)]
    await end_of_input()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return next(count)


def yield_to_all() -> None:
    """Take the processor only while nothing else wants it, where Linux can do that.

    Attackers are on other hosts in truth. A nice process still keeps control waiting for a millisecond or three each
    time that it runs.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(NICENESS)


def main() -> None:
    """Read the command line, and attack."""
    host, port, connections = sys.argv[1:]
    yield_to_all()
    connected = uvloop.run(_run(host, int(port), int(connections)))
    sys.stdout.write(str(connected))


if __name__ == "__main__":
    main()
