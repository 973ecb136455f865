import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.topo import local_worker
from vtorc.errors import LockHeld, NoNode, TopoMisconfigured, TopoUnavailable
from vtorc.topo import local_file
from vtorc.topo.conn import RecordChange, Stored
from vtorc.topo.local import LocalStore
from vtorc.topo.local_file import TopoFile

SHARD = "keyspaces/ks/shards/0"
RECORD = local_worker.COUNTER


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a topology file that does not exist yet."""
    return tmp_path / "folder" / "topo.db"


@contextlib.asynccontextmanager
async def worker(path: Path, *task: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process on the file; it is killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, local_worker.__file__, str(path), *task, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_processes_lose_no_update(path: Path) -> None:
    """Processes that make the same file at once and count in it lose no increment; a watch sees the last one."""
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(path, "increment", "25")) for _ in range(3)]
        store = await LocalStore.open(path)
        conn = store.connect(local_worker.ROOT)
        stack.push_async_callback(conn.close)
        changes = await stack.enter_async_context(contextlib.aclosing(conn.watch(RECORD)))
        async with asyncio.timeout(60.0):
            async for change in changes:
                if change.stored is not None and change.stored.contents == b"75":
                    break
        assert [await each.wait() for each in workers] == [0, 0, 0]


async def test_lock_of_a_killed_process_passes_on(path: Path) -> None:
    """A lock excludes other processes; when its holder is killed it passes on after its TTL, not before."""
    store = await LocalStore.open(path)
    conn = store.connect(local_worker.ROOT)
    await conn.create(RECORD, b"")
    async with worker(path, "hold", "1.5") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld, match="worker"):
            await conn.lock(SHARD, b"impatient", timeout=2.0)
        process.kill()
        with pytest.raises(LockHeld, match="worker"):
            await conn.try_lock(SHARD, b"too early")
        lock = await conn.lock(SHARD, b"patient", timeout=60.0)
        await lock.check()
    await conn.close()


async def test_records_survive_the_last_connection(path: Path) -> None:
    """The file is closed with its last connection, and opened again it has its records and versions."""
    store = await LocalStore.open(path)
    one, other = store.connect("/a"), store.connect("/b")
    version = await one.create(RECORD, b"x")
    await one.close()
    assert not store.is_closed
    await other.close()
    assert store.is_closed
    with pytest.raises(TopoUnavailable, match="closed"):
        await store.get("/a")
    again = (await LocalStore.open(path)).connect("/a")
    assert await again.get(RECORD) == Stored(b"x", version)
    await again.close()


def test_file_of_something_else_is_refused(path: Path) -> None:
    """Neither a file that is no SQLite file, nor another program's, nor a folder is used or changed."""
    path.parent.mkdir()
    path.write_bytes(b"something that is not a database, and longer than a header is" * 100)
    other = path.with_name("other.db")
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE theirs (x)")
    for wrong, why in (
        (path, "file is not a database"),
        (other, "it is an SQLite file of another program"),
        (path.parent, "unable to open database file"),
        (path / "below a file" / "topo.db", ""),
    ):
        with pytest.raises(TopoMisconfigured, match=f"{wrong} cannot be used as topology file: .*{why}"):
            asyncio.run(LocalStore.open(wrong))


async def test_busy_file_is_unavailable(path: Path) -> None:
    """While another process keeps the file locked, a write raises TopoUnavailable in time, and a read succeeds."""
    store = await LocalStore.open(path, busy_timeout=0.1)
    conn = store.connect("/r")
    await conn.create(RECORD, b"x")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(TopoUnavailable, match=r"locked for more than 0\.1 s"):
            await conn.update(RECORD, b"y", None)
        assert (await conn.get(RECORD)).contents == b"x"
    await conn.update(RECORD, b"y", None)
    await conn.close()


async def test_watch_goes_on_after_the_file_was_busy(path: Path) -> None:
    """A watch sees what another connection to the file wrote."""
    one, other = (await LocalStore.open(path)).connect("/r"), (await LocalStore.open(path)).connect("/r")
    async with contextlib.aclosing(one.watch(RECORD)) as changes:
        assert await anext(changes) == RecordChange(RECORD, None)
        version = await other.create(RECORD, b"x")
        async with asyncio.timeout(30.0):
            assert await anext(changes) == RecordChange(RECORD, Stored(b"x", version))
    await one.close()
    await other.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Set the time since boot, in nanoseconds."""
    now = [1_000 * 10**9]
    monkeypatch.setattr(local_file, "_since_boot", lambda: now[0])
    return now


def lines(file: TopoFile) -> list[str]:
    """List the keys in the queue for the lock of /d."""
    return list(file.keys("/d/locks/"))


def test_lease_ends_by_the_time_since_boot(path: Path, clock: list[int]) -> None:
    """A lease ends its TTL after its last refresh, seen by the next call of any kind, and cannot be refreshed then."""
    file = TopoFile(path, busy_timeout=1.0)
    file.put("/d/Shard", b"", 0)
    file.enqueue("/d", 5, b"", ttl=30.0, only_if_free=True)
    clock[0] += 29 * 10**9
    assert file.refresh(5, 30.0)
    clock[0] += 29 * 10**9
    assert lines(file) == ["/d/locks/5"]
    before = file.poll()
    clock[0] += 2 * 10**9
    assert file.poll() != before
    assert lines(file) == []
    assert not file.refresh(5, 30.0)
    with pytest.raises(NoNode):
        file.get("/d/locks/5")
    file.close()


def test_lease_of_an_earlier_boot_is_over(path: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a reboot no lock is held, whether or not the system has an id for its boots."""
    for boots in (("first", "second"), ("", "")):
        monkeypatch.setattr(local_file, "_boot_id", lambda boots=boots: boots[0])
        file = TopoFile(path, busy_timeout=1.0)
        file.put("/d/Shard", b"", None)
        file.enqueue("/d", 5, b"", ttl=30.0, only_if_free=True)
        file.close()
        clock[0] -= 100 * 10**9
        monkeypatch.setattr(local_file, "_boot_id", lambda boots=boots: boots[1])
        file = TopoFile(path, busy_timeout=1.0)
        assert lines(file) == []
        file.close()
