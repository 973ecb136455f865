"""The line for a lock in etcd, to the byte that of Vitess (`go/vt/topo/etcd2topo/lock.go`).

Each who wants the lock of directory D has a key `D/locks/<lease in decimal>` under a lease of its own; whose key has
the lowest revision holds the lock, and each waits for the key just before its own to go. Two things are done better
than there, and differ in nothing that others see: leases are kept alive, and trying is one transaction that puts no
key if there is a line already, so that it never waits.
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


@dataclass(slots=True)
class LinePlace:
    """A place in the line; `holder` is the contents of the lock as long as somebody else has it."""

    lock: LeasedLock
    key: bytes
    revision: int
    holder: bytes = b""


class _Ahead(NamedTuple):
    """The key that we wait for, and the revision of the store at which it was there."""

    key: bytes
    seen_at: int


class _LockLease:
    """The lease of one key in the line."""

    def __init__(self, client: EtcdClient, number: int, key: bytes) -> None:
        self._client = client
        self._number = number
        self._key = key

    async def refresh(self) -> bool:
        """Prolong it; the key is asked for too, as somebody may have deleted just that."""
        if not await self._client.keep_alive(self._number):
            return False
        found = await self._client.range(etcd_pb2.RangeRequest(key=self._key, count_only=True))
        return found.count > 0

    async def revoke(self) -> None:
        await self._client.revoke(self._number)


class LockLine:
    """The line for the lock of one directory."""

    def __init__(self, client: EtcdClient, locks: OwnedLocks, directory: str, *, ttl: int) -> None:
        self._client = client
        self._locks = locks
        self._directory = directory
        self._ttl = ttl
        self._below = f"{directory}/".encode()
        self._prefix = f"{directory}/locks/".encode()

    async def join(self, contents: bytes, *, only_if_free: bool) -> LinePlace:
        """Take the last place of the line, or the first if it is empty; see `TopoConn.lock` and `try_lock`."""
        if only_if_free:  # asking first costs less than a lease that is not needed
            self._refuse(*await self._look(), only_if_free=True)
        number = secrets.randbits(62) | 1
        key = self._prefix + str(number).encode()
        lease = _LockLease(self._client, number, key)
        granted_at = asyncio.get_running_loop().time()
        try:
            await self._client.grant(number, self._ttl)
            revision = await self._put(key, contents, number, only_if_free=only_if_free)
        except BaseException:
            await self._locks.give_up(lease.revoke())  # cancelled or not, it may have been done
            raise
        lock = self._locks.add(key.decode(), lease, ttl=self._ttl, granted_at=granted_at)
        return LinePlace(lock, key, revision)

    async def wait_for_turn(self, place: LinePlace) -> None:
        """Wait until nobody is before us; raises LockLost when our own key vanishes meanwhile."""
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

    async def _look(self) -> tuple[bool, mvcc_pb2.KeyValue | None]:
        """See whether the directory has anything in it, and who holds its lock."""
        reply = await self._client.txn(etcd_pb2.TxnRequest(success=[self._anything(), self._first()]))
        return _seen(reply.response)

    async def _put(self, key: bytes, contents: bytes, lease: int, *, only_if_free: bool) -> int:
        compare = etcd_pb2.Compare
        # A comparison over a range holds if it does for every key in it, and for "no key" (version 0) if there is none.
        something = compare(
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
                compare=[something, free],
                success=[etcd_pb2.RequestOp(request_put=put)],
                failure=[self._anything(), self._first(), own],
            )
        )
        if reply.response.succeeded:
            return reply.response.header.revision
        already = reply.response.responses[2].response_range.kvs
        if already and already[0].lease == lease:  # put by an attempt whose answer was lost
            return already[0].create_revision
        self._refuse(*_seen(reply.response), only_if_free=only_if_free)
        raise TopoError(f"etcd did not put {key.decode()} although nothing is in the way; try again")

    def _refuse(self, exists: bool, holder: mvcc_pb2.KeyValue | None, *, only_if_free: bool) -> None:
        if not exists:
            raise NoNode(self._directory)
        if holder is not None and only_if_free:
            raise LockHeld(self._directory, describe_lock(holder.value))

    async def _before(self, place: LinePlace) -> _Ahead | None:
        """Find the key just before ours, None if it is our turn."""
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
        ahead, first, mine = (each.response_range for each in reply.response.responses)
        if place.lock.lost.is_set() or mine.count == 0:
            raise LockLost(f"the place in the line for lock {place.lock.key} was lost; ask again")
        place.holder = first.kvs[0].value if first.kvs else b""
        return _Ahead(ahead.kvs[0].key, reply.response.header.revision) if ahead.kvs else None

    async def _deletion(self, ahead: _Ahead) -> None:
        # Vitess watches from its own revision, which is gone once the history has been compacted.
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


def _seen(response: etcd_pb2.TxnResponse) -> tuple[bool, mvcc_pb2.KeyValue | None]:
    anything, first = (each.response_range for each in response.responses[:2])
    return bool(anything.kvs), first.kvs[0] if first.kvs else None
