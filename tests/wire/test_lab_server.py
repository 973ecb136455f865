"""The parts of a lab tablet's gRPC server that need no MySQL."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import grpc
import pytest

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.lab.grpc_service import TabletServer
from vtorc.lab.mysql_server import RealMysqlServer
from vtorc.lab.ports import Ports
from vtorc.proto import query_pb2, tabletmanagerservice_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto.queryservice_pb2_grpc import QueryStub
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub
from vtorc.topo.conn import TopoConn
from vtorc.topo.memory import MemoryStore
from vtorc.topo.server import TopoServer
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.config import TabletConfig

PATIENCE = 120.0
HOST = "127.0.0.1"
NOT_SERVED = {"ExecuteHook"}


def tablet_server(folder: Path, port: int, passwords: Mapping[str, str] | None = None) -> TabletServer:
    """Make the server of a tablet that has not started up, over a MySQL server that does not exist."""
    store = MemoryStore()

    async def open_conn(cell: str, address: str, root: str) -> TopoConn:
        del cell, address  # there is only one store
        return store.connect(root)

    config = TabletConfig(
        alias=TabletAlias("zone1", 101),
        shard=ShardId("commerce", "0"),
        hostname=HOST,
        grpc_port=port,
        vt_port=port,
        mysql_hostname=HOST,
        mysql_port=1,
    )
    topo = TopoServer(store.connect("/vitess/global"), open_conn)
    mysql = RealMysqlServer(folder / "mysql.sock", version=(9, 7, 0))
    return TabletServer(TabletAgent(config, topo, mysql, wall=time.time_ns), passwords=passwords)


@pytest.fixture
def port() -> Iterator[int]:
    """Reserve a port."""
    ports = Ports()
    yield ports.take()
    ports.release()


@contextlib.asynccontextmanager
async def serving(server: TabletServer, port: int) -> AsyncIterator[grpc.aio.Channel]:
    """Serve, and connect."""
    await server.start(HOST, port)
    try:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
            yield channel
    finally:
        await server.stop(grace=0)


async def ping(channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> grpc.StatusCode:
    """Ping with metadata and return the status code."""
    try:
        await TabletManagerStub(channel).Ping(tm.PingRequest(payload="x"), metadata=metadata, timeout=PATIENCE)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_every_described_call_but_hooks_is_served(tmp_path: Path, port: int) -> None:
    """No method of the service description answers "unknown method", hooks excepted."""
    service = tabletmanagerservice_pb2.DESCRIPTOR.services_by_name["TabletManager"]
    async with serving(tablet_server(tmp_path, port), port) as channel:

        async def is_unknown(name: str) -> bool:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{service.full_name}/{name}")
            try:
                await call(b"", timeout=0.3)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.UNIMPLEMENTED
            return False

        names = [method.name for method in service.methods]
        unknown = await asyncio.gather(*map(is_unknown, names))
    assert {name for name, missing in zip(names, unknown, strict=True) if missing} == NOT_SERVED


async def test_calls_about_mysql_wait_for_the_start(tmp_path: Path, port: int) -> None:
    """Until the tablet has started up Ping answers and FullStatus takes the caller's whole deadline."""
    async with serving(tablet_server(tmp_path, port), port) as channel:
        assert await ping(channel) is grpc.StatusCode.OK
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await TabletManagerStub(channel).FullStatus(tm.FullStatusRequest(), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_password_is_demanded_and_compared(tmp_path: Path, port: int) -> None:
    """With static authentication calls need a known user and password, sent as metadata."""
    async with serving(tablet_server(tmp_path, port, {"vtorc": "s3cret"}), port) as channel:
        user = ("username", "vtorc")
        assert await ping(channel, user, ("password", "s3cret")) is grpc.StatusCode.OK
        assert await ping(channel) is grpc.StatusCode.UNAUTHENTICATED
        assert await ping(channel, user, ("password", "wrong")) is grpc.StatusCode.PERMISSION_DENIED
        assert await ping(channel, user) is grpc.StatusCode.PERMISSION_DENIED
        assert await ping(channel, ("username", "x"), ("password", "s3cret")) is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in QueryStub(channel).StreamHealth(query_pb2.StreamHealthRequest(), timeout=PATIENCE):
                pass
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_taken_port_is_an_error(tmp_path: Path, port: int) -> None:
    """A tablet does not start if another process has its port."""
    with socket.create_server((HOST, port)), pytest.raises(RuntimeError, match=str(port)):
        await tablet_server(tmp_path, port).start(HOST, port)
