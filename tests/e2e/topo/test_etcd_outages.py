"""What breaks in etcd alone; `test_outages` has what breaks in servers of all kinds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.topo.kinds import FAST_LEASES
from tests.e2e.topo.relay import Mode, Relay
from tests.topo_conformance import GLOBAL, PATIENCE, RECORD, following
from vtorc.errors import NoNode, TopoError, TopoUnavailable
from vtorc.lab.etcd import EtcdServer
from vtorc.proto import etcd_pb2
from vtorc.topo.conn import RecordChange, Stored
from vtorc.topo.etcd2 import Etcd2Conn
from vtorc.topo.etcd_client import EtcdClient


@contextlib.asynccontextmanager
async def connected(*endpoints: str, timeout: float = 15.0) -> AsyncIterator[Etcd2Conn]:
    """Connect for the length of a block."""
    conn = Etcd2Conn(EtcdClient(endpoints, timeout=timeout), GLOBAL)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """Run an etcd that a test may break."""
    async with EtcdServer(tmp_path / "etcd", options=FAST_LEASES) as server:
        yield server


@pytest.mark.usefixtures("raw")
async def test_an_endpoint_that_is_no_etcd_is_asked_once(etcd: EtcdServer) -> None:
    """A refusal for good is told, and the next call goes to the next endpoint."""
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    async with connected(f"127.0.0.1:{port}", etcd.address) as conn:
        with pytest.raises(TopoError, match="unimplemented"):
            await conn.create(RECORD, b"1")
        for _ in range(3):
            with pytest.raises(NoNode):
                await conn.get(RECORD)
    await other.stop(None)


async def test_the_environments_web_proxy_is_not_for_etcd(etcd: EtcdServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints are dialled directly."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with connected(etcd.address, timeout=5.0) as conn:
        with pytest.raises(NoNode):
            await conn.get("nothing")


@pytest.mark.usefixtures("raw")
async def test_watch_of_a_directory_gets_over_a_broken_connection(etcd: EtcdServer) -> None:
    """Watches whose connection breaks show what changed meanwhile, also what was deleted, and go on."""
    async with Relay(etcd.address) as relay, connected(relay.address) as conn, connected(etcd.address) as other:
        await other.create("tablets/a/Tablet", b"A")
        await other.create("tablets/b/Tablet", b"B")
        async with (
            contextlib.aclosing(conn.watch("tablets/a/Tablet")) as record,
            contextlib.aclosing(conn.watch_prefix("tablets")) as below,
        ):
            await following(record)
            await following(below)
            await other.update("tablets/a/Tablet", b"A2", None)
            await following(record)
            await following(below)
            waiting = asyncio.gather(following(record), following(below))
            relay.mode = Mode.HANG
            relay.cut()
            version = await other.update("tablets/a/Tablet", b"A3", None)
            await other.delete("tablets/b/Tablet", None)
            relay.mode = Mode.FORWARD
            relay.cut()
            changed = RecordChange("tablets/a/Tablet", Stored(b"A3", version))
            of_record, of_directory = await waiting
            assert of_record == changed
            assert list(of_directory) == [changed, RecordChange("tablets/b/Tablet", None)]


async def test_cancelled_call_stays_cancelled(etcd: EtcdServer) -> None:
    """Cancelling a call cancels it; closing the connection under a call makes it TopoUnavailable instead."""
    async with Relay(etcd.address) as relay:
        client = EtcdClient([relay.address], timeout=PATIENCE)
        await client.range(etcd_pb2.RangeRequest(key=b"/"))
        relay.mode = Mode.HANG
        calls = [asyncio.create_task(client.range(etcd_pb2.RangeRequest(key=b"/"))) for _ in range(2)]
        await asyncio.wait(calls, timeout=0.1)
        calls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        await client.close()
        async with asyncio.timeout(PATIENCE / 2):
            with pytest.raises(TopoUnavailable, match="closed"):
                await calls[1]


async def test_broken_streams_leave_nothing_running(fresh: EtcdServer) -> None:
    """A stream that broke or could not be opened has no task left that would wait for ever."""
    client = EtcdClient([fresh.address], timeout=0.5)
    request = etcd_pb2.WatchCreateRequest(key=b"/")
    async with contextlib.aclosing(client.watch(request)) as responses:
        assert (await following(responses)).created
        await fresh.kill()
        async for _ in responses:
            pytest.fail("a dead server answered")
    async for _ in client.watch(request):
        pytest.fail("a dead server answered")
    with pytest.raises(TopoUnavailable):
        await client.keep_alive(7)
    async with asyncio.timeout(PATIENCE):
        while others := [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]:
            await asyncio.wait(others, timeout=0.1)
    await client.close()
