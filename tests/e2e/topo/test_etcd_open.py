"""From settings to a topology in a real etcd, in the open and encrypted."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.topo.certificates import make_tls
from vtorc.core.facts.ids import ShardId
from vtorc.errors import TopoUnavailable
from vtorc.lab.errors import LabError
from vtorc.lab.etcd import EtcdServer, ServerTls
from vtorc.topo.cells import TopoLimits
from vtorc.topo.etcd2 import EtcdTls
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer

SHARD = ShardId("ks", "0")


def settings(*endpoints: str, tls: EtcdTls | None = None, patience: float = 60.0) -> TopoAccess:
    """Point at endpoints of etcd; a call may last for `patience` seconds, as long as a busy machine needs."""
    return TopoAccess(
        implementation="etcd2",
        global_server_address=endpoints,
        global_root="/vitess/global",
        etcd_tls=tls or EtcdTls(),
        limits=TopoLimits(remote_operation_timeout=patience),
    )


@contextlib.asynccontextmanager
async def opened(how: TopoAccess) -> AsyncIterator[TopoServer]:
    """Open a topology for the length of a block."""
    topo = await open_topo(how)
    try:
        yield topo
    finally:
        await topo.close()


async def use(topo: TopoServer, address: str) -> None:
    """Make a shard, lock it, and find it in a cell."""
    await topo.create_cell("zone1", server_address=address, root="/vitess/zone1")
    await topo.create_shard(SHARD)
    async with topo.lock_shard(SHARD, "test") as lock:
        await lock.check()
    assert await topo.shards("ks") == (SHARD,)
    assert (await topo.tablets_of_shard(SHARD)).unreachable_cells == {}


@pytest.mark.usefixtures("raw")
async def test_topology_is_opened_from_settings(etcd: EtcdServer) -> None:
    """An empty etcd is a topology with nothing in it, ready to be filled, also with one endpoint dead."""
    async with opened(settings("127.0.0.1:1", etcd.address)) as topo:
        assert await topo.cells() == ()
        await use(topo, f"127.0.0.1:1,{etcd.address}")


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    """Make certificates."""
    return make_tls(tmp_path)


async def test_encrypted_etcd_is_used_with_a_certificate(tmp_path: Path, tls: ServerTls) -> None:
    """With certificate and key of its CA global topology and cells are reached, with anything else they are not."""
    async with EtcdServer(tmp_path / "etcd", tls=tls) as server:
        async with opened(settings(server.address, tls=tls.client)) as topo:
            await use(topo, f"https://{server.address}")
        stranger_folder = tmp_path / "stranger"
        stranger_folder.mkdir()
        stranger = make_tls(stranger_folder).client
        unknown_server = dataclasses.replace(tls.client, ca=stranger.ca)
        for refused in (
            None,
            EtcdTls(ca=tls.client.ca),
            dataclasses.replace(stranger, ca=tls.client.ca),
            unknown_server,
        ):
            with pytest.raises(TopoUnavailable, match="did not answer within 2 s"):
                await open_topo(settings(server.address, tls=refused, patience=2.0))


async def test_etcd_that_asks_for_no_certificate_is_used_by_its_scheme(tmp_path: Path, tls: ServerTls) -> None:
    """An address with https is encrypted, the server checked against the CA; without it, or with http, it is not."""
    open_to_all = ("--client-cert-auth=false", "--trusted-ca-file=")
    ca_only = EtcdTls(ca=tls.client.ca)
    async with EtcdServer(tmp_path / "etcd", tls=tls, options=open_to_all) as server:
        async with opened(settings(f"https://{server.address}", tls=ca_only)) as topo:
            await use(topo, f"https://{server.address}")
        for address, files in ((server.address, ca_only), (f"http://{server.address}", tls.client)):
            with pytest.raises(TopoUnavailable, match="did not answer within 2 s"):
                await open_topo(settings(address, tls=files, patience=2.0))


async def test_etcd_that_cannot_start_says_why(tmp_path: Path) -> None:
    """An etcd that ends at its start is reported with the end of its log."""
    with pytest.raises(LabError, match=r"etcd ended with .*election-timeout"):
        async with EtcdServer(tmp_path, options=("--election-timeout=1",)):
            pass
