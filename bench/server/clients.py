"""Clients that read, in a process of their own: `python -m bench.server.clients HOST PORT LISTENERS STUCK`.

Listeners hear all events, stuck ones take none, and a reader asks for pages of shards and for the list of all. It ends
when its standard input does, and prints how old what they got was.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Self

import uvloop

from bench.server.made_fleet import STAMP

NICENESS = 15
"""Clients are on other hosts in truth, and are not to take the processor of control, the server, and MySQL.

What they get counts as arrived when the kernel has it for them; of what they read at once, when it has the last of it.
"""

WARM_UP = 3.0
"""Seconds after their start in which clients count nothing, as in `bench.server.arms`: vtorc tells all first."""

PAGES_EVERY = 0.5
"""Seconds between two questions of a reader."""

LIMIT = 200
"""Shards of a page."""

_CHUNK = 1 << 18
_STAMP = re.compile(rb"%s(\d{16})" % STAMP.encode())
_ROW_STAMP = re.compile(rb'"frame":"row".*?%s(\d{16})' % STAMP.encode())
"""A stamp in the row of a shard; a decision, which comes earlier, has one too."""
_RECEIVES = 4 << 20
"""Bytes that the kernel keeps of an answer that is not read yet."""
_SO_TIMESTAMPNS = 35
"""Linux' option for the time at which the kernel got what is received, and the type of the message that tells it."""
_TIMESPEC = struct.Struct("@qq")
_REST_AFTER_END = 0.2
_ESTABLISHED = 1
"""The state of a TCP connection with two ends, as Linux numbers it."""


@dataclass(slots=True)
class Heard:
    """What the clients got; ages and times are in seconds."""

    event_ages: list[float] = field(default_factory=list)
    """From a change to its arrival at a listener."""
    page_ages: list[float] = field(default_factory=list)
    """From the newest change in a page to its arrival: at best half of the time between two changes."""
    page_seconds: list[float] = field(default_factory=list)
    """From a question to the whole answer."""
    failed: int = 0
    """Questions that had another answer than 200, and streams that ended."""
    megabytes: float = 0.0
    """What all of them took."""

    def __str__(self) -> str:
        asked = len(self.page_seconds)
        return f"clients took {self.megabytes:,.0f} MB and {asked} lists; {self.failed} questions or streams failed"

    def add(self, more: "Heard") -> None:
        """Add what other clients got."""
        self.event_ages += more.event_ages
        self.page_ages += more.page_ages
        self.page_seconds += more.page_seconds
        self.failed += more.failed
        self.megabytes += more.megabytes


class Connection:
    """A connection that knows when the kernel got what is read from it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, address: tuple[str, int]) -> AsyncIterator[Self]:
        """Connect; raises OSError."""
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVES)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)
            yield cls(sock)

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> tuple[bytes, float]:
        """Return what came next, and when the last of it did, in seconds since the Unix epoch; empty at the end."""
        while True:
            try:
                data, messages, *_ = self.sock.recvmsg(_CHUNK, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                await self._readable()
                continue
            for level, kind, told in messages:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _TIMESPEC.unpack(told)
                    return data, seconds + nanoseconds / 1e9
            return data, time.time()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.sock, _end, readable)
        try:
            await readable
        finally:
            loop.remove_reader(self.sock)


class Clients:
    """All clients of one server."""

    def __init__(self, host: str, port: int) -> None:
        self.heard = Heard()
        self._address = (host, port)
        self._counts_from = time.time() + WARM_UP

    async def listen(self) -> None:
        """Take events until cancelled, over ends of the stream."""
        seen: set[int] = set()
        while True:
            with contextlib.suppress(OSError):
                await self._listen_once(seen)
            self.heard.failed += 1
            await asyncio.sleep(_REST_AFTER_END)

    async def be_stuck(self) -> None:
        """Ask for events and take none, until cancelled; begin again once the server has had enough."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError), socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.setblocking(False)
                await loop.sock_connect(sock, self._address)
                await loop.sock_sendall(sock, _request("/api/v1/events"))
                await closed(sock)
            await asyncio.sleep(_REST_AFTER_END)

    async def read(self) -> None:
        """Ask for the worst shards, page by page, and for the list of all, until cancelled."""
        while True:
            cursor = await self._ask(f"/api/v1/shards?sort=state&limit={LIMIT}")
            await asyncio.sleep(PAGES_EVERY)
            if cursor:
                await self._ask(f"/api/v1/shards?sort=state&limit={LIMIT}&cursor={cursor}", has_newest=False)
            await asyncio.sleep(PAGES_EVERY)
            await self._ask("/api/v1/shards")
            await asyncio.sleep(PAGES_EVERY)

    async def _listen_once(self, seen: set[int]) -> None:
        async with Connection.open(self._address) as connection:
            await connection.send(_request("/api/v1/events"))
            counts_from, text = max(time.time(), self._counts_from), b""
            while True:
                data, at = await connection.receive()
                if not data:
                    return
                self.heard.megabytes += len(data) / 1e6
                whole, end, text = (text + data).rpartition(b"\n")
                for found in _ROW_STAMP.findall(whole + end):
                    stamp = int(found)
                    if stamp not in seen and stamp / 1e6 > counts_from:
                        seen.add(stamp)
                        self.heard.event_ages.append(at - stamp / 1e6)

    async def _ask(self, path: str, *, has_newest: bool = True) -> str:
        """Ask for a list; returns the cursor of the next page, empty without one."""
        began = at = time.time()
        answer = bytearray()
        with contextlib.suppress(OSError):
            async with Connection.open(self._address) as connection:
                await connection.send(_request(path, "connection: close\r\n"))
                while True:
                    data, came = await connection.receive()
                    if not data:
                        break
                    answer += data
                    at = came
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            self.heard.failed += 1
            return ""
        self.heard.megabytes += len(answer) / 1e6
        newest = max(map(int, _STAMP.findall(body)), default=None)
        if began > self._counts_from:
            self.heard.page_seconds.append(at - began)
            if has_newest and newest is not None:
                self.heard.page_ages.append(at - newest / 1e6)
        cursor = json.loads(body)["cursor"]
        return cursor if isinstance(cursor, str) else ""


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _request(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n".encode()


async def closed(sock: socket.socket) -> None:
    """Wait until the other end has ended a connection, without taking anything from it."""
    while True:
        await asyncio.sleep(1.0)
        (state,) = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        if state != _ESTABLISHED:
            return


async def end_of_input() -> None:
    """Wait until standard input ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def _run(host: str, port: int, listeners: int, stuck: int) -> Heard:
    clients = Clients(host, port)
    tasks = [asyncio.create_task(clients.listen()) for _ in range(listeners)]
    tasks += [asyncio.create_task(clients.be_stuck()) for _ in range(stuck)]
    tasks.append(asyncio.create_task(clients.read()))
    await end_of_input()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return clients.heard


def main() -> None:
    """Read the command line, and be the clients."""
    host, port, listeners, stuck = sys.argv[1:]
    os.nice(NICENESS)
    heard = uvloop.run(_run(host, int(port), int(listeners), int(stuck)))
    sys.stdout.write(json.dumps(asdict(heard)))


if __name__ == "__main__":
    main()
