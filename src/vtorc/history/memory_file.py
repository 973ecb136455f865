"""The memory of all shards in one SQLite file, so that a restart forgets nothing.

No promise rests on the file: without it a vtorc that starts takes more for unknown, and refuses more.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.remembered import ShardMemory
from vtorc.errors import MemoryFileDamaged, MemoryFileError
from vtorc.history.file_identity import FileIdentity, file_identity
from vtorc.history.read_only import connect_read_only, takes_no_writes

_VERSION = 2
"""Version of a row's text; a row of another one is left out."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shard_memory (
    keyspace TEXT NOT NULL,
    shard TEXT NOT NULL,
    version INTEGER NOT NULL,
    memory TEXT NOT NULL,
    PRIMARY KEY (keyspace, shard)
)
"""

ASIDE = ".damaged"
"""Suffix of a damaged file that was replaced by a new one."""

_BUSY = 2.0
"""Seconds that a statement waits for another process that reads the file."""


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """The content of the file."""

    shards: Mapping[ShardId, ShardMemory] = field(default_factory=dict)
    """The shards with rows that could be read."""
    unread: Mapping[ShardId, str] = field(default_factory=dict)
    """The other shards, each with the reason."""


def read_memory(path: str) -> StoredMemory:
    """Read the whole file, or nothing if there is none; blocks, and raises MemoryFileError."""
    if not Path(path).exists():
        return StoredMemory()
    with _errors_told(path), contextlib.closing(_connected_to_read(path)) as db:
        rows = db.execute("SELECT keyspace, shard, version, memory FROM shard_memory").fetchall()
    shards: dict[ShardId, ShardMemory] = {}
    unread: dict[ShardId, str] = {}
    for keyspace, name, version, text in rows:
        shard = ShardId(str(keyspace), str(name))
        try:
            if version != _VERSION:
                raise ValueError(f"it is of version {version}, and this vtorc reads version {_VERSION}")
            shards[shard] = ShardMemory.from_text(text)
        except (ValueError, TypeError) as error:
            unread[shard] = str(error)
    return StoredMemory(shards, unread)


def _connected_to_read(path: str) -> sqlite3.Connection:
    """Open the file as the writer does; where nothing can be written, it is read as it is."""
    try:
        return _connected(path)
    except sqlite3.OperationalError as error:
        if not takes_no_writes(error):
            raise
        return connect_read_only(path)


def _connected(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def _errors_told(path: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind = MemoryFileDamaged if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else MemoryFileError
        raise kind(f"memory file {path}: {error}; expected an SQLite file that vtorc made") from error


def _set_aside(path: str) -> None:
    """Rename a damaged file and those that SQLite keeps beside it; an earlier one of that name is overwritten."""
    for part in ("-wal", "-shm", ""):
        if (file := Path(path + part)).exists():
            file.replace(path + ASIDE + part)


class MemoryFile:
    """Writes to the file from a thread of its own, so that a slow disk delays no failover.

    A memory that waits to be written is replaced by the next one of its shard, so that never more than one of each
    waits.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._waiting: dict[ShardId, ShardMemory | None] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._failed = False
        self._db: sqlite3.Connection | None = None
        self._opened_as: FileIdentity | None = None
        self._log = structlog.get_logger("vtorc.memory")
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        """Let the thread write the memory of a shard."""
        self._put(shard, memory)

    def forget(self, shard: ShardId) -> None:
        """Let the thread remove the memory of a shard."""
        self._put(shard, None)

    def close(self, *, patience: float = 5.0) -> None:
        """Write what waits, and end the thread; after `patience` seconds the rest is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)
        if self._thread.is_alive():
            self._tell(f"memory file {self._path}: the last changes were not written within {patience:g} s")

    def _put(self, shard: ShardId, memory: ShardMemory | None) -> None:
        with self._changed:
            self._waiting[shard] = memory
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                batch, self._waiting = self._waiting, {}
            if batch:
                self._write(batch)
            elif self._closing:
                self._disconnect()
                return

    def _write(self, batch: Mapping[ShardId, ShardMemory | None]) -> None:
        """Write a batch; a failure is told once until one is written again."""
        try:
            try:
                self._write_rows(batch)
            except MemoryFileDamaged:
                self._disconnect()
                _set_aside(self._path)
                self._write_rows(batch)
        except (MemoryFileError, OSError) as error:
            self._disconnect()
            self._tell(f"{error}; a restarted vtorc will know less and may refuse more: check the disk")
            return
        except Exception as error:  # a mistake in one memory must not end the writing of all others
            self._disconnect()
            self._tell(f"memory file {self._path}: {error!r}; a restarted vtorc will know less and may refuse more")
            return
        self._failed = False

    def _write_rows(self, batch: Mapping[ShardId, ShardMemory | None]) -> None:
        with _errors_told(self._path):
            db = self._connection()
            db.execute("BEGIN")
            for shard, memory in batch.items():
                self._write_row(db, shard, memory)
            db.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        """Return the connection that stays open, or a new one if the file was moved away."""
        if self._db is None or file_identity(self._path) != self._opened_as:
            self._disconnect()
            self._db = _connected(self._path)
            self._opened_as = file_identity(self._path)
        return self._db

    def _disconnect(self) -> None:
        """Close the connection; what it did not commit is undone."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _write_row(self, db: sqlite3.Connection, shard: ShardId, memory: ShardMemory | None) -> None:
        name = (shard.keyspace, shard.shard)
        if memory is None:
            db.execute("DELETE FROM shard_memory WHERE keyspace = ? AND shard = ?", name)
        else:
            db.execute("INSERT OR REPLACE INTO shard_memory VALUES (?, ?, ?, ?)", (*name, _VERSION, memory.as_text()))

    def _tell(self, sentence: str) -> None:
        if not self._failed:
            self._log.error(sentence)
        self._failed = True
