"""Receivers of the webhook that answer, hang or refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG = 0
"""The status of a receiver that never answers."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    headers: dict[str, str]
    """By names in lower case."""
    body: bytes


@dataclass
class FakeReceiver:
    """An HTTP server that keeps what it gets, and answers with a status of one's choice."""

    status: Callable[[Received], int] = lambda _: 204
    port: int = 0
    got: list[Received] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    async def until(self, count: int) -> list[Received]:
        """Wait until it has got so many requests."""
        while len(self.got) < count:
            self._more.clear()
            await self._more.wait()
        return self.got

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        received = Received(headers, await reader.readexactly(int(headers["content-length"])))
        status = self.status(received)
        self.got.append(received)
        self._more.set()
        if status == HANG:
            await reader.read()
        else:
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def receiving(status: Callable[[Received], int] = lambda _: 204) -> AsyncIterator[FakeReceiver]:
    """Receive until the end of the context."""
    receiver = FakeReceiver(status)
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds of what gives no event."""
    while not condition():  # noqa: ASYNC110 (there is none to wait for)
        await asyncio.sleep(0.005)
