"""Doors before tablets: vtorc's calls pass them and can be held there, so that a test knows at which step it is."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc

from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.watching import PATIENCE
from vtorc.core.facts.ids import TabletAlias
from vtorc.lab.tablet_handle import LabTablet
from vtorc.proto import topodata_pb2


def _as_it_is(message: bytes) -> bytes:
    return message


class Gate:
    """The door before one tablet; `port` is where vtorc finds it."""

    def __init__(self, tablet: LabTablet) -> None:
        self.tablet = tablet
        self.port = 0
        self._held: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def held(self, method: str) -> None:
        """Wait until a call of that name stands before the closed door."""
        async with asyncio.timeout(PATIENCE):
            await self._waiting[method].wait()

    def hold(self, method: str) -> None:
        """Close the door to calls of that name."""
        self._held[method], self._waiting[method] = asyncio.Event(), asyncio.Event()

    def release(self, method: str) -> None:
        """Let those calls pass, now and from now on."""
        self._held.pop(method).set()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator["Gate"]:
        """Stand before the tablet while inside."""
        async with grpc.aio.insecure_channel(f"{self.tablet.host}:{self.tablet.grpc_port}") as channel:
            server = grpc.aio.server()
            server.add_generic_rpc_handlers((_Passage(self, channel),))
            self.port = server.add_insecure_port(f"{self.tablet.host}:0")
            await server.start()
            try:
                yield self
            finally:
                await server.stop(None)

    async def pass_through(self, method: str) -> None:
        """Wait while the door is closed to calls of that name."""
        if method in self._held:
            opened = self._held[method]
            self._waiting[method].set()
            await opened.wait()


class _Passage(grpc.GenericRpcHandler):
    """Hands every call on, bytes for bytes."""

    def __init__(self, gate: Gate, channel: grpc.aio.Channel) -> None:
        self._gate = gate
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        path = str(details.method)
        name = path.rpartition("/")[2]

        async def unary(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            await self._gate.pass_through(name)
            call = self._channel.unary_unary(path, _as_it_is, _as_it_is)
            try:
                return await call(request)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
                raise

        async def stream(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
            call = self._channel.unary_stream(path, _as_it_is, _as_it_is)
            try:
                async for message in call(request):
                    yield message
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")

        if name == "StreamHealth":
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


@asynccontextmanager
async def gates_before(shard: Shard) -> AsyncIterator[dict[TabletAlias, Gate]]:
    """Put a door before each tablet while inside. A tablet that is promoted writes its own port into its record, so
    that calls made after the next reading of it go past its door.
    """
    async with AsyncExitStack() as stack:
        gates = {tablet.alias: await stack.enter_async_context(Gate(tablet).standing()) for tablet in shard.tablets}
        for gate in gates.values():
            await _say_port(shard, gate.tablet, gate.port)
        try:
            yield gates
        finally:
            for tablet in shard.tablets:
                await _say_port(shard, tablet, tablet.grpc_port)


async def _say_port(shard: Shard, tablet: LabTablet, port: int) -> None:
    def change(record: topodata_pb2.Tablet) -> None:
        record.port_map["grpc"] = port

    await shard.cluster.topo.update_tablet(tablet.alias, change)


async def first_held(gates: Iterable[Gate], method: str) -> None:
    """Wait until a call of that name stands before one of these doors."""
    waiting = [asyncio.create_task(gate.held(method)) for gate in gates]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
