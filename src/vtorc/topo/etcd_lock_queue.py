"""The queue for a lock in etcd, with the same keys and bytes as that of Vitess (`go/vt/topo/etcd2topo/lock.go`).

Each request for the lock of directory D is a key `D/locks/<lease in decimal>` under a lease of its own. The request
with the lowest revision holds the lock, and every other waits until the key just before its own is deleted. Two points
differ from Vitess, invisibly to its processes. Leases are kept alive, and `try_lock` is one transaction that puts a key
only if the queue is empty, so that it never waits.
"""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import NamedTuple

from vtorc.errors import LockHeld, LockLost, NoNode, TopoError
from vtorc.proto import etcd_pb2, mvcc_pb2
from vtorc.topo.conn import LOOK_AGAIN
from vtorc.topo.etcd_client import EtcdClient, prefix_end
from vtorc.topo.lease import LeasedLock, OwnedLocks
from vtorc.topo.lock_contents import describe_lock
from vtorc.topo.tasks import all_of


@dataclass(slots=True)
class QueuePlace:
    """A place in the queue; `holder` is the contents of the lock while another request holds it."""

    lock: LeasedLock
    key: bytes
    revision: int
    holder: bytes = b""


class _Ahead(NamedTuple):
    """The key just before our own, and a revision of the store at which it existed."""

    key: bytes
    seen_at: int


class _LockLease:
    """The lease of one key in the queue."""

    def __init__(self, client: EtcdClient, number: int, key: bytes) -> None:
        self._client = client
        self._number = number
        self._key = key

    async def refresh(self) -> bool:
        """Prolong the lease; false if it ended or if its key was deleted, which can happen to the key alone.

        Both are asked at once: a failover waits for this twice.
        """
        return all(await all_of((self._client.keep_alive(self._number), self._has_key())))

    async def _has_key(self) -> bool:
        found = await self._client.range(etcd_pb2.RangeRequest(key=self._key, count_only=True))
        return found.count > 0

    async def revoke(self) -> None:
        await self._client.revoke(self._number)


