"""A TCP relay in front of a server, as an endpoint of its own that can fail in several ways."""

import asyncio
import contextlib
import enum
from types import TracebackType
from typing import Self

_LATE = 0.15
"""Seconds by which a slow relay delays each piece."""


class Mode(enum.Enum):
    """What a relay does with its connections, those that it has and new ones."""

    FORWARD = "forward"
    HANG = "hang"  # bytes of either side go nowhere, nobody is told
    MUTE = "mute"  # requests arrive, answers do not
    SLOW = "slow"  # everything arrives, late


class Relay:
    """Listens on a port of its own and forwards to `host:port`, for the length of its context."""

    def __init__(self, target: str) -> None:
        self.mode = Mode.FORWARD
        self.answers_lost = asyncio.Event()
        self._host, _, port = target.partition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Host and port for clients."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break all connections; new ones are accepted."""
        for task in self._tasks:
            task.cancel()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._connect(reader, writer)
        self._tasks.discard(task)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, server_writer, answers=False))
                group.create_task(self._pump(server_reader, writer, answers=True))
        except* OSError:
            pass
        finally:
            server_writer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await source.read(65536):
            if self.mode is Mode.HANG or (self.mode is Mode.MUTE and answers):
                if answers:
                    self.answers_lost.set()
                continue
            if self.mode is Mode.SLOW:
                await asyncio.sleep(_LATE)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError
