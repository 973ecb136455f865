"""The kinds of topology server that run as processes of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from vtorc.lab.consul import ConsulServer
from vtorc.lab.etcd import EtcdServer
from vtorc.lab.topo_process import TopoProcess
from vtorc.topo.conn import TopoConn
from vtorc.topo.consul import ConsulConn
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.etcd2 import Etcd2Conn
from vtorc.topo.etcd_client import EtcdClient

# The shortest TTL is 1.5 times the election timeout. A lease is not kept while the disk of a busy machine syncs.
FAST_LEASES = ("--heartbeat-interval=20", "--election-timeout=200", "--unsafe-no-fsync")
SHORT_SESSIONS = {"session_ttl_min": "1s"}
CONSUL = ConsulAccess(environ={}, lock_delay=0.001, watch_wait=3.0)


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


KINDS: tuple[Kind, ...] = (Etcd(), Consul())
