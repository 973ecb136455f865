"""A tablet for tests of the client: a real gRPC server in this process with scripted answers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import TabletUnreachable
from vtorc.proto import (
    query_pb2,
    queryservice_pb2_grpc,
    tabletmanagerservice_pb2,
    tabletmanagerservice_pb2_grpc,
    topodata_pb2,
)
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.settings import ClientSettings

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Awaitable[Message]]

HOST = "127.0.0.1"
PING = tm.PingResponse(payload="payload")
_CALLS = tabletmanagerservice_pb2.DESCRIPTOR.services_by_name["TabletManager"].methods_by_name


@dataclass(slots=True)
class Seen:
    """One received call; `peer` is the client's end of the connection, `time_left` its deadline in seconds."""

    name: str
    request: Any
    metadata: dict[str, str | bytes]
    peer: str
    time_left: float | None


@dataclass(slots=True)
class Stuck:
    """A call that never gets an answer: whether it has arrived, whether its client cancelled it."""

    entered: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class FakeTablet(tabletmanagerservice_pb2_grpc.TabletManagerServicer, queryservice_pb2_grpc.QueryServicer):
    """Answers the calls that have a handler; all others are UNIMPLEMENTED, as on a tablet that is too old.

    Its health stream begins with its alias, as those of vttablets do, unless a test puts other messages on the stream.
    With `sends_alias` False it has no such message, and with `has_health` False there are no health streams at all.
    """

    def __init__(self, alias: TabletAlias = TabletAlias("zone1", 101)) -> None:  # noqa: B008 - frozen
        self.alias = alias
        self.sends_alias = True
        self.has_health = True
        self.alias_messages = 0
        self.streams_refused = 0
        self.seen: list[Seen] = []
        self.health: asyncio.Queue[query_pb2.StreamHealthResponse | None] = asyncio.Queue()
        self.port = 0
        self.credentials: grpc.ServerCredentials | None = None
        self._handlers: dict[str, Handler] = {}
        self._server: grpc.aio.Server | None = None
        for name in _CALLS:
            setattr(self, name, partial(self._answer, name))

    @property
    def record(self) -> TabletRecord:
        """Its record in the topology."""
        return TabletRecord(
            alias=self.alias,
            keyspace="commerce",
            shard="0",
            type=TabletType.REPLICA,
            hostname=HOST,
            grpc_port=self.port,
        )

    @property
    def requests(self) -> list[Any]:
        """The received requests, in order."""
        return [each.request for each in self.seen]

    def does(self, name: str, handler: Handler) -> None:
        """Let `handler` answer the call `name`."""
        self._handlers[name] = handler

    def answers(self, name: str, answer: Message) -> None:
        """Answer the call `name` with a message."""

        async def handler(request: Any, context: Context) -> Message:
            return answer

        self.does(name, handler)

    def fails(self, name: str, text: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN) -> None:
        """Answer the call `name` with an error, by default as releases up to 22 do."""

        async def handler(request: Any, context: Context) -> Message:
            return await context.abort(code, text)

        self.does(name, handler)

    def hangs(self, name: str) -> Stuck:
        """Never answer the call `name`."""
        stuck = Stuck()

        async def handler(request: Any, context: Context) -> Message:
            stuck.entered.set()
            try:
                never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
                return await never
            finally:
                stuck.cancelled.set()

        self.does(name, handler)
        return stuck

    async def start(self) -> None:
        """Listen, on the same port as before if it was started before."""
        self._server = grpc.aio.server()
        tabletmanagerservice_pb2_grpc.add_TabletManagerServicer_to_server(self, self._server)
        queryservice_pb2_grpc.add_QueryServicer_to_server(self, self._server)
        address = f"{HOST}:{self.port}"
        if self.credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self.credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Die: running calls are cut off and the port is closed."""
        if self._server is not None:
            await self._server.stop(None)

    async def StreamHealth(self, request: Any, context: Context) -> AsyncIterator[query_pb2.StreamHealthResponse]:
        """Send what is put into `health`, until None is."""
        if not self.has_health:
            self.streams_refused += 1
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown service queryservice.Query")
        if not self.health.empty():
            self._note("StreamHealth", request, context)
        elif self.sends_alias:
            self.alias_messages += 1
            alias = topodata_pb2.TabletAlias(cell=self.alias.cell, uid=self.alias.uid)
            yield query_pb2.StreamHealthResponse(tablet_alias=alias)
        while (message := await self.health.get()) is not None:
            yield message

    async def _answer(self, name: str, request: Any, context: Context) -> Message:
        self._note(name, request, context)
        handler = self._handlers.get(name)
        if handler is None:
            return await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"unknown method {name}")
        return await handler(request, context)

    def _note(self, name: str, request: Any, context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        self.seen.append(Seen(name, request, metadata, context.peer(), context.time_remaining()))


@asynccontextmanager
async def running(*tablets: FakeTablet) -> AsyncIterator[None]:
    """Start tablets, and stop them at the end."""
    try:
        for tablet in tablets:
            await tablet.start()
        yield
    finally:
        for tablet in tablets:
            await tablet.stop()


@asynccontextmanager
async def calling(settings: ClientSettings = ClientSettings()) -> AsyncIterator[GrpcTabletManager]:  # noqa: B008
    """Yield a client, and close it at the end."""
    client = GrpcTabletManager(settings)
    try:
        yield client
    finally:
        await client.close()


async def reason_of_failure(client: GrpcTabletManager, record: TabletRecord) -> str:
    """Make a call that must fail, and return the reason."""
    with pytest.raises(TabletUnreachable) as caught:
        await client.ping(record)
    return caught.value.reason


def record_at(port: int) -> TabletRecord:
    """A tablet's record with this port."""
    tablet = FakeTablet()
    tablet.port = port
    return tablet.record


class Relay:
    """A relay in front of a tablet that a test can close, freeze or break, as a network does to connections."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.accepted = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._lines: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Accept connections."""
        self._server = await asyncio.start_server(self._carry, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse new connections and leave the others alone."""
        if self._server is not None:
            self._server.close()

    def freeze(self) -> None:
        """Forward no more data, without closing any connection."""
        self._thawed.clear()

    def break_lines(self) -> None:
        """Reset all connections."""
        for line in self._lines:
            line.transport.abort()

    async def close(self) -> None:
        """Close the port and reset all connections."""
        self.shut()
        self.break_lines()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._lines.add(sink)
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._thawed.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            self._lines.discard(sink)
            sink.close()
