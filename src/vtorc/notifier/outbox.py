"""The events that are not delivered yet, in an SQLite file: a vtorc or a notifier that is killed loses none of them."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

MOST_WAITING = 10_000
"""Events that may wait; a further one makes the oldest a dead letter."""

MOST_DEAD = 1_000
"""Dead letters that are kept; a further one takes the place of the oldest."""

ASIDE = ".damaged"
"""Suffix of a damaged file that was replaced by a new one."""

FILE_AGAIN = 30.0
"""Seconds after a failure of the file before it is tried again."""

_BUSY = 1.0
"""Seconds that a call waits for another process that writes to the file."""

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0,
    is_dead INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS letter_by_due ON letter (is_dead, due);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One event on its way; times are in nanoseconds since the Unix epoch."""

    number: int
    id: str
    kind: str
    at: int
    """When it happened."""
    body: bytes
    tries: int
    """How often it was tried."""
    due: int
    """When it is tried next."""
    why: str
    """Why the last try failed; empty before the first."""


class EventOutbox:
    """One file; its calls block.

    While the file cannot be used, its events are kept in memory, and are delivered all the same. A full disk once ended
    the notifier each time that it was started: no alert was sent, and the commands before a failover did not run.
    """

    def __init__(self, path: str, say: Callable[[str, bool], None] = lambda sentence, is_wrong: None) -> None:
        """Open or create the file at `path`, empty for memory; a damaged one is set aside.

        `say` is told, with whether it is wrong, that the file cannot be used, and that it can be used again.
        """
        self._path = path
        self._say = say
        self._again_at: float | None = None
        self._has_all = False
        try:
            self._db = _opened_or_new(path)
        except (sqlite3.Error, OSError) as error:
            self._db = self._without_file(None, error)
        self.waiting = self._count(is_dead=0)
        """How many events wait."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, id_: str, kind: str, at: int, body: bytes) -> None:
        """Keep an event; one that is known already stays as it is."""
        self._write("INSERT OR IGNORE INTO letter (id, kind, at, body) VALUES (?, ?, ?, ?)", id_, kind, at, body)
        self.waiting = self._count(is_dead=0)
        if self.waiting > MOST_WAITING:
            (oldest, *_) = self._letters("is_dead = 0 ORDER BY number LIMIT 1")
            self.bury(oldest, oldest.tries, f"more than {MOST_WAITING} events wait")

    def next(self) -> Letter | None:
        """Return the event that is due first, or was; None if none waits."""
        return next(iter(self._letters("is_dead = 0 ORDER BY due, number LIMIT 1")), None)

    def remove(self, letter: Letter) -> None:
        """Forget an event that was delivered."""
        self._write("DELETE FROM letter WHERE id = ?", letter.id)
        self.waiting = self._count(is_dead=0)

    def postpone(self, letter: Letter, tries: int, due: int, why: str) -> None:
        """Try an event again at `due`."""
        self._write("UPDATE letter SET tries = ?, due = ?, why = ? WHERE id = ?", tries, due, why, letter.id)

    def bury(self, letter: Letter, tries: int, why: str) -> None:
        """Give an event up."""
        self._write("UPDATE letter SET is_dead = 1, tries = ?, why = ? WHERE id = ?", tries, why, letter.id)
        self._write(
            "DELETE FROM letter WHERE is_dead = 1 AND number NOT IN "
            "(SELECT number FROM letter WHERE is_dead = 1 ORDER BY number DESC LIMIT ?)",
            MOST_DEAD,
        )
        self.waiting = self._count(is_dead=0)

    def count_dead(self) -> int:
        """Return how many events were given up, of those that are kept."""
        return self._count(is_dead=1)

    def dead(self, limit: int) -> list[Letter]:
        """Return the events that were given up last, newest first."""
        return self._letters("is_dead = 1 ORDER BY number DESC LIMIT ?", limit)

    def _count(self, *, is_dead: int) -> int:
        ((count,),) = self._do(
            lambda db: db.execute("SELECT count(*) FROM letter WHERE is_dead = ?", (is_dead,)).fetchall()
        )
        return int(count)

    def _letters(self, where: str, *values: object) -> list[Letter]:
        query = f"SELECT number, id, kind, at, body, tries, due, why FROM letter WHERE {where}"
        rows = self._do(lambda db: db.execute(query, values).fetchall())
        return [
            Letter(number=number, id=id_, kind=kind, at=at, body=bytes(body), tries=tries, due=due, why=why)
            for number, id_, kind, at, body, tries, due, why in rows
        ]

    def _write(self, statement: str, *values: object) -> None:
        self._do(lambda db: db.execute(statement, values))

    # --- a file that fails

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do one piece of work in the file, or in memory while the file cannot be used."""
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self._try_file()
        try:
            return work(self._db)
        except sqlite3.Error as error:
            if self._again_at is not None:
                raise
            self._db = self._without_file(self._db, error)
            return work(self._db)

    def _without_file(self, failed: sqlite3.Connection | None, error: sqlite3.Error | OSError) -> sqlite3.Connection:
        """Return a database in memory with what can be read of the file that `failed`."""
        if not self._path:
            raise error
        memory = _opened("")
        self._has_all = False
        if failed is not None:
            with contextlib.closing(failed), contextlib.suppress(sqlite3.Error):
                _copy(failed, memory, replaces=True)
                self._has_all = True
        self._again_at = time.monotonic() + FILE_AGAIN
        self._say(f"the webhook's events are kept in memory only, as {self._path} cannot be used: {error}", True)
        return memory

    def _try_file(self) -> None:
        """Go back to the file with what the memory has, if it can be used by now."""
        try:
            file = _opened_or_new(self._path)
            try:
                _copy(self._db, file, replaces=self._has_all)
            except BaseException:
                file.close()
                raise
        except (sqlite3.Error, OSError):
            self._again_at = time.monotonic() + FILE_AGAIN
            return
        self._db.close()
        self._db, self._again_at = file, None
        self._say(f"the webhook's events are kept in {self._path} again", False)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, *, replaces: bool) -> None:
    """Copy all events; those of the target go first if the copies `replace` them."""
    columns = "id, kind, at, body, tries, due, is_dead, why"
    rows = source.execute(f"SELECT {columns} FROM letter ORDER BY number").fetchall()
    target.execute("BEGIN IMMEDIATE")
    if replaces:
        target.execute("DELETE FROM letter")
    target.executemany(f"INSERT OR IGNORE INTO letter ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    target.execute("COMMIT")


def _opened_or_new(path: str) -> sqlite3.Connection:
    """Open a file; one that SQLite can never read is set aside and begun anew.

    The undelivered events of one that is locked, or on a full disk, stay where they are.
    """
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
    for part in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(path + part).replace(path + ASIDE + part)
    return _opened(path)


def _opened(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=_BUSY)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
