"""The rounds to etcd that a lock costs, against a client that only takes notes; tests/e2e/topo has a real etcd."""

import asyncio
from typing import cast

import pytest

from vtorc.errors import LockHeld, LockLost
from vtorc.proto import etcd_pb2, mvcc_pb2
from vtorc.topo.etcd_client import EtcdClient, Reply
from vtorc.topo.etcd_lock_queue import LockQueue
from vtorc.topo.lease import OwnedLocks

OTHER = mvcc_pb2.KeyValue(key=b"/shard/locks/7", value=b"{}", lease=7)


class FakeClient:
    """Notes each call as it begins and as it ends; `holder` is the key of another process in the queue."""

    def __init__(self, holder: mvcc_pb2.KeyValue | None = None) -> None:
        self.holder = holder
        self.lease_lives = True
        self.key_exists = True
        self.calls: list[str] = []

    async def _note(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        self.calls.append(f"end of {call}")

    async def grant(self, lease: int, ttl: int) -> None:
        await self._note("grant")

    async def revoke(self, lease: int) -> None:
        await self._note("revoke")

    async def keep_alive(self, lease: int) -> bool:
        await self._note("keep alive")
        return self.lease_lives

    async def range(self, request: etcd_pb2.RangeRequest) -> etcd_pb2.RangeResponse:
        await self._note("range")
        return etcd_pb2.RangeResponse(count=int(self.key_exists))

    async def txn(self, request: etcd_pb2.TxnRequest) -> Reply:
        await self._note("txn")
        if self.holder is None:
            return Reply(etcd_pb2.TxnResponse(succeeded=True), repeated=False)
        found = [
            etcd_pb2.ResponseOp(response_range=etcd_pb2.RangeResponse(kvs=kvs))
            for kvs in ([self.holder], [self.holder], [])
        ]
        return Reply(etcd_pb2.TxnResponse(succeeded=False, responses=found), repeated=False)


def queue(client: FakeClient) -> LockQueue:
    """The queue for the lock of a shard."""
    return LockQueue(cast(EtcdClient, client), OwnedLocks(), "/shard", ttl=30)


async def test_a_free_lock_is_taken_in_two_rounds() -> None:
    """A lost primary waits for them: the queue is not read first."""
    client = FakeClient()
    place = await queue(client).join(b"{}", only_if_free=True)
    assert [call for call in client.calls if not call.startswith("end")] == ["grant", "txn"]
    await place.lock.release()


async def test_a_lock_that_is_held_leaves_no_lease() -> None:
    """The lease that turned out to be of no use is revoked before the refusal."""
    client = FakeClient(holder=OTHER)
    with pytest.raises(LockHeld):
        await queue(client).join(b"{}", only_if_free=True)
    assert [call for call in client.calls if not call.startswith("end")] == ["grant", "txn", "revoke"]


async def test_a_lock_is_checked_in_one_round() -> None:
    """A failover waits for that twice: the lease and the key are asked for at once."""
    client = FakeClient()
    place = await queue(client).join(b"{}", only_if_free=True)
    client.calls.clear()
    await place.lock.check()
    assert client.calls == ["keep alive", "range", "end of keep alive", "end of range"]
    await place.lock.release()


@pytest.mark.parametrize(("lease_lives", "key_exists"), [(False, True), (True, False)])
async def test_a_lock_is_lost_with_its_lease_or_its_key(lease_lives: bool, key_exists: bool) -> None:
    """An operator may delete the key alone."""
    client = FakeClient()
    place = await queue(client).join(b"{}", only_if_free=True)
    client.lease_lives, client.key_exists = lease_lives, key_exists
    with pytest.raises(LockLost, match="no longer has its lease or its key"):
        await place.lock.check()
    await place.lock.release()
