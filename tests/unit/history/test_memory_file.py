"""The file of what vtorc remembers: whatever happens to it, vtorc starts and works."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.core.facts.test_remembered import KEPT
from tests.unit.history.unwritable import unwritable
from vtorc.app import open_memory
from vtorc.config.settings import Settings
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.remembered import ShardMemory
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import KeepTime
from vtorc.errors import MemoryFileDamaged, MemoryFileError
from vtorc.history.memory_file import ASIDE, MemoryFile, StoredMemory, read_memory

ONE, TWO, THREE = ShardId("commerce", "0"), ShardId("customer", "-80"), ShardId("customer", "80-")
OTHER = ShardMemory(wall=7, now=7.0, real=7.0, tablets={})
GARBAGE = b"a page that a power cut has torn, and that is longer than a header" * 100


class Clock:
    """A clock a second after what was kept."""

    def now(self) -> float:
        return KEPT.now + 1.0

    def wall(self) -> int:
        return KEPT.wall + 10**9


@pytest.fixture
def logs() -> Iterator[list[str]]:
    """Collect the sentences that are logged during a test."""
    sentences: list[str] = []

    def take(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        sentences.append(str(fields["event"]))
        return fields

    with capture_logs([take]):
        yield sentences


def write(path: Path, **memories: ShardMemory | None) -> None:
    """Save memories of shards by the name of a constant here; None forgets the shard."""
    file = MemoryFile(str(path))
    for name, memory in memories.items():
        shard = {"one": ONE, "two": TWO, "three": THREE}[name]
        if memory is None:
            file.forget(shard)
        else:
            file.save(shard, memory)
    file.close()


def execute(path: Path, statement: str) -> None:
    """Change the file as another program may."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def test_the_next_process_reads_what_the_last_one_saved(tmp_path: Path, logs: list[str]) -> None:
    """The newest memory of each shard counts, and a shard that was removed is gone."""
    path = tmp_path / "m.sqlite"
    assert read_memory(str(path)) == StoredMemory()
    write(path, one=OTHER, two=OTHER)
    write(path, one=KEPT, two=None, three=OTHER)
    assert read_memory(str(path)).shards == {ONE: KEPT, THREE: OTHER}
    assert not logs


def test_a_damaged_file_is_set_aside_by_the_first_write(tmp_path: Path, logs: list[str]) -> None:
    """It cannot be read, and the memory of the process that runs is kept in a new one."""
    path = tmp_path / "m.sqlite"
    path.write_bytes(GARBAGE)
    with pytest.raises(MemoryFileDamaged):
        read_memory(str(path))
    write(path, one=KEPT)
    assert read_memory(str(path)).shards == {ONE: KEPT}
    assert Path(f"{path}{ASIDE}").read_bytes() == GARBAGE
    assert not logs


def test_a_row_of_another_version_or_with_nonsense_is_left_out(tmp_path: Path) -> None:
    """All others are read; the reason is kept for the log."""
    path = tmp_path / "m.sqlite"
    write(path, one=KEPT, two=OTHER, three=OTHER)
    execute(path, "UPDATE shard_memory SET version = 1 WHERE keyspace = 'commerce'")
    execute(path, "UPDATE shard_memory SET memory = '{\"tablets\": {}}' WHERE shard = '80-'")
    stored = read_memory(str(path))
    assert stored.shards == {TWO: OTHER}
    assert stored.unread[ONE] == "it is of version 1, and this vtorc reads version 2"
    assert "expected the fields wall, now, real, tablets, found tablets" in stored.unread[THREE]


