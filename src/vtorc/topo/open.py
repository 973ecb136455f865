"""Opening the topology that the settings name."""

import functools
import os.path
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from vtorc.errors import NoNode, TopoMisconfigured, TopoUnavailable
from vtorc.files import beside_the_loop
from vtorc.topo.cells import GLOBAL_CELL, TopoLimits
from vtorc.topo.conn import DEFAULT_LEASE_TTL, TopoConn
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.endpoints import schemes
from vtorc.topo.etcd2 import Etcd2Conn, EtcdTls
from vtorc.topo.etcd_client import EtcdClient
from vtorc.topo.local import LocalStore
from vtorc.topo.server import TopoServer
from vtorc.topo.zk_access import ZkAccess

_Open = Callable[[str, str, str, float], Awaitable[TopoConn]]  # cell, server address, root, seconds of one call

CONNECT_TIMEOUT = 5.0
"""Seconds within which the global topology must answer at the start (Vitess' etcd dial timeout)."""


_FILES_PATIENCE = 10.0
"""Seconds that all files of one client get to be read; each of them has a shorter limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopoAccess:
    """The address of the topology, and the limits of calls to it.

    `global_server_address` names the servers of etcd or ZooKeeper, the agents of Consul, or the file of a `local`
    topology. Times are seconds.
    """

    implementation: str
    global_server_address: tuple[str, ...]
    global_root: str
    lease_ttl: float = DEFAULT_LEASE_TTL
    etcd_tls: EtcdTls = field(default_factory=EtcdTls)
    consul: ConsulAccess = field(default_factory=ConsulAccess)
    zk: ZkAccess = field(default_factory=ZkAccess)
    limits: TopoLimits = field(default_factory=TopoLimits)


async def open_topo(settings: TopoAccess) -> TopoServer:
    """Connect to the global topology and make sure that it answers.

    Raises TopoMisconfigured, or TopoUnavailable without an answer within CONNECT_TIMEOUT.
    """
    make = _IMPLEMENTATIONS.get(settings.implementation)
    if make is None:
        known = ", ".join(_IMPLEMENTATIONS)
        raise TopoMisconfigured(f"topo_implementation is {settings.implementation!r}: expected one of {known}")
    if not any(settings.global_server_address):
        raise TopoMisconfigured("topo_global_server_address is empty: expected the address of the topology server")
    if not settings.global_root.strip("/"):
        raise TopoMisconfigured(
            f"topo_global_root is {settings.global_root!r}: expected the path below which the cluster's global records "
            "are, for example /vitess/global"
        )
    open_conn = make(settings)
    address = ",".join(settings.global_server_address)
    timeout = settings.limits.remote_operation_timeout
    first_timeout = min(CONNECT_TIMEOUT, timeout)
    await _try(await open_conn(GLOBAL_CELL, address, settings.global_root, first_timeout), address, first_timeout)

    async def open_cell(cell: str, server_address: str, root: str) -> TopoConn:
        return await open_conn(cell, server_address, root, timeout)

    global_conn = await open_cell(GLOBAL_CELL, address, settings.global_root)
    return TopoServer(global_conn, open_cell, limits=settings.limits)


async def _try(conn: TopoConn, address: str, timeout: float) -> None:
    try:
        await conn.list_dir("cells")
    except NoNode:  # an empty topology has answered, too
        pass
    except TopoUnavailable as error:
        raise TopoUnavailable(
            f"topology server {address} did not answer within {timeout:g} s: {error}, "
            "and check topo_global_server_address"
        ) from error
    finally:
        await conn.close()


def _etcd2(settings: TopoAccess) -> _Open:
    credentials = functools.cache(settings.etcd_tls.credentials)
    if settings.etcd_tls.has_client_cert:
        credentials("")  # a file that cannot be read is reported at the start

    async def open_conn(cell: str, address: str, root: str, timeout: float) -> TopoConn:
        addresses = _addresses(address)
        await _read_ahead(lambda: [credentials(scheme) for scheme in schemes(addresses)])
        client = EtcdClient(addresses, timeout=timeout, credentials=credentials)
        return Etcd2Conn(client, root, lease_ttl=settings.lease_ttl)

    return open_conn


def _consul(settings: TopoAccess) -> _Open:
    # The libraries of these two cost the start of a process an eighth of a second, which others do not pay.
    from vtorc.topo.consul import ConsulConn
    from vtorc.topo.consul_client import ConsulClient

    access = settings.consul
    access.token(GLOBAL_CELL)  # a file that cannot be read is reported at the start

    async def open_conn(cell: str, address: str, root: str, timeout: float) -> TopoConn:
        addresses = _addresses(address)
        await _read_ahead(lambda: access.try_files(cell, schemes(addresses)))
        client = ConsulClient(addresses, timeout=timeout, access=access, cell=cell)
        return ConsulConn(client, root, access)

    return open_conn


def _zk2(settings: TopoAccess) -> _Open:
    from vtorc.topo.zk2 import Zk2Conn
    from vtorc.topo.zk_client import ZkClient

    settings.zk.check_files()

    async def open_conn(cell: str, address: str, root: str, timeout: float) -> TopoConn:
        await _read_ahead(settings.zk.auth)
        return Zk2Conn(ZkClient(address, timeout=timeout, access=settings.zk), root)

    return open_conn


def _local(settings: TopoAccess) -> _Open:
    stores: dict[Path, LocalStore] = {}

    async def open_conn(cell: str, address: str, root: str, timeout: float) -> TopoConn:
        path = _normal(address)
        store = stores.get(path)
        if store is None or store.is_closed:
            store = stores[path] = await LocalStore.open(path, busy_timeout=timeout, lease_ttl=settings.lease_ttl)
        return store.connect(root)

    return open_conn


async def _read_ahead(read: Callable[[], object]) -> None:
    """Read the files that a client of another cell is about to read, while the event loop goes on.

    Raises TopoMisconfigured, and TopoUnavailable for files that stay silent.
    """
    try:
        await beside_the_loop(read, patience=_FILES_PATIENCE)
    except TimeoutError as error:
        raise TopoUnavailable(
            f"the files with the secrets of the topology server could not be read within {_FILES_PATIENCE:g} s: check "
            "the disk that they are on"
        ) from error


def _addresses(text: str) -> list[str]:
    return [address for address in text.split(",") if address.strip()]


def _normal(address: str) -> Path:
    # The cells may spell the path of one file in several ways; a second store of it would only do the work twice.
    return Path(os.path.abspath(address))  # noqa: PTH100  (links are left alone)


_IMPLEMENTATIONS: dict[str, Callable[[TopoAccess], _Open]] = {
    "etcd2": _etcd2,
    "consul": _consul,
    "zk2": _zk2,
    "local": _local,
}
