"""Gates before tablets: vtorc's calls pass them and can be held there, so that a test knows the step that
vtorc is at.
"""

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
    """The gate before one tablet; vtorc finds it at `port`."""

    def __init__(self, tablet: LabTablet) -> None:
        self.tablet = tablet
        self.port = 0
        self._held: dict[str, asyncio.Event] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def held(self, method: str) -> None:
        """Wait until a call of that name is held at the gate."""
        async with asyncio.timeout(PATIENCE):
            await self._waiting[method].wait()

    def hold(self, method: str) -> None:
        """Hold calls of that name from now on."""
        self._held[method], self._waiting[method] = asyncio.Event(), asyncio.Event()

    def release(self, method: str) -> None:
        """Let those calls pass, now and from now on."""
        self._held.pop(method).set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Gate"]:
        """Serve in the place of the tablet while inside."""
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
        """Wait while calls of that name are held."""
        if method in self._held:
            opened = self._held[method]
            self._waiting[method].set()
            await opened.wait()


class _Passage(grpc.GenericRpcHandler):
    """Forwards every call, byte for byte."""

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
    """Put a gate before each tablet while inside.

    A promoted tablet writes its own port into its record, so that calls after the next reading of the record bypass its
    gate.
    """
    async with AsyncExitStack() as stack:
        gates = {tablet.alias: await stack.enter_async_context(Gate(tablet).serve()) for tablet in shard.tablets}
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
    """Wait until a call of that name is held at one of these gates."""
    waiting = [asyncio.create_task(gate.held(method)) for gate in gates]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
