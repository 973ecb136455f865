"""Servers of ZooKeeper that fail in ways of their own."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.topo.kinds import SHORT_TICKS
from tests.e2e.topo.relay import Mode, Relay
from tests.topo_conformance import GLOBAL, NOTE, RECORD, SHARD
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
