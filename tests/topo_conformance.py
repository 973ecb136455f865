"""Tests of the behaviour that all backends of the topology share, for modules that have a fixture `backend`."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol, TypeVar

import pytest

from vtorc.errors import BadVersion, LockHeld, LockLost, NodeExists, NoNode, TopoUnavailable
from vtorc.topo.conn import RecordChange, Stored, TopoConn, TopoLock
from vtorc.topo.lock_contents import Holder, lock_contents

Item = TypeVar("Item")

SHARD = "keyspaces/ks/shards/0"
RECORD = f"{SHARD}/Shard"
LOCKS = f"{SHARD}/locks"
NOTE = lock_contents("Test", Holder("host-7", "vitess"), wall_ns=1_772_366_400_000_000_000)
PATIENCE = 120.0
GLOBAL = "/vitess/global"


class Backend(Protocol):
    """One topology server, new for each test."""

    ttl: float  # the shortest that it keeps precisely, seconds
    lock_name: str  # of the lock's key, or of the directory of such keys, in the directory that is locked
    equal_write_is_new: bool  # whether a write that changes nothing makes another version

    async def connect(self, root: str = GLOBAL) -> TopoConn:
        """Connect as a process of its own would; closed at the end of the test."""
        ...

    def fall_silent(self, lock: TopoLock) -> None:
        """Stop refreshing a lock, as if its holder's process had died."""
        ...


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  (a server has no event to wait for)
            await asyncio.sleep(0.01)


async def following(changes: AsyncGenerator[Item, None]) -> Item:
    """Wait for the next item of a watch."""
    async with asyncio.timeout(PATIENCE):
        return await anext(changes)


async def lock_count(conn: TopoConn) -> int:
    """Count the keys that hold or ask for the lock of the shard."""
    try:
        names = await conn.list_dir(SHARD)
        return len(await conn.list_dir(LOCKS)) if "locks" in names else names.count("Lock")
    except NoNode:
        return 0


def relative(lock: TopoLock) -> str:
    """Name the path of a lock's key below the global root."""
    return lock.key.removeprefix("/").removeprefix(f"{GLOBAL.removeprefix('/')}/")


async def test_created_record_is_read_back(backend: Backend) -> None:
    """A created record is read back with the version that creating it returned, by any connection."""
    one, other = await backend.connect(), await backend.connect()
    version = await one.create(RECORD, b"\x00\xff contents")
    assert await other.get(RECORD) == Stored(b"\x00\xff contents", version)


async def test_empty_record_exists(backend: Backend) -> None:
    """An empty value is a record like any other."""
    conn = await backend.connect()
    version = await conn.create(RECORD, b"")
    assert await conn.get(RECORD) == Stored(b"", version)


async def test_create_refuses_what_exists(backend: Backend) -> None:
    """Creating an existing record raises NodeExists with its full path and leaves it as it is."""
    conn = await backend.connect()
    await conn.create(RECORD, b"first")
    with pytest.raises(NodeExists, match=f"vitess/global/{RECORD}"):
        await conn.create(RECORD, b"second")
    assert (await conn.get(RECORD)).contents == b"first"


async def test_missing_record_is_no_node(backend: Backend) -> None:
    """Reading, updating a version of, and deleting a missing record raise NoNode."""
    conn = await backend.connect()
    version = await conn.create(RECORD, b"x")
    await conn.delete(RECORD, version)
    with pytest.raises(NoNode, match=RECORD):
        await conn.get(RECORD)
    with pytest.raises(NoNode):
        await conn.update(RECORD, b"y", version)
    with pytest.raises(NoNode):
        await conn.delete(RECORD, version)
    with pytest.raises(NoNode):
        await conn.delete(RECORD, None)


async def test_update_compares_versions(backend: Backend) -> None:
    """An update with the present version makes a new version; one with an older version raises BadVersion."""
    conn = await backend.connect()
    first = await conn.create(RECORD, b"1")
    second = await conn.update(RECORD, b"2", first)
    assert second != first
    with pytest.raises(BadVersion, match=RECORD):
        await conn.update(RECORD, b"3", first)
    assert await conn.get(RECORD) == Stored(b"2", second)


