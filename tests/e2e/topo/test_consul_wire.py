"""What stands in Consul is what Vitess reads and writes there, and its sessions and tokens are heeded."""

import asyncio
import base64
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.topo.conftest import ConsulBackend
from tests.e2e.topo.kinds import CONSUL, SHORT_SESSIONS
from tests.topo_conformance import NOTE, PATIENCE, RECORD, SHARD, eventually
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import LockHeld, LockLost, NoNode, TopoError
from vtorc.lab.consul import ConsulServer
from vtorc.proto import topodata_pb2
from vtorc.topo import records
from vtorc.topo.conn import TopoConn, TopoLock
from vtorc.topo.consul import ConsulConn
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient
from vtorc.topo.lock_contents import Holder
from vtorc.topo.server import TopoServer

KEY = f"vitess/global/{SHARD}/Lock"
FLAGS = 3304740253564472344


async def everything(raw: ConsulClient) -> list[tuple[str, bytes]]:
    """Read all keys."""
    reply = await raw.call("read", "GET", "kv/", query={"recurse": ""})
    return [(entry["Key"], base64.b64decode(entry["Value"] or "")) for entry in reply.body or ()]


async def session(raw: ConsulClient) -> str:
    """Make a session as another program would."""
    reply = await raw.call("session", "PUT", "session/create", body=b'{"Name": "Consul API Lock", "TTL": "60s"}')
    return str(reply.body["ID"])


async def entry_of(raw: ConsulClient, key: str) -> dict[str, Any]:
    """Read one key with all that Consul tells of it."""
    reply = await raw.call("read", "GET", f"kv/{key}")
    found: dict[str, Any] = reply.body[0]
    return found


async def acquire(raw: ConsulClient, holder: str, verb: str = "acquire", flags: int = FLAGS) -> bool:
    """Acquire or release the shard's lock as Vitess does."""
    query = {verb: holder, "flags": str(flags)}
    return (await raw.call("lock", "PUT", f"kv/{KEY}", query=query, body=NOTE)).body is True


async def test_records_are_where_vitess_has_them(consul_backend: ConsulBackend, raw_consul: ConsulClient) -> None:
    """Cells, keyspaces, shards, tablets and ShardReplication are under Vitess' keys, without a slash in front."""
    topo = TopoServer(
        await consul_backend.connect("vitess/global"), lambda cell, address, root: consul_backend.connect(root)
    )
    shard = ShardId("ks", "-80")
    tablet = topodata_pb2.Tablet(alias=records.alias_to_proto(TabletAlias("zone1", 101)), keyspace="ks", shard="-80")
    await topo.create_cell("zone1", server_address="localhost:8500", root="/vitess/zone1")
    await topo.create_keyspace("ks", durability_policy="semi_sync")
    await topo.create_shard(shard)
    await topo.create_tablet(tablet)
    assert await everything(raw_consul) == [
        ("vitess/global/cells/zone1/CellInfo", b"\n\x0elocalhost:8500\x12\r/vitess/zone1"),
        ("vitess/global/keyspaces/ks/Keyspace", b"B\tsemi_sync"),
        ("vitess/global/keyspaces/ks/shards/-80/Shard", b"\x12\x03\x12\x01\x808\x01"),
        ("vitess/zone1/keyspaces/ks/shards/-80/ShardReplication", b"\n\x0b\n\t\n\x05zone1\x10e"),
        ("vitess/zone1/tablets/zone1-0000000101/Tablet", b"\n\t\n\x05zone1\x10e*\x02ks2\x03-80"),
    ]
    await topo.close()


