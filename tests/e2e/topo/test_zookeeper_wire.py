"""What stands in ZooKeeper is what Vitess reads and writes there, and its sessions and credentials are heeded."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from tests.e2e.topo.conftest import ZooKeeperBackend
from tests.e2e.topo.kinds import SHORT_TICKS, ZK
from tests.topo_conformance import GLOBAL, NOTE, PATIENCE, RECORD, SHARD, eventually
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import LockHeld, LockLost, TopoError
from vtorc.lab.zookeeper import ZooKeeperServer
from vtorc.proto import topodata_pb2
from vtorc.topo import records
from vtorc.topo.lock_contents import Holder
from vtorc.topo.server import TopoServer
from vtorc.topo.zk2 import Zk2Conn
from vtorc.topo.zk_client import ZkClient

LOCKS = f"{GLOBAL}/{SHARD}/locks"
ON_DIRECTORIES = 31
ON_FILES = 19


@contextlib.asynccontextmanager
async def other_client(address: str) -> AsyncIterator[KazooClient]:
    """Connect as another program would, with kazoo alone."""
    zk = KazooClient(hosts=address)
    await asyncio.to_thread(zk.start, PATIENCE)
    try:
        yield zk
    finally:
        await asyncio.to_thread(zk.stop)
        zk.close()


async def everything(raw: ZkClient, path: str = "") -> list[tuple[str, bytes]]:
    """Read all nodes without others below them, but for ZooKeeper's own."""
    names = sorted(set(await raw.children(path or "/")) - {"zookeeper"})
    if not names:
        return [(path, (await raw.get(path))[0])]
    return [found for name in names for found in await everything(raw, f"{path}/{name}")]


async def rights(zk: KazooClient, path: str) -> tuple[str, str, int]:
    """Read the one entry of a node's ACL."""
    ((entry,), _) = await asyncio.to_thread(zk.get_acls, path)
    return entry.id.scheme, entry.id.id, entry.perms


async def test_records_are_where_vitess_has_them(zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient) -> None:
    """Cells, keyspaces, shards, tablets and ShardReplication are Vitess' nodes, open to all as Vitess makes them."""
    topo = TopoServer(await zookeeper_backend.connect(), lambda cell, address, root: zookeeper_backend.connect(root))
    shard = ShardId("ks", "-80")
    tablet = topodata_pb2.Tablet(alias=records.alias_to_proto(TabletAlias("zone1", 101)), keyspace="ks", shard="-80")
    await topo.create_cell("zone1", server_address="localhost:2181", root="/vitess/zone1")
    await topo.create_keyspace("ks", durability_policy="semi_sync")
    await topo.create_shard(shard)
    await topo.create_tablet(tablet)
    assert await everything(raw_zookeeper) == [
        ("/vitess/global/cells/zone1/CellInfo", b"\n\x0elocalhost:2181\x12\r/vitess/zone1"),
        ("/vitess/global/keyspaces/ks/Keyspace", b"B\tsemi_sync"),
        ("/vitess/global/keyspaces/ks/shards/-80/Shard", b"\x12\x03\x12\x01\x808\x01"),
        ("/vitess/zone1/keyspaces/ks/shards/-80/ShardReplication", b"\n\x0b\n\t\n\x05zone1\x10e"),
        ("/vitess/zone1/tablets/zone1-0000000101/Tablet", b"\n\t\n\x05zone1\x10e*\x02ks2\x03-80"),
    ]
    async with other_client(zookeeper_backend.address) as zk:
        assert await rights(zk, "/vitess/global/cells") == ("world", "anyone", ON_DIRECTORIES)
        assert await rights(zk, "/vitess/global/cells/zone1/CellInfo") == ("world", "anyone", ON_FILES)


async def test_lock_is_as_vitess_writes_it(zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient) -> None:
    """A shard's lock is one numbered node that ends with its session, with Vitess' JSON in it, and leaves nothing."""
    topo = TopoServer(
        await zookeeper_backend.connect(),
        lambda cell, address, root: zookeeper_backend.connect(root),
        holder=Holder("host-7", "vitess"),
        wall=lambda: 1_772_366_400 * 10**9,
    )
    await topo.create_shard(ShardId("ks", "0"))
    async with topo.try_lock_shard(ShardId("ks", "0"), "VTOrc Recovery for DeadPrimary on zone1-0000000100"):
        assert await raw_zookeeper.children(LOCKS) == ["0000000000"]
        contents, stat = await raw_zookeeper.get(f"{LOCKS}/0000000000")
        assert contents == (
            b'{\n  "Action": "VTOrc Recovery for DeadPrimary on zone1-0000000100",\n  "HostName": "host-7",\n'
            b'  "UserName": "vitess",\n  "Time": "2026-03-01T12:00:00Z",\n  "Options": {},\n  "Status": "Running"\n}'
        )
        assert stat.ephemeralOwner == zookeeper_backend.conns[0][1].session
        async with other_client(zookeeper_backend.address) as zk:
            assert await rights(zk, f"{LOCKS}/0000000000") == ("world", "anyone", ON_FILES)
    assert await raw_zookeeper.children(f"{GLOBAL}/{SHARD}") == ["Shard"]
    await topo.close()