async def test_same_contents_are_a_new_version(backend: Backend) -> None:
    """Writing the contents that are there already makes another version, unless the server leaves such writes out."""
    conn = await backend.connect()
    first = await conn.create(RECORD, b"1")
    second = await conn.update(RECORD, b"1", first)
    assert (second != first) == backend.equal_write_is_new
    assert await conn.get(RECORD) == Stored(b"1", second)


async def test_unconditional_update_writes_anything(backend: Backend) -> None:
    """An update without a version creates the record or overwrites whatever is there."""
    conn = await backend.connect()
    await conn.update(RECORD, b"1", None)
    version = await conn.update(RECORD, b"2", None)
    assert await conn.get(RECORD) == Stored(b"2", version)


async def test_delete_compares_versions(backend: Backend) -> None:
    """A deletion with an older version raises BadVersion; with the present one, or none, it deletes."""
    conn = await backend.connect()
    first = await conn.create(RECORD, b"1")
    second = await conn.update(RECORD, b"2", first)
    with pytest.raises(BadVersion):
        await conn.delete(RECORD, first)
    await conn.delete(RECORD, second)
    await conn.create(RECORD, b"3")
    await conn.delete(RECORD, None)
    with pytest.raises(NoNode):
        await conn.get(RECORD)


async def test_version_of_a_recreated_record_differs(backend: Backend) -> None:
    """A record that was deleted and created again does not have its old version."""
    conn = await backend.connect()
    first = await conn.create(RECORD, b"1")
    await conn.delete(RECORD, None)
    await conn.create(RECORD, b"1")
    with pytest.raises(BadVersion):
        await conn.update(RECORD, b"2", first)


async def test_concurrent_updates_lose_nothing(backend: Backend) -> None:
    """Of increments by several connections with compare-and-swap, none is lost."""
    conns = [await backend.connect() for _ in range(4)]
    await conns[0].create(RECORD, b"0")

    async def increment(conn: TopoConn) -> None:
        while True:
            stored = await conn.get(RECORD)
            try:
                await conn.update(RECORD, b"%d" % (int(stored.contents) + 1), stored.version)
            except BadVersion:
                continue
            return

    async with asyncio.TaskGroup() as group:
        for conn in conns * 5:
            group.create_task(increment(conn))
    assert (await conns[0].get(RECORD)).contents == b"20"


async def test_directories_list_what_is_directly_below(backend: Backend) -> None:
    """A directory lists each name directly below it once, sorted, and nothing of its neighbours."""
    conn = await backend.connect()
    for path in ("d/b/x", "d/b/y", "d/a/deep/z", "d/c", "dd/other", "d2"):
        await conn.create(path, b"")
    assert list(await conn.list_dir("d")) == ["a", "b", "c"]
    assert {"d", "d2", "dd"} <= set(await conn.list_dir(""))


async def test_directory_vanishes_with_its_last_record(backend: Backend) -> None:
    """A directory exists as long as there is something below it."""
    conn = await backend.connect()
    with pytest.raises(NoNode):
        await conn.list_dir("tablets")
    await conn.create("tablets/a/Tablet", b"")
    assert list(await conn.list_dir("tablets")) == ["a"]
    await conn.delete("tablets/a/Tablet", None)
    with pytest.raises(NoNode, match="tablets"):
        await conn.list_dir("tablets")


@pytest.mark.parametrize("root", ["/", "", "zone1", "/zone1"])
async def test_paths_are_relative_to_any_root(backend: Backend, root: str) -> None:
    """Records are listed and watched under the paths that they were written to, also below `/` itself."""
    conn = await backend.connect(root)
    version = await conn.create("tablets/zone1-0000000100/Tablet", b"a")
    assert list(await conn.list_dir("tablets")) == ["zone1-0000000100"]
    async with contextlib.aclosing(conn.watch("tablets/zone1-0000000100/Tablet")) as changes:
        assert (await following(changes)).stored == Stored(b"a", version)


