"""The rights in etcd that docs/permissions.md gives vtorc are enough for it."""

import asyncio
import base64
import json
import re
import shlex
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.topo.certificates import make_tls
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import TopoError
from vtorc.lab.etcd import EtcdServer, ServerTls
from vtorc.proto import topodata_pb2
from vtorc.topo.cells import TopoLimits
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer

PAGE = Path(__file__).parents[3] / "docs" / "permissions.md"
USER = "vtorc"
SHARD = ShardId("commerce", "0")
ALIAS = TabletAlias("zone1", 100)


class Gateway:
    """etcd's own HTTP gateway, which does what `etcdctl` does; it knows no user by certificate."""

    def __init__(self, address: str, tls: ServerTls) -> None:
        self._address = address
        self._context = ssl.create_default_context(cafile=str(tls.ca))
        self._context.load_cert_chain(tls.client.cert, tls.client.key)

    async def post(self, path: str, body: Mapping[str, object]) -> None:
        """Send a request; raises OSError if it is refused."""
        url = f"https://{self._address}/v3/auth/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        await asyncio.to_thread(self._send, request)

    def _send(self, request: urllib.request.Request) -> None:
        with urllib.request.urlopen(request, context=self._context) as answer:
            answer.read()

    async def run(self, command: str) -> None:
        """Carry out a command of `etcdctl` in docs/permissions.md."""
        match shlex.split(command):
            case ["etcdctl", "role", "add", role]:
                await self.post("role/add", {"name": role})
            case ["etcdctl", "role", "grant-permission", role, kind, "--prefix=true", prefix]:
                key = prefix.encode()
                end = key[:-1] + bytes([key[-1] + 1])
                span = {"key": base64.b64encode(key).decode(), "range_end": base64.b64encode(end).decode()}
                await self.post("role/grant", {"name": role, "perm": {"permType": kind.upper(), **span}})
            case ["etcdctl", "user", "add", user, "--no-password"]:
                await self.post("user/add", {"name": user, "options": {"no_password": True}})
            case ["etcdctl", "user", "grant-role", user, role]:
                await self.post("user/grant", {"user": user, "role": role})
            case words:
                pytest.fail(f"the page has a command that this test does not know: {words}")


async def open_as_vtorc(server: EtcdServer, tls: ServerTls) -> TopoServer:
    """Open the topology with the certificate of the user."""
    return await open_topo(
        TopoAccess(
            implementation="etcd2",
            global_server_address=(server.address,),
            global_root="/vitess/global",
            etcd_tls=tls.client,
            limits=TopoLimits(remote_operation_timeout=5.0),
        )
    )


async def test_the_documented_rights_are_enough(tmp_path: Path) -> None:
    """With them vtorc reads, watches, locks a shard and corrects a tablet record, and makes no cell."""
    tls = make_tls(tmp_path, common_name=USER)
    commands = re.findall(r"^    (etcdctl .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) > 4
    async with EtcdServer(tmp_path / "etcd", tls=tls) as server:
        topo = await open_as_vtorc(server, tls)
        await topo.create_cell("zone1", server_address=f"https://{server.address}", root="/vitess/zone1")
        await topo.create_keyspace("commerce", durability_policy="semi_sync")
        await topo.create_shard(SHARD)
        alias = topodata_pb2.TabletAlias(cell=ALIAS.cell, uid=ALIAS.uid)
        await topo.create_tablet(topodata_pb2.Tablet(alias=alias, keyspace="commerce", shard="0"))
        gateway = Gateway(server.address, tls)
        for command in ("etcdctl user add root --no-password", "etcdctl user grant-role root root", *commands):
            await gateway.run(command)
        await gateway.post("enable", {})
        await topo.close()

        topo = await open_as_vtorc(server, tls)
        assert await topo.cells() == ("zone1",)
        assert (await topo.keyspace("commerce")).durability_policy == "semi_sync"
        assert await topo.shards("commerce") == (SHARD,)
        found = await topo.tablets_in_cell("zone1")
        assert [record.alias for record in found.records] == [ALIAS]
        watch = topo.watch_shard_record(SHARD)
        assert await anext(watch) is not None
        await watch.aclose()
        async with topo.lock_shard(SHARD, "test") as lock:
            await lock.check()
        changed = await topo.update_tablet(ALIAS, _to_replica)
        assert changed.type == topodata_pb2.REPLICA
        with pytest.raises(TopoError):
            await topo.create_cell("zone2", server_address=server.address, root="/vitess/zone2")
        await topo.close()


def _to_replica(tablet: topodata_pb2.Tablet) -> None:
    """Change the type, as vtorc does in the record of a tablet that claims to be primary."""
    tablet.type = topodata_pb2.REPLICA
