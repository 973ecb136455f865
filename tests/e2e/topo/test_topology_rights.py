"""The rights in etcd, Consul and ZooKeeper that docs/permissions.md gives vtorc are enough for it."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import re
import shlex
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl_credential

from tests.e2e.topo.certificates import make_tls
from tests.topo_conformance import PATIENCE
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import TopoError
from vtorc.lab.consul import ConsulServer
from vtorc.lab.etcd import EtcdServer, ServerTls
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.proto import topodata_pb2
from vtorc.topo.cells import TopoLimits
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.open import TopoAccess, open_topo
from vtorc.topo.server import TopoServer
from vtorc.topo.zk_access import ZkAccess

PAGE = Path(__file__).parents[3] / "docs" / "permissions.md"
USER = "vtorc"
SHARD = ShardId("commerce", "0")
ALIAS = TabletAlias("zone1", 100)
MASTER = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05"
LIMITS = TopoLimits(remote_operation_timeout=5.0)
_RIGHTS = ("create", "delete", "read", "write", "admin")


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


async def fill(topo: TopoServer, address: str, root: str) -> None:
    """Make the records of a cell, a shard and a tablet, as Vitess' own programs do."""
    await topo.create_cell("zone1", server_address=address, root=root)
    await topo.create_keyspace("commerce", durability_policy="semi_sync")
    await topo.create_shard(SHARD)
    alias = topodata_pb2.TabletAlias(cell=ALIAS.cell, uid=ALIAS.uid)
    await topo.create_tablet(topodata_pb2.Tablet(alias=alias, keyspace="commerce", shard="0"))


async def use(topo: TopoServer) -> None:
    """Do all that vtorc does with a topology, and find that it may make no cell."""
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
        await topo.create_cell("zone2", server_address="127.0.0.1:1", root="/vitess/zone2")


def _to_replica(tablet: topodata_pb2.Tablet) -> None:
    """Change the type, as vtorc does in the record of a tablet that claims to be primary."""
    tablet.type = topodata_pb2.REPLICA


@contextlib.asynccontextmanager
async def opened(how: TopoAccess) -> AsyncIterator[TopoServer]:
    """Open a topology for the length of a block."""
    topo = await open_topo(how)
    try:
        yield topo
    finally:
        await topo.close()


async def test_the_documented_rights_in_etcd_are_enough(tmp_path: Path) -> None:
    """With them vtorc reads, watches, locks a shard and corrects a tablet record, and makes no cell."""
    tls = make_tls(tmp_path, common_name=USER)
    commands = re.findall(r"^    (etcdctl .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) > 4
    async with EtcdServer(tmp_path / "etcd", tls=tls) as server:
        how = TopoAccess(
            implementation="etcd2",
            global_server_address=(server.address,),
            global_root="/vitess/global",
            etcd_tls=tls.client,
            limits=LIMITS,
        )
        async with opened(how) as topo:
            await fill(topo, f"https://{server.address}", "/vitess/zone1")
        gateway = Gateway(server.address, tls)
        for command in ("etcdctl user add root --no-password", "etcdctl user grant-role root root", *commands):
            await gateway.run(command)
        await gateway.post("enable", {})
        async with opened(how) as topo:
            await use(topo)


async def test_the_documented_rights_in_consul_are_enough(tmp_path: Path) -> None:
    """With them vtorc does the same there."""
    rules = re.findall(r"^    ((?:key|session)_prefix .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rules) == 4
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "agent": MASTER}}
    as_master = ConsulAccess(environ={"CONSUL_HTTP_TOKEN": MASTER})
    async with ConsulServer(tmp_path / "consul", settings={"acl": acl}, access=as_master) as server:
        how = TopoAccess(
            implementation="consul",
            global_server_address=(server.address,),
            global_root="vitess/global",
            consul=as_master,
            limits=LIMITS,
        )
        async with opened(how) as topo:
            await fill(topo, server.address, "vitess/zone1")
        client = ConsulClient([server.address], timeout=15.0, access=as_master, cell="global")
        policy = json.dumps({"Name": USER, "Rules": "\n".join(rules)}).encode()
        await client.call("policy", "PUT", "acl/policy", body=policy)
        made = await client.call("token", "PUT", "acl/token", body=b'{"Policies": [{"Name": "vtorc"}]}')
        await client.close()
        as_vtorc = ConsulAccess(environ={"CONSUL_HTTP_TOKEN": made.body["SecretID"]})
        async with opened(dataclasses.replace(how, consul=as_vtorc)) as topo:
            await use(topo)


class ZkCli:
    """ZooKeeper's own `setAcl`, as a client with the credentials of Vitess' parts."""

    def __init__(self, address: str) -> None:
        self._zk = KazooClient(hosts=address, auth_data=[("digest", "vitess:password")])

    def run(self, commands: Sequence[str]) -> None:
        """Carry out commands of docs/permissions.md."""
        self._zk.start(timeout=PATIENCE)
        for command in commands:
            match shlex.split(command):
                case ["setAcl", "-R", path, acl]:
                    self._close(path, acl, deep=True)
                case ["setAcl", path, acl]:
                    self._close(path, acl, deep=False)
                case words:
                    pytest.fail(f"the page has a command that this test does not know: {words}")
        self._zk.stop()
        self._zk.close()

    def _close(self, path: str, acl: str, *, deep: bool) -> None:
        if deep:
            for name in self._zk.get_children(path):
                self._close(f"{path}/{name}", acl, deep=True)
        entries = []
        for entry in acl.split(","):
            scheme, user, _, letters = entry.split(":")
            allowed = {right: True for right in _RIGHTS if right[0] in letters}
            entries.append(make_acl(scheme, make_digest_acl_credential(user, "password"), **allowed))
        self._zk.set_acls(path, entries)


async def test_the_documented_rights_in_zookeeper_are_enough(tmp_path: Path) -> None:
    """With them vtorc does the same there, and a client without credentials reads nothing."""
    commands = re.findall(r"^    (setAcl .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(commands) == 3
    (tmp_path / "auth").write_text("digest:vtorc:password\n")
    async with ZooKeeperServer(tmp_path / "zookeeper") as server:
        how = TopoAccess(
            implementation="zk2",
            global_server_address=(server.address,),
            global_root="/vitess/global",
            limits=LIMITS,
        )
        async with opened(how) as topo:
            await fill(topo, server.address, "/vitess/zone1")
        await asyncio.to_thread(ZkCli(server.address).run, commands)
        async with opened(dataclasses.replace(how, zk=ZkAccess(auth_file=str(tmp_path / "auth")))) as topo:
            await use(topo)
        with pytest.raises(TopoError, match="check topo_zk_auth_file"):
            await open_topo(how)
