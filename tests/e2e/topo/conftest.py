"""Real topology servers, one of each kind for all tests of a worker, emptied for each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.topo.kinds import CONSUL, FAST_LEASES, SHORT_SESSIONS, SHORT_TICKS, ZK
from tests.e2e.topo.relay import Mode, Relay
from vtorc.lab.consul import ConsulServer
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.proto import etcd_pb2
from vtorc.topo.conn import TopoConn, TopoLock
from vtorc.topo.consul import ConsulConn
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.etcd2 import Etcd2Conn
from vtorc.topo.etcd_client import EtcdClient
from vtorc.topo.lease import LeasedLock
from vtorc.topo.zk2 import Zk2Conn
from vtorc.topo.zk_client import NodeMissing, ZkClient

for suite in ("topo_conformance", "topo_prefix_conformance", "topo_queue_conformance"):
    pytest.register_assert_rewrite(f"tests.{suite}")

EVERYTHING = b"\0"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def etcd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdServer]:
    """Run one etcd for all tests."""
    async with EtcdServer(tmp_path_factory.mktemp("etcd"), options=FAST_LEASES) as server:
        yield server


def fall_silent(lock: TopoLock) -> None:
    """Stop keeping a lock alive, as if its process were gone."""
    assert isinstance(lock, LeasedLock)
    lock._keeper.cancel()


class EtcdBackend:
    """Connections to one etcd, each with a client of its own."""

    ttl = 2.0
    lock_name = "locks"
    equal_write_is_new = True

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
        fall_silent(lock)


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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def consul(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ConsulServer]:
    """Run one Consul for all tests."""
    async with ConsulServer(tmp_path_factory.mktemp("consul"), settings=SHORT_SESSIONS) as server:
        yield server


class ConsulBackend:
    """Connections to one Consul, each with a client of its own."""

    ttl = 2.0
    lock_name = "Lock"
    equal_write_is_new = False

    def __init__(self, address: str) -> None:
        self.address = address
        self.conns: list[ConsulConn] = []

    async def connect(self, root: str = "/vitess/global") -> TopoConn:
        """Connect as a process of its own would."""
        client = ConsulClient([self.address], timeout=15.0, access=CONSUL, cell="global")
        self.conns.append(ConsulConn(client, root, CONSUL))
        return self.conns[-1]

    def fall_silent(self, lock: TopoLock) -> None:
        """Stop keeping a lock alive, as if its process were gone."""
        fall_silent(lock)


@pytest.fixture
async def raw_consul(consul: ConsulServer) -> AsyncIterator[ConsulClient]:
    """Look at what is in Consul, which is nothing at first."""
    client = ConsulClient([consul.address], timeout=15.0, access=CONSUL, cell="global")
    await client.call("delete", "DELETE", "kv/", query={"recurse": ""})
    yield client
    await client.close()


@pytest.fixture
async def consul_backend(consul: ConsulServer, raw_consul: ConsulClient) -> AsyncIterator[ConsulBackend]:
    """Give a Consul with nothing in it."""
    backend = ConsulBackend(consul.address)
    yield backend
    with contextlib.suppress(asyncio.CancelledError):
        for conn in backend.conns:
            await conn.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ZooKeeperServer]:
    """Run one ZooKeeper for all tests."""
    async with ZooKeeperServer(tmp_path_factory.mktemp("zookeeper"), settings=SHORT_TICKS) as server:
        yield server


class ZooKeeperBackend:
    """Connections to one ZooKeeper, each with a session of its own, over a relay of its own."""

    ttl = ZK.session_timeout
    lock_name = "locks"
    equal_write_is_new = True

    def __init__(self, address: str) -> None:
        self.address = address
        self.conns: list[tuple[Zk2Conn, ZkClient, Relay]] = []

    async def connect(self, root: str = "/vitess/global") -> TopoConn:
        """Connect as a process of its own would."""
        relay = await Relay(self.address).__aenter__()
        client = ZkClient(relay.address, timeout=15.0, access=ZK)
        self.conns.append((Zk2Conn(client, root), client, relay))
        return self.conns[-1][0]

    def fall_silent(self, lock: TopoLock) -> None:
        """Cut the connection that holds a lock off, as if its process were gone."""
        fall_silent(lock)
        for conn, _, relay in self.conns:
            if lock in conn._locks._locks:
                relay.mode = Mode.HANG
                relay.cut()

    async def close(self) -> None:
        """Close all connections."""
        for conn, _, relay in self.conns:
            relay.mode = Mode.FORWARD
            await conn.close()
            await relay.__aexit__(None, None, None)


@pytest.fixture
async def raw_zookeeper(zookeeper: ZooKeeperServer) -> AsyncIterator[ZkClient]:
    """Look at what is in ZooKeeper, which is nothing at first."""
    client = ZkClient(zookeeper.address, timeout=15.0, access=ZK)
    for name in set(await client.children("/")) - {"zookeeper"}:
        await remove(client, f"/{name}")
    yield client
    await client.close()


async def remove(client: ZkClient, path: str) -> None:
    """Delete a node and all below it."""
    with contextlib.suppress(NodeMissing):
        for name in await client.children(path):
            await remove(client, f"{path}/{name}")
        await client.delete(path)


@pytest.fixture
async def zookeeper_backend(zookeeper: ZooKeeperServer, raw_zookeeper: ZkClient) -> AsyncIterator[ZooKeeperBackend]:
    """Give a ZooKeeper with nothing in it."""
    backend = ZooKeeperBackend(zookeeper.address)
    yield backend
    await backend.close()
