"""What stands in etcd is what Vitess reads and writes there."""

import asyncio
import contextlib

import grpc
import pytest

from tests.e2e.topo.conftest import EtcdBackend
from tests.topo_conformance import GLOBAL, NOTE, PATIENCE, RECORD, SHARD, eventually, following, lock_count, relative
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import LockHeld, LockLost
from vtorc.proto import etcd_pb2, etcd_pb2_grpc, mvcc_pb2, topodata_pb2
from vtorc.topo import records
from vtorc.topo.conn import RecordChange, TopoConn
from vtorc.topo.etcd_client import EtcdClient, prefix_end
from vtorc.topo.lock_contents import Holder
from vtorc.topo.server import TopoServer

LOCKS = f"{GLOBAL}/{SHARD}/locks/".encode()


async def everything(raw: EtcdClient, prefix: bytes) -> list[mvcc_pb2.KeyValue]:
    """Read all keys with a prefix."""
    found = await raw.range(etcd_pb2.RangeRequest(key=prefix, range_end=prefix_end(prefix)))
    return list(found.kvs)


def put(key: bytes, value: bytes, lease: int) -> etcd_pb2.TxnRequest:
    """Put a key into the line as Vitess does."""
    absent = etcd_pb2.Compare(key=key, target=etcd_pb2.Compare.VERSION, result=etcd_pb2.Compare.EQUAL, version=0)
    request = etcd_pb2.PutRequest(key=key, value=value, lease=lease)
    return etcd_pb2.TxnRequest(compare=[absent], success=[etcd_pb2.RequestOp(request_put=request)])


async def test_records_are_where_vitess_has_them(backend: EtcdBackend, raw: EtcdClient) -> None:
    """Cells, keyspaces, shards, tablets and ShardReplication are under Vitess' keys, as plain protobuf bytes."""
    topo = TopoServer(await backend.connect(), lambda cell, address, root: backend.connect(root))
    shard = ShardId("ks", "-80")
    tablet = topodata_pb2.Tablet(alias=records.alias_to_proto(TabletAlias("zone1", 101)), keyspace="ks", shard="-80")
    await topo.create_cell("zone1", server_address="localhost:2379", root="/vitess/zone1")
    await topo.create_keyspace("ks", durability_policy="semi_sync")
    await topo.create_shard(shard)
    await topo.create_tablet(tablet)
    assert [(kv.key.decode(), kv.value) for kv in await everything(raw, b"/")] == [
        ("/vitess/global/cells/zone1/CellInfo", b"\n\x0elocalhost:2379\x12\r/vitess/zone1"),
        ("/vitess/global/keyspaces/ks/Keyspace", b"B\tsemi_sync"),
        ("/vitess/global/keyspaces/ks/shards/-80/Shard", b"\x12\x03\x12\x01\x808\x01"),
        ("/vitess/zone1/keyspaces/ks/shards/-80/ShardReplication", b"\n\x0b\n\t\n\x05zone1\x10e"),
        ("/vitess/zone1/tablets/zone1-0000000101/Tablet", b"\n\t\n\x05zone1\x10e*\x02ks2\x03-80"),
    ]
    await topo.close()


async def test_lock_is_as_vitess_writes_it(backend: EtcdBackend, raw: EtcdClient) -> None:
    """A shard's lock is one key named by its lease in decimal, under that lease, with Vitess' JSON in it."""
    topo = TopoServer(
        await backend.connect(),
        lambda cell, address, root: backend.connect(root),
        holder=Holder("host-7", "vitess"),
        wall=lambda: 1_772_366_400_000_000_000,
    )
    shard = ShardId("ks", "0")
    await topo.create_shard(shard)
    async with topo.try_lock_shard(shard, "VTOrc Recovery for DeadPrimary on zone1-0000000100"):
        (key,) = await everything(raw, b"/vitess/global/keyspaces/ks/shards/0/locks")
        assert key.key == b"/vitess/global/keyspaces/ks/shards/0/locks/%d" % key.lease
        assert key.lease > 0
        assert key.value == (
            b'{\n  "Action": "VTOrc Recovery for DeadPrimary on zone1-0000000100",\n  "HostName": "host-7",\n'
            b'  "UserName": "vitess",\n  "Time": "2026-03-01T12:00:00Z",\n  "Options": {},\n  "Status": "Running"\n}'
        )
        channel = grpc.aio.insecure_channel(backend.address)
        leases = etcd_pb2_grpc.LeaseStub(channel)
        assert (await leases.LeaseTimeToLive(etcd_pb2.LeaseTimeToLiveRequest(ID=key.lease))).grantedTTL == 30
        await channel.close()
    assert await everything(raw, b"/vitess/global/keyspaces/ks/shards/0/locks") == []
    await topo.close()


