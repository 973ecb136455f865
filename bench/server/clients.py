"""Clients that read, in a process of their own: `python -m bench.server.clients HOST PORT LISTENERS STUCK`.

Listeners hear all events, stuck ones take none, and a reader asks for pages of shards and for the list of all. It ends
when its standard input does, and prints how old what they got was.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import uvloop

from bench.server.made_fleet import STAMP

NICENESS = 5
"""Clients are on other hosts in truth; what they wait for a processor counts as age of what they get."""

PAGES_EVERY = 0.5
"""Seconds between two questions of a reader."""

LIMIT = 200
"""Shards of a page."""

_CHUNK = 1 << 18
_IN_A_TABLET = f'"io_error":"{STAMP}'.encode()
"""What stands before a stamp in a shard, once; a decision has none of it."""
_IN_A_ROW = STAMP.encode()
_DIGITS = 16
"""Digits of a stamp."""
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


def stamps(data: bytes, before: bytes) -> Iterator[int]:
    """Yield the stamps that stand in `data` after `before`, whole ones only."""
    at = data.find(before)
    while at >= 0:
        text = data[at + len(before) : at + len(before) + _DIGITS]
        if len(text) == _DIGITS:
            yield int(text)
        at = data.find(before, at + len(before))


class Clients:
    """All clients of one server."""

    def __init__(self, host: str, port: int) -> None:
        self.heard = Heard()
        self._address = (host, port)

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
        reader, writer = await asyncio.open_connection(*self._address, limit=1 << 22)
        try:
            writer.write(_request("/api/v1/events"))
            began, tail = time.time(), b""
            while data := await reader.read(_CHUNK):
                now = time.time()
                self.heard.megabytes += len(data) / 1e6
                data = tail + data
                for stamp in stamps(data, _IN_A_TABLET):
                    if stamp not in seen and stamp / 1e6 > began:
                        seen.add(stamp)
                        self.heard.event_ages.append(now - stamp / 1e6)
                tail = data[-len(_IN_A_TABLET) - _DIGITS :]
        finally:
            writer.close()

    async def _ask(self, path: str, *, has_newest: bool = True) -> str:
        """Ask for a list; returns the cursor of the next page, empty without one."""
        began = time.time()
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                writer.write(_request(path, "connection: close\r\n"))
                answer = await reader.read()
            finally:
                writer.close()
        except OSError:
            answer = b""
        now = time.time()
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            self.heard.failed += 1
            return ""
        self.heard.megabytes += len(answer) / 1e6
        self.heard.page_seconds.append(now - began)
        newest = max(stamps(body, _IN_A_ROW), default=None)
        if has_newest and newest is not None:
            self.heard.page_ages.append(now - newest / 1e6)
        cursor = json.loads(body)["cursor"]
        return cursor if isinstance(cursor, str) else ""


def _request(path: str, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n".encode()


async def closed(sock: socket.socket) -> None:
    """Wait until the other end has ended a connection, without taking anything from it."""
    while True:
        await asyncio.sleep(1.0)
        (state,) = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        if state != _ESTABLISHED:
            return


async def _run(host: str, port: int, listeners: int, stuck: int) -> Heard:
    clients = Clients(host, port)
    tasks = [asyncio.create_task(clients.listen()) for _ in range(listeners)]
    tasks += [asyncio.create_task(clients.be_stuck()) for _ in range(stuck)]
    tasks.append(asyncio.create_task(clients.read()))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
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