async def test_lock_is_as_vitess_writes_it(consul: ConsulServer, raw_consul: ConsulClient) -> None:
    """A shard's lock is one key with Vitess' JSON and flags, held by a session with Vitess' name, TTL and delay."""
    access = ConsulAccess(environ={})
    client = ConsulClient([consul.address], timeout=15.0, access=access, cell="global")
    conn = ConsulConn(client, "vitess/global", access)
    topo = TopoServer(
        conn, lambda cell, address, root: _none(), holder=Holder("host-7", "vitess"), wall=lambda: 1_772_366_400 * 10**9
    )
    shard = ShardId("ks", "0")
    await topo.create_shard(shard)
    async with topo.try_lock_shard(shard, "VTOrc Recovery for DeadPrimary on zone1-0000000100"):
        key = await entry_of(raw_consul, KEY)
        assert key["Flags"] == FLAGS
        assert base64.b64decode(key["Value"]) == (
            b'{\n  "Action": "VTOrc Recovery for DeadPrimary on zone1-0000000100",\n  "HostName": "host-7",\n'
            b'  "UserName": "vitess",\n  "Time": "2026-03-01T12:00:00Z",\n  "Options": {},\n  "Status": "Running"\n}'
        )
        (told,) = (await raw_consul.call("session", "GET", f"session/info/{key['Session']}")).body
        assert (told["Name"], told["TTL"], told["LockDelay"], told["Behavior"]) == (
            "Consul API Lock",
            "15000ms",
            15 * 10**9,
            "release",
        )
        assert told["NodeChecks"] == ["serfHealth"]
    assert [name for name, _ in await everything(raw_consul)] == ["vitess/global/keyspaces/ks/shards/0/Shard"]
    assert (await raw_consul.call("session", "GET", f"session/info/{key['Session']}")).body == []
    await topo.close()


async def _none() -> TopoConn:
    raise NoNode("no cell")


async def test_vitess_and_we_exclude_each_other(consul_backend: ConsulBackend, raw_consul: ConsulClient) -> None:
    """The lock that Vitess holds is refused to us, and we get it after Vitess' release; ours is refused to Vitess."""
    conn = await consul_backend.connect()
    await conn.create(RECORD, b"")
    vitess = await session(raw_consul)
    assert await acquire(raw_consul, vitess)
    with pytest.raises(LockHeld, match="vitess@host-7"):
        await conn.try_lock(SHARD, b"ours")
    with pytest.raises(LockHeld, match="vitess@host-7"):
        await conn.lock(SHARD, b"ours", timeout=0.3)
    waiting = asyncio.create_task(conn.lock(SHARD, b"ours", timeout=PATIENCE))
    assert await acquire(raw_consul, vitess, "release")
    lock = await waiting
    await lock.check()
    assert base64.b64decode((await entry_of(raw_consul, KEY))["Value"]) == b"ours"
    assert not await acquire(raw_consul, vitess)
    await lock.release()
    assert await acquire(raw_consul, vitess)


async def test_ended_session_is_a_lost_lock(consul_backend: ConsulBackend, raw_consul: ConsulClient) -> None:
    """When the session of a held lock is destroyed, check notices; a waiting request gets LockLost instead."""
    one, other = await consul_backend.connect(), await consul_backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    sessions = {each["ID"] for each in (await raw_consul.call("list", "GET", "session/list")).body}
    waiting = asyncio.create_task(other.lock(SHARD, NOTE, ttl=consul_backend.ttl))

    async def waits() -> bool:
        return len((await raw_consul.call("list", "GET", "session/list")).body) > len(sessions)

    await eventually(waits)
    (new,) = {each["ID"] for each in (await raw_consul.call("list", "GET", "session/list")).body} - sessions
    await raw_consul.call("end", "PUT", f"session/destroy/{new}")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LockLost, match="session"):
            await waiting
    await raw_consul.call("end", "PUT", f"session/destroy/{(await entry_of(raw_consul, KEY))['Session']}")
    with pytest.raises(LockLost):
        await lock.check()


