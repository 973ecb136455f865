"""Endpoints that die, hang or lose answers, and an etcd that is killed and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests.e2e.topo.conftest import FAST_LEASES
from tests.e2e.topo.relay import Mode, Relay
from tests.topo_conformance import GLOBAL, NOTE, PATIENCE, RECORD, SHARD, following
from vtorc.errors import LockLost, NodeExists, NoNode, TopoError, TopoTimeout, TopoUnavailable
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.ports import Ports
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
async def test_dead_and_hanging_endpoints_are_passed_over(etcd: EtcdServer) -> None:
    """With one endpoint dead, one silent and one alive, every kind of call succeeds."""
    async with Relay(etcd.address) as silent:
        silent.mode = Mode.HANG
        ports = Ports()
        dead = f"127.0.0.1:{ports.take()}"
        async with connected(dead, silent.address, etcd.address) as conn:
            version = await conn.create(RECORD, b"1")
            version = await conn.update(RECORD, b"2", version)
            assert await conn.get(RECORD) == Stored(b"2", version)
            assert list(await conn.list(SHARD)) == [RECORD]
            async with contextlib.aclosing(conn.watch(RECORD)) as changes:
                assert await following(changes) == RecordChange(RECORD, Stored(b"2", version))
                version = await conn.update(RECORD, b"3", version)
                assert await following(changes) == RecordChange(RECORD, Stored(b"3", version))
            lock = await conn.lock(SHARD, NOTE)
            await lock.check()
            await lock.release()
            await conn.delete(RECORD, version)


@pytest.mark.usefixtures("raw")
async def test_lock_is_kept_over_another_endpoint(etcd: EtcdServer) -> None:
    """When the endpoint in use falls silent, a held lock is confirmed and kept through another."""
    async with (
        Relay(etcd.address) as one,
        Relay(etcd.address) as other,
        connected(one.address, other.address, timeout=3.0) as conn,
    ):
        await conn.create(RECORD, b"")
        lock = await conn.try_lock(SHARD, NOTE)
        one.mode = Mode.HANG
        await lock.check()
        other.mode = Mode.HANG
        with pytest.raises(LockLost, match="no server confirmed"):
            await lock.check()
        one.mode = Mode.FORWARD
        one.cut()
        await lock.check()
        assert not lock.lost.is_set()


@pytest.mark.usefixtures("raw")
async def test_write_whose_answer_is_lost_is_done_once(etcd: EtcdServer) -> None:
    """A write that was carried out but not answered succeeds through another endpoint, as our own."""
    async with muted(etcd) as conn:
        created = await conn.create(RECORD, b"mine")
        assert await conn.get(RECORD) == Stored(b"mine", created)
        with pytest.raises(NodeExists):
            await conn.create(RECORD, b"another's")
    async with muted(etcd) as conn:
        updated = await conn.update(RECORD, b"2", created)
        assert await conn.get(RECORD) == Stored(b"2", updated)
    async with muted(etcd) as conn:
        lock = await conn.try_lock(SHARD, NOTE)
        await lock.check()
    async with muted(etcd) as conn:
        await conn.delete(RECORD, updated)


@contextlib.asynccontextmanager
async def muted(etcd: EtcdServer) -> AsyncIterator[Etcd2Conn]:
    """Connect by two endpoints, the first of which has become mute; it must have been asked at the end."""
    async with Relay(etcd.address) as mute, connected(mute.address, etcd.address, timeout=5.0) as conn:
        with contextlib.suppress(NoNode):
            await conn.get(RECORD)
        mute.mode = Mode.MUTE
        yield conn
        assert mute.answers_lost.is_set()


@pytest.mark.usefixtures("raw")
async def test_watch_gets_over_a_broken_connection(etcd: EtcdServer) -> None:
    """A watch whose connection breaks shows what changed meanwhile, and goes on."""
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


async def test_killed_etcd_is_unavailable_and_comes_back(fresh: EtcdServer) -> None:
    """While etcd is dead calls raise TopoUnavailable; when it is back they work, and a watch has gone on."""
    async with connected(fresh.address, timeout=2.0) as hasty, connected(fresh.address, timeout=PATIENCE) as patient:
        version = await hasty.create(RECORD, b"1")
        async with contextlib.aclosing(patient.watch(RECORD)) as changes:
            await following(changes)
            await fresh.kill()
            for call in (hasty.get(RECORD), hasty.update(RECORD, b"2", version), hasty.try_lock(SHARD, NOTE)):
                with pytest.raises(TopoUnavailable, match=rf"etcd \({fresh.address}\) did not answer a .* within 2 s"):
                    await call
            waiting = asyncio.create_task(patient.get(RECORD))
            await fresh.start()
            assert await waiting == Stored(b"1", version)
            version = await hasty.update(RECORD, b"3", version)
            assert await following(changes) == RecordChange(RECORD, Stored(b"3", version))


async def test_hanging_etcd_ends_calls_in_time_and_loses_locks(fresh: EtcdServer) -> None:
    """While etcd hangs calls end at their deadline, and a lock is lost after its TTL; afterwards all works again."""
    async with connected(fresh.address, timeout=2.0) as conn:
        await conn.create(RECORD, b"1")
        lock = await conn.try_lock(SHARD, NOTE, ttl=2.0)
        fresh.pause()
        with pytest.raises(TopoTimeout):
            await conn.get(RECORD)
        async with asyncio.timeout(PATIENCE):
            await lock.lost.wait()
        fresh.resume()
        with pytest.raises(LockLost, match="could not be refreshed in time"):
            await lock.check()
        await lock.release()
        assert (await conn.get(RECORD)).contents == b"1"
        second = await conn.lock(SHARD, NOTE, timeout=PATIENCE)
        await second.check()


async def test_watch_ends_when_nobody_answers_for_long(fresh: EtcdServer) -> None:
    """A watch ends with TopoUnavailable when etcd stays away for longer than one call may last."""
    async with connected(fresh.address, timeout=2.0) as conn, contextlib.aclosing(conn.watch(RECORD)) as changes:
        assert await following(changes) == RecordChange(RECORD, None)
        await fresh.kill()
        with pytest.raises(TopoUnavailable):
            await following(changes)


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
