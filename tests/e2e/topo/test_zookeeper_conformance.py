"""The zk2 backend does on a real ZooKeeper what every backend must."""

import contextlib

import pytest

from tests.e2e.topo.conftest import ZooKeeperBackend
from tests.topo_conformance import *  # noqa: F403
from tests.topo_queue_conformance import *  # noqa: F403
from vtorc.errors import TopoUnsupported


@pytest.fixture
def backend(zookeeper_backend: ZooKeeperBackend) -> ZooKeeperBackend:
    """Give the tests a ZooKeeper."""
    return zookeeper_backend


async def test_directories_are_read_record_by_record(zookeeper_backend: ZooKeeperBackend) -> None:
    """Reading or watching a directory as a whole is refused, so that callers take simpler calls."""
    conn = await zookeeper_backend.connect()
    with pytest.raises(TopoUnsupported):
        await conn.list("tablets")
    async with contextlib.aclosing(conn.watch_prefix("tablets")) as batches:
        with pytest.raises(TopoUnsupported):
            await anext(batches)