class LockQueue:
    """The queue for the lock of one directory."""

    def __init__(self, client: EtcdClient, locks: OwnedLocks, directory: str, *, ttl: int) -> None:
        self._client = client
        self._locks = locks
        self._directory = directory
        self._ttl = ttl
        self._below = f"{directory}/".encode()
        self._prefix = f"{directory}/locks/".encode()

    async def join(self, contents: bytes, *, only_if_free: bool) -> QueuePlace:
        """Take the last place in the queue, or the first if it is empty; see `TopoConn.lock` and `try_lock`."""
        number = secrets.randbits(62) | 1
        key = self._prefix + str(number).encode()
        lease = _LockLease(self._client, number, key)
        granted_at = asyncio.get_running_loop().time()
        try:
            await self._client.grant(number, self._ttl)
            revision = await self._put(key, contents, number, only_if_free=only_if_free)
        except BaseException:
            await self._locks.give_up(lease.revoke())  # cancelled or failed, etcd may have carried it out
            raise
        lock = self._locks.add(key.decode(), lease, ttl=self._ttl, granted_at=granted_at)
        return QueuePlace(lock, key, revision)

    async def wait_for_turn(self, place: QueuePlace) -> None:
        """Wait until our place is the first; raises LockLost when our key is deleted meanwhile."""
        lost = asyncio.create_task(place.lock.lost.wait(), name="place lost")
        try:
            while (ahead := await self._before(place)) is not None:
                gone = asyncio.create_task(self._deletion(ahead), name=f"wait for {ahead.key!r}")
                try:
                    await asyncio.wait((lost, gone), timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    gone.cancel()
                    await asyncio.gather(gone, return_exceptions=True)
        finally:
            lost.cancel()

    async def _put(self, key: bytes, contents: bytes, lease: int, *, only_if_free: bool) -> int:
        compare = etcd_pb2.Compare
        # A comparison over a range holds if it holds for each key in it. For an empty range it compares version 0.
        exists = compare(
            key=self._below,
            range_end=prefix_end(self._below),
            target=compare.VERSION,
            result=compare.GREATER,
            version=0,
        )
        free = compare(
            key=self._prefix if only_if_free else key,
            range_end=prefix_end(self._prefix) if only_if_free else b"",
            target=compare.VERSION,
            result=compare.EQUAL,
            version=0,
        )
        put = etcd_pb2.PutRequest(key=key, value=contents, lease=lease)
        own = etcd_pb2.RequestOp(request_range=etcd_pb2.RangeRequest(key=key))
        reply = await self._client.txn(
            etcd_pb2.TxnRequest(
                compare=[exists, free],
                success=[etcd_pb2.RequestOp(request_put=put)],
                failure=[self._anything(), self._first(), own],
            )
        )
        if reply.response.succeeded:
            return reply.response.header.revision
        already = reply.response.responses[2].response_range.kvs
        if already and already[0].lease == lease:  # put by an earlier attempt that got no answer
            return already[0].create_revision
        self._refuse(*_directory_and_holder(reply.response), only_if_free=only_if_free)
        raise TopoError(f"etcd did not put {key.decode()} although both of its conditions hold; try again")

    def _refuse(self, exists: bool, holder: mvcc_pb2.KeyValue | None, *, only_if_free: bool) -> None:
        if not exists:
            raise NoNode(self._directory)
        if holder is not None and only_if_free:
            raise LockHeld(self._directory, describe_lock(holder.value))

    async def _before(self, place: QueuePlace) -> _Ahead | None:
        """Return the key just before ours, None if ours is the first."""
        before = etcd_pb2.RangeRequest(
            key=self._prefix,
            range_end=prefix_end(self._prefix),
            limit=1,
            sort_order=etcd_pb2.RangeRequest.DESCEND,
            sort_target=etcd_pb2.RangeRequest.MOD,
            max_mod_revision=place.revision - 1,
        )
        own = etcd_pb2.RequestOp(request_range=etcd_pb2.RangeRequest(key=place.key, count_only=True))
        reply = await self._client.txn(
            etcd_pb2.TxnRequest(success=[etcd_pb2.RequestOp(request_range=before), self._first(), own])
        )
        ahead, first, mine = (answer.response_range for answer in reply.response.responses)
        if place.lock.lost.is_set() or mine.count == 0:
            raise LockLost(f"the place in the queue for lock {place.lock.key} was lost; ask for it again")
        place.holder = first.kvs[0].value if first.kvs else b""
        return _Ahead(ahead.kvs[0].key, reply.response.header.revision) if ahead.kvs else None

    async def _deletion(self, ahead: _Ahead) -> None:
        # Vitess watches from the revision of its own key, which etcd may have compacted away by now.
        request = etcd_pb2.WatchCreateRequest(key=ahead.key, start_revision=ahead.seen_at + 1)
        async with contextlib.aclosing(self._client.watch(request)) as responses:
            async for response in responses:
                if any(event.type == mvcc_pb2.Event.DELETE for event in response.events):
                    return

    def _anything(self) -> etcd_pb2.RequestOp:
        return etcd_pb2.RequestOp(
            request_range=etcd_pb2.RangeRequest(
                key=self._below, range_end=prefix_end(self._below), limit=1, keys_only=True
            )
        )

    def _first(self) -> etcd_pb2.RequestOp:
        return etcd_pb2.RequestOp(
            request_range=etcd_pb2.RangeRequest(
                key=self._prefix,
                range_end=prefix_end(self._prefix),
                limit=1,
                sort_order=etcd_pb2.RangeRequest.ASCEND,
                sort_target=etcd_pb2.RangeRequest.CREATE,
            )
        )


def _directory_and_holder(response: etcd_pb2.TxnResponse) -> tuple[bool, mvcc_pb2.KeyValue | None]:
    anything, first = (answer.response_range for answer in response.responses[:2])
    return bool(anything.kvs), first.kvs[0] if first.kvs else None
