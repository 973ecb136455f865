"""From settings to a topology in a real Consul, in the open and encrypted."""

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.topo.certificates import make_tls
from vtorc.core.facts.ids import ShardId
from vtorc.errors import TopoError, TopoUnavailable
from vtorc.lab.consul import ConsulServer
from vtorc.topo.cells import TopoLimits
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer

SHARD = ShardId("ks", "0")


def settings(*agents: str, access: ConsulAccess) -> TopoAccess:
    """Point at agents of Consul."""
    return TopoAccess(
        implementation="consul",
        global_server_address=agents,
        global_root="vitess/global",
        consul=access,
        limits=TopoLimits(remote_operation_timeout=2.0),
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
    await topo.create_cell("zone1", server_address=address, root="vitess/zone1")
    await topo.create_shard(SHARD)
    async with topo.lock_shard(SHARD, "test") as lock:
        await lock.check()
    assert await topo.shards("ks") == (SHARD,)
    assert (await topo.tablets_of_shard(SHARD)).unreachable_cells == {}


@pytest.mark.usefixtures("raw_consul")
async def test_topology_is_opened_from_settings(consul: ConsulServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty Consul is a topology to be filled, also with one agent dead and a web proxy in the environment."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with opened(settings("127.0.0.1:1", consul.address, access=ConsulAccess(environ={}))) as topo:
        assert await topo.cells() == ()
        await use(topo, f"127.0.0.1:1,{consul.address}")


async def test_encrypted_consul_is_used_with_the_files_of_the_environment(tmp_path: Path) -> None:
    """With CA and client certificate of the environment Consul is reached; without them, or in the open, it is not."""
    tls = make_tls(tmp_path)
    environ = {
        "CONSUL_CACERT": tls.client.ca,
        "CONSUL_CLIENT_CERT": tls.client.cert,
        "CONSUL_CLIENT_KEY": tls.client.key,
    }
    access = ConsulAccess(environ=environ)
    served = {
        "cert_file": str(tls.cert),
        "key_file": str(tls.key),
        "ca_file": str(tls.ca),
        "verify_incoming_https": True,
    }
    async with ConsulServer(tmp_path / "consul", settings=served, access=access, scheme="https") as server:
        host = server.address.removeprefix("https://")
        async with opened(settings(server.address, access=access)) as topo:
            await use(topo, server.address)
        by_environment = ConsulAccess(environ={**environ, "CONSUL_HTTP_SSL": "true"})
        async with opened(settings(host, access=by_environment)) as topo:
            assert await topo.cells() == ("zone1",)
        without_certificate = ConsulAccess(environ={"CONSUL_CACERT": tls.client.ca})
        unknown_server = dataclasses.replace(access, environ={**environ, "CONSUL_CACERT": ""})
        for refused in (without_certificate, unknown_server):
            with pytest.raises(TopoUnavailable, match="did not answer within 2 s"):
                await open_topo(settings(server.address, access=refused))
        with pytest.raises(TopoError, match="HTTP request to an HTTPS server"):
            await open_topo(settings(host, access=access))