async def test_vitess_and_we_wait_in_one_line(backend: EtcdBackend, raw: EtcdClient) -> None:
    """We wait behind a key that Vitess put, and Vitess finds ours before its own."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    await raw.grant(77, 60)
    await raw.txn(put(LOCKS + b"77", NOTE, 77))
    with pytest.raises(LockHeld, match="vitess@host-7"):
        await conn.try_lock(SHARD, b"ours")
    waiting = asyncio.create_task(conn.lock(SHARD, b"ours", timeout=PATIENCE))

    async def in_line() -> bool:
        return await lock_count(conn) == 2

    await eventually(in_line)
    await raw.grant(78, 60)
    behind = await raw.txn(put(LOCKS + b"78", NOTE, 78))
    last = etcd_pb2.RangeRequest(
        key=LOCKS,
        range_end=prefix_end(LOCKS),
        limit=1,
        sort_order=etcd_pb2.RangeRequest.DESCEND,
        sort_target=etcd_pb2.RangeRequest.MOD,
        max_mod_revision=behind.response.header.revision - 1,
    )
    assert (await raw.range(last)).kvs[0].value == b"ours"
    assert not waiting.done()
    await raw.revoke(77)
    lock = await waiting
    await lock.check()
    await lock.release()
    assert (await raw.range(last)).kvs == []
    await raw.revoke(78)


async def test_revoked_lease_is_a_lost_lock(backend: EtcdBackend, raw: EtcdClient) -> None:
    """When an operator revokes the lease, check notices and the key is gone."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    lock = await conn.try_lock(SHARD, NOTE)
    await raw.revoke(int(lock.key.rpartition("/")[2]))
    with pytest.raises(LockLost):
        await lock.check()
    assert await lock_count(conn) == 0


async def compact(address: str, raw: EtcdClient) -> None:
    """Throw the history away, all but the present."""
    revision = (await raw.range(etcd_pb2.RangeRequest(key=b"/"))).header.revision
    request = etcd_pb2.LeaseKeepAliveRequest(ID=revision).SerializeToString()  # a CompactionRequest begins alike
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.unary_unary("/etcdserverpb.KV/Compact", request_serializer=bytes, response_deserializer=bytes)(
            request
        )


async def test_compacted_history_stops_no_wait(backend: EtcdBackend, raw: EtcdClient) -> None:
    """Who waits for a lock gets it, and who watches sees the next change, over a compaction of the history."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"1")
    lock = await one.try_lock(SHARD, NOTE)
    waiting = asyncio.create_task(other.lock(SHARD, NOTE, timeout=PATIENCE))

    async def in_line() -> bool:
        return await lock_count(one) == 2

    await eventually(in_line)
    async with contextlib.aclosing(other.watch(RECORD)) as changes:
        first = await following(changes)
        assert first.stored is not None
        version = first.stored.version
        for number in range(5):
            version = await one.update(RECORD, b"%d" % number, version)
        await compact(backend.address, raw)
        await lock.release()
        await (await waiting).release()
        seen: RecordChange = first
        while seen.stored is None or seen.stored.contents != b"4":
            seen = await following(changes)


async def test_names_that_are_no_text_do_no_harm(backend: EtcdBackend, raw: EtcdClient) -> None:
    """A key with bytes that are not UTF-8 is listed as well as it can be, and hides nothing."""
    conn: TopoConn = await backend.connect()
    await conn.create("tablets/a/Tablet", b"")
    await raw.txn(put(f"{GLOBAL}/tablets/".encode() + b"\xff\xfe/Tablet", b"", 0))
    assert list(await conn.list_dir("tablets")) == ["a", "\ufffd\ufffd"]
    assert list(await conn.list("tablets")) == ["tablets/a/Tablet", "tablets/\ufffd\ufffd/Tablet"]


async def test_lock_key_is_below_the_root(backend: EtcdBackend) -> None:
    """The key of a lock is named in full."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    lock = await conn.try_lock(SHARD, NOTE)
    assert lock.key.startswith(f"{GLOBAL}/{SHARD}/locks/")
    assert (await conn.get(relative(lock))).contents == NOTE