async def test_cancelled_wait_leaves_nothing(consul_backend: ConsulBackend, raw_consul: ConsulClient) -> None:
    """A cancelled wait ends its session and leaves the holder its lock."""
    one, other = await consul_backend.connect(), await consul_backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    before = (await raw_consul.call("list", "GET", "session/list")).body
    waiting = asyncio.create_task(other.lock(SHARD, NOTE))

    async def sessions() -> int:
        return len((await raw_consul.call("list", "GET", "session/list")).body)

    async def waits() -> bool:
        return await sessions() > len(before)

    await eventually(waits)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await sessions() == len(before)
    await lock.check()


async def test_lock_delay_is_told(consul: ConsulServer, raw_consul: ConsulClient) -> None:
    """While Consul keeps the lock of an ended session closed, an attempt is refused with that reason."""
    access = dataclasses.replace(CONSUL, lock_delay=60.0)
    conn = ConsulConn(
        ConsulClient([consul.address], timeout=15.0, access=access, cell="global"), "vitess/global", access
    )
    other_shard = "keyspaces/ks/shards/80-"  # Consul remembers the delay of a key over its deletion
    await conn.create(f"{other_shard}/Shard", b"")
    lock = await conn.try_lock(other_shard, NOTE)
    await raw_consul.call("end", "PUT", f"session/destroy/{(await entry_of(raw_consul, lock.key))['Session']}")
    with pytest.raises(LockHeld, match="lock delay"):
        await conn.try_lock(other_shard, NOTE)
    await conn.close()


async def test_key_of_another_program_is_no_lock(consul_backend: ConsulBackend, raw_consul: ConsulClient) -> None:
    """A key in the lock's place with other flags is refused, as Vitess refuses it."""
    conn = await consul_backend.connect()
    await conn.create(RECORD, b"")
    await raw_consul.call("write", "PUT", f"kv/{KEY}", body=b"something")
    with pytest.raises(TopoError, match="is no lock"):
        await conn.try_lock(SHARD, NOTE)


RULES = 'key_prefix "vitess/" { policy = "write" } session_prefix "" { policy = "write" }'
MASTER = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05"
ACL = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "agent": MASTER}}


@contextlib.asynccontextmanager
async def connected(server: ConsulServer, **access: Any) -> AsyncIterator[ConsulConn]:
    """Connect for the length of a block."""
    how = dataclasses.replace(CONSUL, **access)
    conn = ConsulConn(ConsulClient([server.address], timeout=5.0, access=how, cell="zone1"), "vitess/global", how)
    try:
        yield conn
    finally:
        await conn.close()


async def test_tokens_are_sent_and_their_lack_is_told(tmp_path: Path) -> None:
    """The token of a cell in the file opens the topology; without it reads are refused, and no list is empty."""
    root = dataclasses.replace(CONSUL, environ={"CONSUL_HTTP_TOKEN": MASTER})
    async with ConsulServer(tmp_path / "consul", settings={**SHORT_SESSIONS, "acl": ACL}, access=root) as server:
        client = ConsulClient([server.address], timeout=15.0, access=root, cell="global")
        policy = json.dumps({"Name": "vtorc", "Rules": RULES}).encode()
        await client.call("policy", "PUT", "acl/policy", body=policy)
        made = await client.call("token", "PUT", "acl/token", body=b'{"Policies": [{"Name": "vtorc"}]}')
        await client.close()
        file = tmp_path / "tokens.json"
        file.write_text(json.dumps({"zone1": {"acl_token": made.body["SecretID"]}}))
        async with connected(server, auth_file=str(file)) as conn:
            await conn.create(RECORD, b"1")
            lock: TopoLock = await conn.try_lock(SHARD, NOTE)
            await lock.check()
            await lock.release()
            assert list(await conn.list_dir(SHARD)) == ["Shard"]
            with pytest.raises(NoNode):
                await conn.list_dir("cells")
        async with connected(server, environ={"CONSUL_HTTP_TOKEN": "0" * 8}) as stranger, connected(server) as nobody:
            for conn in (stranger, nobody):
                for call in (conn.get(RECORD), conn.list_dir("keyspaces"), conn.list("keyspaces")):
                    with pytest.raises(TopoError, match="check the ACL token"):
                        await call
