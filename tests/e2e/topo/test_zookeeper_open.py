"""From settings to a topology in a real ZooKeeper, in the open and encrypted."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.topo.certificates import make_tls
from vtorc.core.facts.ids import ShardId
from vtorc.errors import TopoUnavailable
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.topo.cells import TopoLimits
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer
from vtorc.topo.zk_access import ZkAccess

SHARD = ShardId("ks", "0")


def settings(address: str, *, access: ZkAccess) -> TopoAccess:
    """Point at servers of ZooKeeper."""
    return TopoAccess(
        implementation="zk2",
        global_server_address=tuple(address.split(",")),
        global_root="/vitess/global",
        zk=access,
        limits=TopoLimits(remote_operation_timeout=5.0),
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


@pytest.mark.usefixtures("raw_zookeeper")
async def test_topology_is_opened_from_settings(zookeeper: ZooKeeperServer) -> None:
    """An empty ZooKeeper is a topology to be filled, also with one server dead, and observers behind a bar."""
    address = f"127.0.0.1:1,{zookeeper.address}|127.0.0.1:2"
    async with opened(settings(address, access=ZkAccess())) as topo:
        assert await topo.cells() == ()
        await use(topo, address)


async def test_encrypted_zookeeper_is_used_with_a_client_certificate(tmp_path: Path) -> None:
    """With CA, certificate and key ZooKeeper is reached; with an unknown CA, or in the open, it is not."""
    tls = make_tls(tmp_path)
    for name in ("server", "client"):
        (tmp_path / f"{name}-both.pem").write_bytes(
            (tmp_path / f"{name}-key.pem").read_bytes() + (tmp_path / f"{name}.pem").read_bytes()
        )
    served = {
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        "ssl.keyStore.location": str(tmp_path / "server-both.pem"),
        "ssl.keyStore.type": "PEM",
        "ssl.trustStore.location": str(tls.ca),
        "ssl.trustStore.type": "PEM",
        "ssl.clientAuth": "need",
    }
    access = ZkAccess(cert=tls.client.cert, key=tls.client.key, ca=tls.client.ca)
    async with ZooKeeperServer(tmp_path / "zookeeper", settings=served, access=access, secure=True) as server:
        async with opened(settings(server.address, access=access)) as topo:
            await use(topo, server.address)
            shards = [ShardId("many", f"{number:02x}-{number + 1:02x}") for number in range(0x10, 0x40)]
            for shard in shards:
                await topo.create_shard(shard)
            assert await topo.shards("many") == tuple(shards)
        unknown_server = dataclasses.replace(access, ca="")
        for refused, why in ((unknown_server, "certificate verify failed"), (ZkAccess(), "no session within")):
            with pytest.raises(TopoUnavailable, match=f"did not answer within 5 s: ZooKeeper .* {why}"):
                await open_topo(settings(server.address, access=refused))
