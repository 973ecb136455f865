"""A server that speaks as much of MySQL's protocol as a login and one statement need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

COM_QUERY = 3
COM_QUIT = 1

_GREETING = (
    b"\x07\x00\x00\x00"  # thread id
    b"saltsalt\x00"
    b"\x01\x82"  # capabilities, low: LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION
    b"\x2d\x02\x00"
    b"\x08\x00"  # capabilities, high: PLUGIN_AUTH
    b"\x15" + bytes(10) + b"saltsaltsalt\x00mysql_native_password\x00"
)
_OK = b"\x00\x00\x00\x02\x00\x00\x00"

Part = Callable[["Conversation"], Coroutine[Any, Any, object]]


class Conversation:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.statements: list[bytes] = []

    async def receive(self) -> tuple[int, bytes]:
        """Read one packet: its number and its payload."""
        head = await self.reader.readexactly(4)
        return head[3], await self.reader.readexactly(int.from_bytes(head[:3], "little"))

    def send(self, number: int, payload: bytes) -> None:
        """Write one packet."""
        self.writer.write(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    def send_error(self, number: int, errno: int, text: str, *, sqlstate: str = "#HY000") -> None:
        """Write an error packet; before the greeting it has no SQLSTATE."""
        self.send(number, b"\xff" + errno.to_bytes(2, "little") + sqlstate.encode() + text.encode())

    async def be_connected(self) -> None:
        """Say nothing, and let the client in this loop see that it is connected."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def greet(self, version: bytes = b"8.4.0") -> bytes:
        """Greet the client, and return its answer."""
        self.send(0, b"\x0a" + version + b"\x00" + _GREETING)
        return (await self.receive())[1]

    async def let_in(self) -> None:
        """Play a successful login and answer the statement that follows it."""
        await self.greet()
        self.send(2, _OK)
        number, payload = await self.receive()
        assert payload[0] == COM_QUERY
        self.statements.append(payload[1:])
        self.send(number + 1, _OK)


class FakeMysqld:
    """The server: `conversations` are those it has had, `over` counts those that ended."""

    def __init__(self, play: Part) -> None:
        self._play = play
        self.address = ("", 0)
        self.conversations: list[Conversation] = []
        self.over = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the part on one connection, then close it."""
        conversation = Conversation(reader, writer)
        self.conversations.append(conversation)
        try:
            await self._play(conversation)
        finally:
            writer.close()
            self.over.release()


@asynccontextmanager
async def fake_mysqld(play: Part) -> AsyncIterator[FakeMysqld]:
    """Run a server that plays this part on each connection."""
    fake = FakeMysqld(play)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.address = server.sockets[0].getsockname()[:2]
    async with server:
        yield fake