async def test_roots_do_not_see_each_other(backend: Backend) -> None:
    """Two roots of one server are two topologies, whatever slashes they are written with."""
    cell, same, other = [await backend.connect(root) for root in ("/vitess/zone1", "/vitess//zone1/", "/vitess/zone11")]
    await cell.create("tablets/a/Tablet", b"A")
    assert (await same.get("tablets/a/Tablet")).contents == b"A"
    with pytest.raises(NoNode):
        await other.get("tablets/a/Tablet")


async def test_lock_needs_something_to_lock(backend: Backend) -> None:
    """Locking a directory without records raises NoNode and leaves no key behind."""
    conn = await backend.connect()
    with pytest.raises(NoNode, match=SHARD):
        await conn.try_lock(SHARD, NOTE)
    with pytest.raises(NoNode, match=SHARD):
        await conn.lock(SHARD, NOTE)
    assert await lock_count(conn) == 0


async def test_lock_excludes_others_and_names_its_holder(backend: Backend) -> None:
    """While one request holds the lock, trying raises LockHeld that names it; after its release another gets it."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    for conn in (one, other):
        with pytest.raises(LockHeld, match="vitess@host-7 since 2026-03-01T12:00:00Z for 'Test'"):
            await conn.try_lock(SHARD, NOTE)
    await lock.check()
    await lock.release()
    second = await other.try_lock(SHARD, NOTE)
    await second.check()
    with pytest.raises(LockLost, match="released"):
        await lock.check()
    assert not lock.lost.is_set()


async def test_lock_is_a_record_in_its_directory(backend: Backend) -> None:
    """A held lock shows as one key with its contents in its directory; after its release, also a second, it is gone."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    lock = await conn.try_lock(SHARD, NOTE)
    assert (await conn.get(relative(lock))).contents == NOTE
    assert list(await conn.list_dir(SHARD)) == sorted(("Shard", backend.lock_name))
    assert await lock_count(conn) == 1
    await lock.release()
    await lock.release()
    assert list(await conn.list_dir(SHARD)) == ["Shard"]


async def test_locks_are_per_directory(backend: Backend) -> None:
    """The locks of two shards, and of their keyspace, are independent of each other."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    await conn.create("keyspaces/ks/shards/00/Shard", b"")
    await conn.try_lock(SHARD, NOTE)
    await conn.try_lock("keyspaces/ks/shards/00", NOTE)
    await conn.try_lock("keyspaces/ks", NOTE)


async def test_trying_never_waits(backend: Backend) -> None:
    """Of many concurrent attempts exactly one gets the lock; the others are refused, without a place in the queue."""
    conns = [await backend.connect() for _ in range(3)]
    await conns[0].create(RECORD, b"")

    async def attempt(conn: TopoConn) -> TopoLock | None:
        try:
            return await conn.try_lock(SHARD, NOTE)
        except LockHeld:
            return None

    async with asyncio.timeout(PATIENCE):
        locks = await asyncio.gather(*(attempt(conn) for conn in conns * 4))
    assert len([lock for lock in locks if lock is not None]) == 1
    assert await lock_count(conns[0]) == 1


async def test_wait_for_a_lock_ends_in_time(backend: Backend) -> None:
    """A request whose timeout passes gets LockHeld with the holder, and leaves the queue."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    with pytest.raises(LockHeld, match="vitess@host-7"):
        await other.lock(SHARD, b"impatient", timeout=0.2)
    assert await lock_count(one) == 1
    await lock.check()


async def test_cancelled_try_leaves_nothing(backend: Backend) -> None:
    """Wherever in its course an attempt to lock is cancelled, the lock is free afterwards."""
    conn = await backend.connect()
    await conn.create(RECORD, b"")
    for turns in range(12):
        attempt = asyncio.create_task(conn.try_lock(SHARD, NOTE))
        for _ in range(turns):
            await asyncio.sleep(0)
        attempt.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await attempt).release()
        assert await lock_count(conn) == 0


