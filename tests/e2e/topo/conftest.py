"""A real etcd, one for all tests of a worker, emptied for each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from vtorc.lab.etcd import EtcdServer
from vtorc.proto import etcd_pb2
from vtorc.topo.conn import TopoConn, TopoLock
from vtorc.topo.etcd2 import Etcd2Conn
from vtorc.topo.etcd_client import EtcdClient
from vtorc.topo.lease import LeasedLock

pytest.register_assert_rewrite("tests.topo_conformance")

# The shortest TTL is 1.5 times the election timeout. A lease is not kept while the disk of a busy machine syncs.
FAST_LEASES = ("--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync")
EVERYTHING = b"\0"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def etcd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdServer]:
    """Run one etcd for all tests."""
    async with EtcdServer(tmp_path_factory.mktemp("etcd"), options=FAST_LEASES) as server:
        yield server


class EtcdBackend:
    """Connections to one etcd, each with a client of its own."""

    ttl = 2.0

    def __init__(self, address: str) -> None:
        self.address = address
        self.conns: list[Etcd2Conn] = []

    async def connect(self, root: str = "/vitess/global") -> TopoConn:
        """Connect as a process of its own would."""
        client = EtcdClient([self.address], timeout=15.0)
        self.conns.append(Etcd2Conn(client, root))
        return self.conns[-1]

    def fall_silent(self, lock: TopoLock) -> None:
        """Stop keeping a lock alive, as if its process were gone."""
        assert isinstance(lock, LeasedLock)
        lock._keeper.cancel()


@pytest.fixture
async def raw(etcd: EtcdServer) -> AsyncIterator[EtcdClient]:
    """Look at what is in etcd, which is nothing at first."""
    client = EtcdClient([etcd.address], timeout=15.0)
    deletion = etcd_pb2.DeleteRangeRequest(key=EVERYTHING, range_end=EVERYTHING)
    await client.txn(etcd_pb2.TxnRequest(success=[etcd_pb2.RequestOp(request_delete_range=deletion)]))
    yield client
    await client.close()


@pytest.fixture
async def backend(etcd: EtcdServer, raw: EtcdClient) -> AsyncIterator[EtcdBackend]:
    """Give an etcd with nothing in it."""
    backend = EtcdBackend(etcd.address)
    yield backend
    with contextlib.suppress(asyncio.CancelledError):
        for conn in backend.conns:
            await conn.close()
