"""Tests of a lock with a queue, in which each request is a key of its own, beside those of `topo_conformance`."""

import asyncio
import contextlib

import pytest

from tests.topo_conformance import (
    LOCKS,
    NOTE,
    PATIENCE,
    RECORD,
    SHARD,
    Backend,
    eventually,
    following,
    lock_count,
    relative,
)
from vtorc.errors import LockLost
from vtorc.topo.conn import RecordChange


async def test_waiting_is_first_come_first_served(backend: Backend) -> None:
    """Waiting requests get the lock in the order in which they came."""
    conns = [await backend.connect() for _ in range(4)]
    await conns[0].create(RECORD, b"")
    order: list[int] = []

    async def work(number: int) -> None:
        lock = await conns[number].lock(SHARD, NOTE, timeout=PATIENCE)
        order.append(number)
        await lock.release()

    first = await conns[0].lock(SHARD, NOTE)
    async with asyncio.TaskGroup() as group:
        for number in (3, 1, 2):
            before = await lock_count(conns[0])
            group.create_task(work(number))

            async def joined(before: int = before) -> bool:
                return await lock_count(conns[0]) == before + 1

            await eventually(joined)
        assert order == []
        await first.release()
    assert order == [3, 1, 2]


async def test_cancelled_wait_leaves_the_line(backend: Backend) -> None:
    """A cancelled wait leaves no key behind, and the requests behind it move up."""
    one, other, third = [await backend.connect() for _ in range(3)]
    await one.create(RECORD, b"")
    first = await one.try_lock(SHARD, NOTE)
    waiting = asyncio.create_task(other.lock(SHARD, NOTE))

    async def two_in_line() -> bool:
        return await lock_count(one) == 2

    await eventually(two_in_line)
    behind = asyncio.create_task(third.lock(SHARD, NOTE, timeout=PATIENCE))

    async def three_in_line() -> bool:
        return await lock_count(one) == 3

    await eventually(three_in_line)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await lock_count(one) == 2
    await first.release()
    await (await behind).check()
    assert await lock_count(one) == 1


async def test_place_in_the_line_can_be_lost(backend: Backend) -> None:
    """A waiting request gets LockLost when its key is deleted."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    waiting = asyncio.create_task(other.lock(SHARD, NOTE, ttl=backend.ttl))

    async def in_line() -> bool:
        return await lock_count(one) == 2

    await eventually(in_line)
    names = set(await one.list_dir(LOCKS)) - {lock.key.rpartition("/")[2]}
    await one.delete(f"{LOCKS}/{names.pop()}", None)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(LockLost, match="place in the queue"):
            await waiting


async def test_watch_sees_an_ended_lease(backend: Backend) -> None:
    """A watch reports the deletion of a dead holder's lock after its TTL."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE, ttl=backend.ttl)
    async with contextlib.aclosing(other.watch(relative(lock))) as changes:
        assert (await following(changes)).stored is not None
        backend.fall_silent(lock)
        assert await following(changes) == RecordChange(relative(lock), None)
