"""The kinds of topology server that run as processes of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vtorc.lab.consul import ConsulServer
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.topo_process import TopoProcess
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.topo.conn import TopoConn
from vtorc.topo.consul import ConsulConn
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.etcd2 import Etcd2Conn
from vtorc.topo.etcd_client import EtcdClient
from vtorc.topo.zk2 import Zk2Conn
from vtorc.topo.zk_access import ZkAccess
from vtorc.topo.zk_client import ZkClient

# The shortest TTL is 1.5 times the election timeout. A lease is not kept while the disk of a busy machine syncs.
FAST_LEASES = ("--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync")
SHORT_SESSIONS = {"session_ttl_min": "1s"}
CONSUL = ConsulAccess(environ={}, lock_delay=0.001, watch_wait=3.0)
SHORT_TICKS = {"tickTime": "200", "minSessionTimeout": "1000", "maxSessionTimeout": "60000"}
# The time of a session is all that there is to a lock: a holder on a busy machine has to keep it.
ZK = ZkAccess(session_timeout=6.0)
# Long enough to lose and to find a server again, on a busy machine.
PATIENT_ZK = ZkAccess(session_timeout=15.0)


class Kind(Protocol):
    """One kind of topology server."""

    @property
    def name(self) -> str:
        """The name that messages have for it."""
        ...

    def server(self, folder: Path) -> TopoProcess:
        """Make a server that keeps everything in a folder."""
        ...

    async def connect(self, addresses: Sequence[str], root: str, *, timeout: float) -> TopoConn:
        """Connect by one or several addresses."""
        ...


class Etcd:
    """Vitess' `etcd2`."""

    name = "etcd"

    def server(self, folder: Path) -> TopoProcess:
        """Make an etcd with short leases."""
        return EtcdServer(folder, options=FAST_LEASES)

    async def connect(self, addresses: Sequence[str], root: str, *, timeout: float) -> TopoConn:
        """Connect to etcd."""
        return Etcd2Conn(EtcdClient(addresses, timeout=timeout), root)


class Consul:
    """Vitess' `consul`."""

    name = "Consul"

    def server(self, folder: Path) -> TopoProcess:
        """Make a Consul with short sessions."""
        return ConsulServer(folder, settings=SHORT_SESSIONS)

    async def connect(self, addresses: Sequence[str], root: str, *, timeout: float) -> TopoConn:
        """Connect to Consul."""
        return ConsulConn(ConsulClient(addresses, timeout=timeout, access=CONSUL, cell="global"), root, CONSUL)


class ZooKeeper:
    """Vitess' `zk2`."""

    name = "ZooKeeper"

    def server(self, folder: Path) -> TopoProcess:
        """Make a ZooKeeper with short sessions."""
        return ZooKeeperServer(folder, settings=SHORT_TICKS)

    async def connect(self, addresses: Sequence[str], root: str, *, timeout: float) -> TopoConn:
        """Connect to ZooKeeper."""
        return Zk2Conn(ZkClient(",".join(addresses), timeout=timeout, access=PATIENT_ZK), root)


KINDS: tuple[Kind, ...] = (Etcd(), Consul(), ZooKeeper())
