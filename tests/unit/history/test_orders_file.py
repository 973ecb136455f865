"""The file of what operators told vtorc: an order that was answered is on the disk, or nothing was answered."""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.history.unwritable import unwritable
from vtorc.errors import OrdersFileError
from vtorc.history.orders_file import OrdersFile
from vtorc.history.orders_schema import STEPS

ONE_TABLE = (("CREATE TABLE word (text TEXT)",),)
REST = "the orders of the other: give each a folder of its own"
TWO_TABLES = (*ONE_TABLE, ("CREATE TABLE name (text TEXT)", "INSERT INTO name SELECT text FROM word"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.sqlite"


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Collect the sentences that are logged during a test."""
    sentences: list[str] = []

    def take(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        sentences.append(str(fields["event"]))
        return fields

    with capture_logs([take]):
        yield sentences


def add(text: str) -> Any:
    return lambda db: db.execute("INSERT INTO word VALUES (?)", (text,)).rowcount


def words(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM word ORDER BY rowid")]


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def move(path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        Path(f"{path}{part}").rename(f"{path}.moved{part}")


async def opened_words(path: Path, *, steps: Any = ONE_TABLE) -> list[str]:
    """Return what another process finds in the file."""
    file = OrdersFile(str(path), steps=steps)
    found: list[str] = await file.read(words)
    file.close()
    return found


async def test_what_was_answered_is_read_by_another_process_at_once(path: Path, logs: list[str]) -> None:
    """Nothing has to be closed for that, as after a kill."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    assert await file.write(add("one")) == 1
    assert await opened_words(path) == ["one"]
    file.close()
    assert not logs


async def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """SQLite syncs its log with each transaction, so that a power cut loses no answered order."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    assert await file.read(lambda db: db.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await file.read(lambda db: db.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    file.close()


async def test_only_its_owner_reads_the_file(path: Path) -> None:
    """That holds for the files that SQLite keeps beside it as well."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    assert modes(path.parent) == {0o600}
    file.close()


async def test_work_that_fails_leaves_nothing_behind(path: Path) -> None:
    """All of one piece of work is written, or none of it."""

    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO word VALUES ('half')")
        raise ValueError("a mistake")

    file = OrdersFile(str(path), steps=ONE_TABLE)
    with pytest.raises(ValueError, match="a mistake"):
        await file.write(half)
    await file.write(add("whole"))
    assert await file.read(words) == ["whole"]
    file.close()


async def test_work_whose_caller_is_cancelled_in_time_is_not_begun(path: Path) -> None:
    """A caller that is cancelled before the disk has its order knows that it is not there."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(db: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()

    first = asyncio.create_task(file.read(slow))
    second = asyncio.create_task(file.write(add("cancelled")))
    await begun.wait()
    second.cancel()
    with suppress(asyncio.CancelledError):
        await second
    may_end.set()
    await first
    assert await file.read(words) == []
    file.close()


@pytest.mark.parametrize("place", ["folder", "garbage", "torn inside", "missing folder", "another program"])
async def test_a_file_that_cannot_be_used_refuses_and_is_told_once(tmp_path: Path, logs: list[str], place: str) -> None:
    """Each call raises with the name of the file and advice; once it can be used, calls work without a restart."""
    path = tmp_path / "folder" / "orders.sqlite"
    if place != "missing folder":
        path.parent.mkdir()
    if place == "folder":
        path.mkdir()
    if place == "garbage":
        path.write_bytes(b"a page that a power cut has torn, and that is longer than a header" * 100)
    if place == "torn inside":
        assert await opened_words(path) == []
        with path.open("r+b") as file_of_disk:
            file_of_disk.seek(4096)
            file_of_disk.write(b"torn" * 1024)
    if place == "another program":
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE word (id INTEGER)")
    file = OrdersFile(str(path), steps=ONE_TABLE)
    for _ in range(3):
        with pytest.raises(OrdersFileError, match=f"orders file {path}: .*move it away"):
            await file.write(add("lost"))
    assert len(logs) == 1
    assert logs[0].endswith("orders of operators are refused until then")
    if place == "missing folder":
        path.parent.mkdir()
    else:
        path.rename(tmp_path / "aside")
    await file.write(add("kept"))
    assert await file.read(words) == ["kept"]
    file.close()


async def test_a_full_disk_refuses_the_order_and_keeps_the_earlier_ones(path: Path, logs: list[str]) -> None:
    """The next order is taken as soon as there is room again."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))

    def fill(db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
        db.execute("INSERT INTO word VALUES (?)", ("x" * 100_000,))

    with pytest.raises(OrdersFileError, match="full"):
        await file.write(fill)
    assert len(logs) == 1
    await file.write(add("two"))
    assert await opened_words(path) == ["one", "two"]
    file.close()


@pytest.mark.parametrize("parts", [("",), ("", "-wal", "-shm")])
async def test_a_file_that_is_moved_away_is_written_again_with_all_orders(
    path: Path, logs: list[str], parts: tuple[str, ...]
) -> None:
    """Nothing that was answered is only in the file that is gone."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    move(path, parts)
    await file.write(add("two"))
    assert await opened_words(path) == ["one", "two"]
    await file.write(add("three"))
    file.close()
    assert await opened_words(path) == ["one", "two", "three"]
    assert logs == [f"orders file {path}: it was moved or deleted, and was written again with all orders"]


async def fail(file: OrdersFile) -> None:
    """Let a call fail, after which the file is opened again."""

    def failing(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(OrdersFileError, match="disk I/O error"):
        await file.write(failing)


@pytest.mark.parametrize("parts", [("",), ("", "-wal", "-shm")])
async def test_a_file_that_failed_and_is_moved_away_is_written_again_with_all_orders(
    path: Path, logs: list[str], parts: tuple[str, ...]
) -> None:
    """Orders stay in force while a file fails, so the new file has them all."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    with closing(sqlite3.connect(path)) as other:  # it keeps the files beside it from being removed
        words(other)
        await fail(file)
        move(path, parts)
        await file.write(add("two"))
    assert await opened_words(path) == ["one", "two"]
    assert logs[1:] == [f"orders file {path}: it was moved or deleted, and was written again with all orders"]
    file.close()


async def test_an_order_that_was_refused_is_taken_out_of_a_file_that_works_again(path: Path, logs: list[str]) -> None:
    """A commit that failed may be on the disk, and would be in force after a restart alone."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    await fail(file)
    with closing(sqlite3.connect(path)) as db, db:
        add("refused")(db)
    await file.write(add("two"))
    assert await opened_words(path) == ["one", "two"]
    assert logs[1:] == [f"orders file {path}: it was not as it was answered, and was written again with all orders"]
    file.close()


async def test_a_file_that_two_vtorcs_write_is_told_and_nothing_in_it_is_taken_out(path: Path, logs: list[str]) -> None:
    """Each of them knows its own orders only, and a restart would put those of both in force."""
    file, other = OrdersFile(str(path), steps=ONE_TABLE), OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    await file.write(add("one"))
    with closing(sqlite3.connect(path)) as tidying:
        tidying.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await other.read(words)
    await file.read(words)
    assert logs == []
    await other.write(add("other"))
    await file.write(add("one"))
    await other.write(add("other"))
    assert logs == [f"orders file {path}: another vtorc writes to it as well, and neither knows {REST}"] * 2
    await fail(file)
    with pytest.raises(OrdersFileError, match="another vtorc writes to it as well"):
        await file.write(add("two"))
    assert await other.read(words) == ["one", "one", "other", "one", "other"]
    file.close()
    other.close()


@pytest.mark.parametrize("text", ["one", "other"])
async def test_another_file_in_the_place_of_one_that_failed_is_written_if_it_has_the_same_orders(
    path: Path, text: str
) -> None:
    """A file may be mended elsewhere, and one with other orders may be that of another vtorc."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    await fail(file)
    elsewhere = path.with_name("mended.sqlite")
    mended = OrdersFile(str(elsewhere), steps=ONE_TABLE)
    await mended.write(add(text))
    mended.close()
    elsewhere.replace(path)
    if text == "one":
        await file.write(add("two"))
        assert await opened_words(path) == ["one", "two"]
    else:
        with pytest.raises(OrdersFileError, match="another file is in its place; restart vtorc"):
            await file.write(add("two"))
        assert await opened_words(path) == ["other"]
    file.close()


async def test_another_file_in_its_place_is_not_written(path: Path) -> None:
    """It may hold orders that this process has never read."""
    other = path.with_name("other.sqlite")
    assert await opened_words(other) == []
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    other.replace(path)
    with pytest.raises(OrdersFileError, match="another file is in its place; restart vtorc"):
        await file.write(add("two"))
    file.close()


async def test_an_earlier_file_is_brought_up_to_date_and_a_copy_is_kept(path: Path, logs: list[str]) -> None:
    """The copy is one that the earlier vtorc can go on with."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    file.close()
    file = OrdersFile(str(path), steps=TWO_TABLES)
    assert await file.read(lambda db: db.execute("SELECT text FROM name").fetchall()) == [("one",)]
    await file.write(add("two"))
    file.close()
    copy = Path(f"{path}.v1")
    assert await opened_words(copy) == ["one"]
    assert modes(path.parent) == {0o600}
    assert len(logs) == 1
    assert str(copy) in logs[0]


async def test_a_step_that_fails_is_taken_as_a_whole_by_the_next_vtorc(path: Path) -> None:
    """A migration that was broken off leaves the file as it was."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("one"))
    file.close()
    broken = (*ONE_TABLE, ("CREATE TABLE name (text TEXT)", "INSERT INTO nowhere VALUES (1)"))
    file = OrdersFile(str(path), steps=broken)
    with pytest.raises(OrdersFileError, match="nowhere"):
        await file.read(words)
    file.close()
    assert await opened_words(path, steps=TWO_TABLES) == ["one"]


async def test_a_newer_file_is_read_and_never_written(path: Path) -> None:
    """Its orders are honoured as far as this vtorc knows them, and the refusal says which vtorc is needed."""
    file = OrdersFile(str(path), steps=TWO_TABLES)
    await file.write(add("one"))
    file.close()
    file = OrdersFile(str(path), steps=ONE_TABLE)
    assert await file.read(words) == ["one"]
    with pytest.raises(OrdersFileError, match="of version 2, and this vtorc writes version 1; start a vtorc at least"):
        await file.write(add("two"))
    move(path, ("",))
    with pytest.raises(OrdersFileError, match="of a newer vtorc and is gone; restart vtorc"):
        await file.write(add("two"))
    file.close()


async def test_the_tables_of_this_vtorc_are_made(path: Path) -> None:
    """An empty file takes all steps at once, without a copy."""
    file = OrdersFile(str(path))
    assert await file.read(lambda db: db.execute("PRAGMA user_version").fetchone()) == (len(STEPS),)
    file.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_orders_that_nothing_can_be_written_to_stay_in_force(path: Path, logs: list[str]) -> None:
    """A hold outlives a disk that became read-only; new orders are refused until it can be written again."""
    file = OrdersFile(str(path), steps=ONE_TABLE)
    await file.write(add("kept"))
    file.close()
    later = OrdersFile(str(path), steps=ONE_TABLE)
    with unwritable(path.parent):
        assert await later.read(words) == ["kept"]
        with pytest.raises(OrdersFileError, match="nothing can be written to it"):
            await later.write(add("new"))
    assert await later.read(words) == ["kept"]
    await later.write(add("newer"))
    later.close()
    assert await opened_words(path) == ["kept", "newer"]
    assert [line.partition(": nothing")[0] for line in logs] == [f"orders file {path}"] * 2
    assert "the orders in it are in force, and new ones are refused" in logs[0]