def test_a_row_with_json_nested_too_deeply_concerns_one_shard(tmp_path: Path) -> None:
    """The reader of JSON gives up on it; all other rows are read."""
    path = tmp_path / "m.sqlite"
    write(path, one=KEPT, two=OTHER)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE shard_memory SET memory = ? WHERE keyspace = 'commerce'", ("[" * 100_000,))
    stored = read_memory(str(path))
    assert stored.shards == {TWO: OTHER}
    assert stored.unread.keys() == {ONE}


def written(path: Path, shard: ShardId) -> bool:
    """Wait until the file has a row for a shard."""
    for _ in range(500):
        with contextlib.suppress(MemoryFileError):
            if shard in read_memory(str(path)).shards:
                return True
        time.sleep(0.01)
    return False


def test_one_connection_writes_until_the_file_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[str]
) -> None:
    """The file is opened once for many batches, and anew if an operator moved it away."""
    path, opened, connect = tmp_path / "m.sqlite", [], sqlite3.connect

    def counted(*args: Any, **options: Any) -> sqlite3.Connection:
        if threading.current_thread().name == "memory":
            opened.append(args)
        connection: sqlite3.Connection = connect(*args, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counted)
    file = MemoryFile(str(path))
    for shard in (ONE, TWO):
        file.save(shard, KEPT)
        assert written(path, shard)
    assert len(opened) == 1
    for part in ("-wal", "-shm", ""):
        Path(f"{path}{part}").rename(tmp_path / f"moved{part}")
    file.save(THREE, OTHER)
    assert written(path, THREE)
    file.close()
    assert len(opened) == 2
    assert not logs


def test_a_file_of_another_program_is_left_as_it_is(tmp_path: Path, logs: list[str]) -> None:
    """Its table has the same name by chance; that nothing can be kept is told once."""
    path = tmp_path / "m.sqlite"
    execute(path, "CREATE TABLE shard_memory (id INTEGER)")
    with pytest.raises(MemoryFileError, match="no such column"):
        read_memory(str(path))
    file = MemoryFile(str(path))
    for _ in range(3):
        file.save(ONE, KEPT)
    file.close()
    (sentence,) = logs
    assert sentence.endswith("a restarted vtorc will know less and may refuse more: check the disk")


def recalled(settings: Settings) -> tuple[set[ShardId], bool]:
    """Open the memory as the daemon does, and save one more; return which shards were known, and if any can be kept."""

    async def main() -> tuple[set[ShardId], bool]:
        clock = OnTimeClock(Clock())
        async with open_memory(settings, clock) as keeper:
            if keeper is None:
                return set(), False
            known = {shard for shard in (ONE, TWO) if keeper.recall(shard, clock)}
            keeper.note(TWO, lambda: KEPT, KeepTime.SOON)
            return known, True

    return asyncio.run(main())


def test_a_file_that_nothing_can_be_written_to_is_read(tmp_path: Path, logs: list[str]) -> None:
    """On a file system that became read-only, vtorc knows what it kept, and tells that it can keep no more."""
    path = tmp_path / "memory.sqlite"
    write(path, one=KEPT)
    with unwritable(tmp_path):
        assert read_memory(str(path)).shards == {ONE: KEPT}
        write(path, two=OTHER)
    (told,) = logs
    assert "readonly" in told
    assert "a restarted vtorc will know less" in told
    assert read_memory(str(path)).shards == {ONE: KEPT}


def test_the_daemon_keeps_its_memory_beside_its_history(tmp_path: Path, logs: list[str]) -> None:
    """In the log folder, or beside the file that the operator named; with neither there is no memory."""
    in_folder, named = Settings(log_dir=str(tmp_path)), Settings(sqlite_data_file=str(tmp_path / "orc.sqlite"))
    assert recalled(Settings()) == (set(), False)
    assert recalled(in_folder) == (set(), True)
    assert recalled(in_folder) == ({TWO}, True)
    assert recalled(named) == (set(), True)
    assert recalled(named) == ({TWO}, True)
    assert {path.name for path in tmp_path.iterdir()} == {"vtorc-memory.sqlite", "orc.sqlite-memory"}
    assert not logs


def test_the_daemon_starts_without_memory_if_the_file_cannot_be_read(tmp_path: Path, logs: list[str]) -> None:
    """It says so once, and what it does not know counts as unknown."""
    path = tmp_path / "vtorc-memory.sqlite"
    path.write_bytes(GARBAGE)
    assert recalled(Settings(log_dir=str(tmp_path))) == (set(), True)
    (sentence,) = logs
    assert sentence.startswith(f"memory file {path}: ")
    assert sentence.endswith("started without memory: what is not known yet counts as unknown, never as safe")
    execute(path, "UPDATE shard_memory SET version = 1")
    assert recalled(Settings(log_dir=str(tmp_path))) == (set(), True)
    assert "not read for 1 of 1 shards, among them customer/-80: it is of version 1, and this vtorc" in logs[1]