async def test_deleted_lock_is_noticed_by_check(backend: Backend) -> None:
    """After the lock's key was deleted, check raises LockLost and `lost` is set; releasing it does no harm."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    await other.delete(relative(lock), None)
    with pytest.raises(LockLost, match="lost topology lock"):
        await lock.check()
    assert lock.lost.is_set()
    second = await other.try_lock(SHARD, NOTE)
    await lock.release()
    await second.check()


async def test_deleted_lock_is_noticed_without_asking(backend: Backend) -> None:
    """A lock that was taken away sets `lost` without a check, within its TTL."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE, ttl=backend.ttl)
    await other.delete(relative(lock), None)
    async with asyncio.timeout(PATIENCE):
        await lock.lost.wait()
    with pytest.raises(LockLost):
        await lock.check()


async def test_lock_outlives_its_ttl_while_kept(backend: Backend) -> None:
    """A request that waits for longer than the TTL does not get the lock of a live holder.

    A machine on which the holder stands still for longer than its TTL takes the lock from it: then one with a longer
    TTL is tried.
    """
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    ttl = backend.ttl
    while True:
        lock = await one.lock(SHARD, NOTE, ttl=ttl, timeout=PATIENCE)
        try:
            with pytest.raises(LockHeld):
                await (await other.lock(SHARD, NOTE, timeout=2.5 * ttl)).release()
            await lock.check()
            break
        except (pytest.fail.Exception, LockLost):
            with pytest.raises(LockLost):
                await lock.check()
            await lock.release()
            assert ttl < PATIENCE / 4
            ttl *= 4


async def test_lock_of_a_dead_holder_passes_on(backend: Backend) -> None:
    """The lock of a dead holder goes to the next request after its TTL; the old holder's check says so."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE, ttl=backend.ttl)
    backend.fall_silent(lock)
    second = await other.lock(SHARD, NOTE, timeout=PATIENCE)
    with pytest.raises(LockLost):
        await lock.check()
    await second.check()


async def test_closing_gives_locks_up(backend: Backend) -> None:
    """Closing a connection frees its locks at once and sets `lost` of each."""
    one, other = await backend.connect(), await backend.connect()
    await one.create(RECORD, b"")
    lock = await one.try_lock(SHARD, NOTE)
    await one.close()
    assert lock.lost.is_set()
    await (await other.try_lock(SHARD, NOTE)).check()


async def test_closed_connection_answers_nothing(backend: Backend) -> None:
    """Calls on a closed connection raise TopoUnavailable; closing it again does nothing."""
    conn = await backend.connect()
    await conn.close()
    await conn.close()
    with pytest.raises(TopoUnavailable, match="closed"):
        await conn.get(RECORD)
    with pytest.raises(TopoUnavailable, match="closed"):
        await conn.try_lock(SHARD, NOTE)


async def test_watch_follows_one_record(backend: Backend) -> None:
    """A watch yields the record, missing or not, then each change, deletion and creation by any connection."""
    one, other = await backend.connect(), await backend.connect()
    async with contextlib.aclosing(one.watch(RECORD)) as changes:
        assert await following(changes) == RecordChange(RECORD, None)
        first = await other.create(RECORD, b"1")
        assert await following(changes) == RecordChange(RECORD, Stored(b"1", first))
        await other.create(f"{SHARD}/Shard2", b"a neighbour")
        second = await other.update(RECORD, b"2", first)
        assert await following(changes) == RecordChange(RECORD, Stored(b"2", second))
        await other.delete(RECORD, None)
        assert await following(changes) == RecordChange(RECORD, None)
        third = await other.create(RECORD, b"3")
        assert await following(changes) == RecordChange(RECORD, Stored(b"3", third))
    async with contextlib.aclosing(other.watch(RECORD)) as changes:
        assert await following(changes) == RecordChange(RECORD, Stored(b"3", third))


async def test_watch_ends_with_its_connection(backend: Backend) -> None:
    """Closing the connection ends its watches with TopoUnavailable."""
    conn = await backend.connect()
    async with (
        contextlib.aclosing(conn.watch(RECORD)) as record,
        contextlib.aclosing(conn.watch("cells/zone1/CellInfo")) as other,
    ):
        await following(record)
        await following(other)
        waiting = [asyncio.create_task(following(record)), asyncio.create_task(following(other))]
        await asyncio.sleep(0)
        await conn.close()
        for each in waiting:
            with pytest.raises(TopoUnavailable, match="closed"):
                await each