async def test_vitess_and_we_wait_in_one_line(zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient) -> None:
    """We wait behind a node that Vitess made, and Vitess finds ours before its own."""
    conn = await zookeeper_backend.connect()
    await conn.create(RECORD, b"")
    async with other_client(zookeeper_backend.address) as vitess:

        async def join() -> str:
            made: str = await asyncio.to_thread(
                vitess.create, f"{LOCKS}/", NOTE, ephemeral=True, sequence=True, makepath=True
            )
            return made.rpartition("/")[2]

        async def line() -> list[str]:
            return sorted(await raw_zookeeper.children(LOCKS))

        first = await join()
        with pytest.raises(LockHeld, match="vitess@host-7"):
            await conn.try_lock(SHARD, b"ours")
        with pytest.raises(LockHeld, match="vitess@host-7"):
            await conn.lock(SHARD, b"ours", timeout=0.3)
        assert await line() == [first]
        waiting = asyncio.create_task(conn.lock(SHARD, b"ours", timeout=PATIENCE))

        async def in_line() -> bool:
            return len(await line()) == 2

        await eventually(in_line)
        last = await join()
        ours = (await line())[1]
        assert await line() == [first, ours, last]
        assert not waiting.done()
        await asyncio.to_thread(vitess.delete, f"{LOCKS}/{first}")
        lock = await waiting
        await lock.check()
        assert (await raw_zookeeper.get(f"{LOCKS}/{ours}"))[0] == b"ours"
        await lock.release()
        assert await line() == [last]


async def test_empty_directory_of_older_vitess_is_free(
    zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient
) -> None:
    """An empty `locks` node, which releases of Vitess before v20 leave behind, holds nothing and goes with our lock."""
    conn = await zookeeper_backend.connect()
    await conn.create(RECORD, b"")
    await raw_zookeeper.create(LOCKS, b"", directory=True)
    lock = await conn.try_lock(SHARD, NOTE)
    await lock.check()
    await lock.release()
    assert await raw_zookeeper.children(f"{GLOBAL}/{SHARD}") == ["Shard"]


async def test_node_of_another_session_is_a_lost_lock(
    zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient
) -> None:
    """A node with the name of ours that another session made since is no lock of ours."""
    conn = await zookeeper_backend.connect()
    await conn.create(RECORD, b"")
    lock = await conn.try_lock(SHARD, NOTE)
    async with other_client(zookeeper_backend.address) as vitess:
        await raw_zookeeper.delete(lock.key)
        await asyncio.to_thread(vitess.create, lock.key, NOTE, ephemeral=True)
        with pytest.raises(LockLost):
            await lock.check()
        await lock.release()
        assert await raw_zookeeper.exists(lock.key) is not None


async def test_cancelled_wait_leaves_nothing(zookeeper_backend: ZooKeeperBackend, raw_zookeeper: ZkClient) -> None:
    """A cancelled wait deletes its node, and leaves the holder its lock."""
    one, other = await zookeeper_backend.connect(), await zookeeper_backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    waiting = asyncio.create_task(other.lock(SHARD, NOTE))

    async def in_line() -> bool:
        return len(await raw_zookeeper.children(LOCKS)) == 2

    await eventually(in_line)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(await raw_zookeeper.children(LOCKS)) == 1
    await lock.check()


async def test_session_is_as_long_as_zookeeper_grants(zookeeper_backend: ZooKeeperBackend) -> None:
    """A lock counts on the time that ZooKeeper grants a session, not on the longer one that was asked for."""
    client = ZkClient(zookeeper_backend.address, timeout=15.0, access=dataclasses.replace(ZK, session_timeout=10_000.0))
    await client.exists("/")
    assert client.session_seconds == float(SHORT_TICKS["maxSessionTimeout"]) / 1000
    await client.close()


@contextlib.asynccontextmanager
async def connected(server: ZooKeeperServer, auth_file: Path | None) -> AsyncIterator[Zk2Conn]:
    """Connect for the length of a block."""
    access = dataclasses.replace(ZK, auth_file=str(auth_file or ""))
    conn = Zk2Conn(ZkClient(server.address, timeout=5.0, access=access), GLOBAL)
    try:
        yield conn
    finally:
        await conn.close()


async def test_credentials_are_sent_and_their_lack_is_told(
    zookeeper: ZooKeeperServer, raw_zookeeper: ZkClient, tmp_path: Path
) -> None:
    """The credentials of the file open nodes that are closed to others; a scheme that ZooKeeper lacks is told."""
    good, unknown = tmp_path / "good", tmp_path / "unknown"
    good.write_text("digest:vtorc:s3cret\n")
    unknown.write_text("nonsense:vtorc:s3cret")
    await raw_zookeeper.create(f"{GLOBAL}/{RECORD}", b"1")
    own = [make_digest_acl("vtorc", "s3cret", all=True)]
    async with other_client(zookeeper.address) as owner:
        await asyncio.to_thread(owner.add_auth, "digest", "vtorc:s3cret")
        for path in (f"{GLOBAL}/{SHARD}", f"{GLOBAL}/{RECORD}"):
            await asyncio.to_thread(owner.set_acls, path, own)
        try:
            async with connected(zookeeper, good) as conn:
                assert (await conn.get(RECORD)).contents == b"1"
                lock = await conn.try_lock(SHARD, NOTE)
                await lock.check()
                await lock.release()
                assert list(await conn.list_dir(SHARD)) == ["Shard"]
            for auth_file in (None, unknown):
                async with connected(zookeeper, auth_file) as conn:
                    for call in (conn.get(RECORD), conn.list_dir(SHARD), conn.try_lock(SHARD, NOTE)):
                        with pytest.raises(TopoError, match="check topo_zk_auth_file"):
                            await call
        finally:
            await asyncio.to_thread(owner.delete, "/vitess", recursive=True)
