"""Servers of ZooKeeper that fail in ways of their own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e.topo.kinds import SHORT_TICKS
from tests.e2e.topo.relay import Mode, Relay
from tests.topo_conformance import GLOBAL, NOTE, PATIENCE, RECORD, SHARD
from vtorc.errors import LockHeld, TopoUnavailable
from vtorc.lab.ports import Ports
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.topo.zk2 import Zk2Conn
from vtorc.topo.zk_access import ZkAccess
from vtorc.topo.zk_client import ZkClient


@contextlib.contextmanager
def deaf_server() -> Iterator[str]:
    """Give an address where connections are neither made nor refused, as behind a firewall: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_lock_outlives_a_server_that_takes_no_connection(tmp_path: Path) -> None:
    """A held lock is kept through the last address, when the first falls silent and the second takes no connection."""
    async with (
        ZooKeeperServer(tmp_path / "server", settings=SHORT_TICKS) as server,
        Relay(server.address) as first,
    ):
        with deaf_server() as deaf:
            addresses = f"{first.address},{deaf},{server.address}"
            client = ZkClient(addresses, timeout=60.0, access=ZkAccess(session_timeout=40.0))
            conn = Zk2Conn(client, GLOBAL)
            await conn.create(RECORD, b"")
            lock = await conn.try_lock(SHARD, NOTE)
            first.mode = Mode.HANG
            first.cut()
            await lock.check()
            assert not lock.lost.is_set()
            await lock.release()
            await conn.close()


async def test_lock_outlives_a_server_that_forgets_a_connection(tmp_path: Path) -> None:
    """A held lock is kept when the server never answers the first connection after a break, as at its start."""
    async with (
        ZooKeeperServer(tmp_path / "server", settings=SHORT_TICKS) as server,
        Relay(server.address) as relay,
    ):
        conn = Zk2Conn(ZkClient(relay.address, timeout=60.0, access=ZkAccess(session_timeout=30.0)), GLOBAL)
        await conn.create(RECORD, b"")
        lock = await conn.try_lock(SHARD, NOTE)
        relay.mode = Mode.MUTE
        relay.cut()
        await relay.answers_lost.wait()
        relay.mode = Mode.FORWARD
        await lock.check()
        assert not lock.lost.is_set()
        await conn.close()


@contextlib.asynccontextmanager
async def ensemble(folder: Path) -> AsyncIterator[Sequence[ZooKeeperServer]]:
    """Run three servers, of which any two are enough."""
    ports = Ports()
    lines = {f"server.{number}": f"127.0.0.1:{ports.take()}:{ports.take()}" for number in (1, 2, 3)}
    settings = {**SHORT_TICKS, **lines, "initLimit": "100", "syncLimit": "25"}
    servers = [ZooKeeperServer(folder / name, settings=settings) for name in lines]
    for number, server in enumerate(servers, start=1):
        server.data.mkdir(parents=True)
        (server.data / "myid").write_text(str(number))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ports.release)
        for server in servers:
            stack.push_async_exit(server)
        await asyncio.gather(*(server.start() for server in servers))
        yield servers


async def test_lock_outlives_each_server_of_an_ensemble(tmp_path: Path) -> None:
    """Whichever of three servers is killed, its leader too, the lock is kept, and calls go on; without two they end."""
    async with ensemble(tmp_path) as servers:
        access = ZkAccess(session_timeout=60.0)
        addresses = ",".join(server.address for server in servers)
        conn = Zk2Conn(ZkClient(addresses, timeout=PATIENCE, access=access), GLOBAL)
        hasty = Zk2Conn(ZkClient(addresses, timeout=2.0, access=access), GLOBAL)
        version = await conn.create(RECORD, b"0")
        lock = await conn.try_lock(SHARD, NOTE)
        for server in servers:
            await server.kill()
            version = await conn.update(RECORD, server.address.encode(), version)
            await lock.check()
            await server.start()
        assert (await conn.get(RECORD)).contents == servers[-1].address.encode()
        with pytest.raises(LockHeld):
            await hasty.try_lock(SHARD, NOTE)
        for server in servers[:2]:
            await server.kill()
        with pytest.raises(TopoUnavailable):
            await hasty.get(RECORD)
        await asyncio.gather(*(server.start() for server in servers[:2]))
        await lock.check()
        await lock.release()
        await hasty.close()
        await conn.close()
