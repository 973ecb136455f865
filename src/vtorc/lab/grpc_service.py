"""The gRPC server of a tablet: the tabletmanager service and the health stream over one `TabletAgent`.

Vitess: `go/vt/vttablet/grpctmserver/server.go`, `go/vt/servenv/grpc_server.go`, `grpc_server_auth_static.go`.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message

from vtorc.errors import VtorcError
from vtorc.lab.grpc_rpcs import TabletManagerRpcs
from vtorc.proto import query_pb2, queryservice_pb2, tabletmanagerservice_pb2, topodata_pb2
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.errors import TabletPreconditionError
from vtorc.vttablet.state import Health, wire_type

_MAX_MESSAGE = 16 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.max_send_message_length", _MAX_MESSAGE),
    # Go clients ping every 10 s even when idle; grpc-core would close their connections ("too_many_pings").
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)

Context = Any  # grpc.aio.ServicerContext, generic in messages that differ by call
Rpc = Callable[[Any], Awaitable[Message]]


class TabletServer:
    """Serves one agent on one port; `passwords` (user to password) switches static authentication on."""

    def __init__(self, agent: TabletAgent, *, passwords: Mapping[str, str] | None = None) -> None:
        self._agent = agent
        self._rpcs = TabletManagerRpcs(agent)
        self._passwords = passwords
        self._server: grpc.aio.Server | None = None
        self._answers = asyncio.Event()
        self._answers.set()

    def hang(self) -> None:
        """Answer no call from now on, as behind a cut network."""
        self._answers.clear()

    def wake(self) -> None:
        """Answer again, the calls that wait included."""
        self._answers.set()

    async def start(self, host: str, port: int) -> None:
        """Listen; RPCs about MySQL wait until the agent has started. Raises RuntimeError if the port is taken."""
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((self._manager_handler(), self._query_handler()))
        server.add_insecure_port(f"{host}:{port}")
        await server.start()
        self._server = server

    async def stop(self, *, grace: float = 1.0) -> None:
        """Stop listening, and break off the calls that still run after `grace` s."""
        if self._server is not None:
            await self._server.stop(grace)

    def _manager_handler(self) -> grpc.GenericRpcHandler:
        service = tabletmanagerservice_pb2.DESCRIPTOR.services_by_name["TabletManager"]
        handlers = {}
        for method in service.methods:
            rpc: Rpc | None = getattr(self._rpcs, method.name, None)
            if rpc is not None:
                request = message_factory.GetMessageClass(method.input_type)
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    self._unary(method.name, rpc), request.FromString, _serialise
                )
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _query_handler(self) -> grpc.GenericRpcHandler:
        service = queryservice_pb2.DESCRIPTOR.services_by_name["Query"]
        stream = grpc.unary_stream_rpc_method_handler(
            self._stream_health, query_pb2.StreamHealthRequest.FromString, _serialise
        )
        return grpc.method_handlers_generic_handler(service.full_name, {"StreamHealth": stream})

    def _unary(self, name: str, rpc: Rpc) -> Callable[[Message, Context], Awaitable[Message]]:
        async def call(request: Message, context: Context) -> Message:
            await self._authenticate(context)
            try:
                async with asyncio.timeout(context.time_remaining()):
                    await self._answers.wait()
                    return await rpc(request)
            except TimeoutError:
                await self._fail(context, name, grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")
            except TabletPreconditionError as error:
                await self._fail(context, name, grpc.StatusCode.FAILED_PRECONDITION, str(error))
            except VtorcError as error:
                await self._fail(context, name, grpc.StatusCode.UNKNOWN, str(error))

        return call

    async def _fail(self, context: Context, name: str, code: grpc.StatusCode, text: str) -> NoReturn:
        await context.abort(code, f"TabletManager.{name} on {self._agent.config.alias}: {text}")
        raise AssertionError("abort always raises")

    async def _stream_health(self, _: Message, context: Context) -> AsyncIterator[Message]:
        await self._authenticate(context)
        async for health in self._agent.state.watch_health():
            await self._answers.wait()
            yield self._health_message(health)

    def _health_message(self, health: Health) -> query_pb2.StreamHealthResponse:
        config = self._agent.config
        return query_pb2.StreamHealthResponse(
            target=query_pb2.Target(
                keyspace=config.shard.keyspace,
                shard=config.shard.shard,
                tablet_type=wire_type(health.type),
                cell=config.alias.cell,
            ),
            serving=health.serving,
            primary_term_start_timestamp=health.term_seconds,
            realtime_stats=query_pb2.RealtimeStats(health_error=health.error),
            tablet_alias=topodata_pb2.TabletAlias(cell=config.alias.cell, uid=config.alias.uid),
        )

    async def _authenticate(self, context: Context) -> None:
        if self._passwords is None:
            return
        metadata = dict(context.invocation_metadata() or ())
        user, password = str(metadata.get("username", "")), str(metadata.get("password", ""))
        if not user and not password:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "username and password must be provided")
        expected = self._passwords.get(user)
        if expected is None or not hmac.compare_digest(expected.encode(), password.encode()):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"auth failure: caller {user!r}")


def _serialise(message: Message) -> bytes:
    return message.SerializeToString()
