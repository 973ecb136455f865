"""The events that are not delivered yet, in an SQLite file: a vtorc or a notifier that is killed loses none of them."""

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

MOST_WAITING = 10_000
"""Events that may wait; a further one makes the oldest a dead letter."""

MOST_DEAD = 1_000
"""Dead letters that are kept; a further one takes the place of the oldest."""

ASIDE = ".damaged"
"""Suffix of a damaged file that was replaced by a new one."""

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
    """One file; its calls block, and raise sqlite3.Error where the disk does."""

    def __init__(self, path: str) -> None:
        """Open or create the file at `path`, empty for memory; a damaged one is set aside."""
        try:
            self._db = _opened(path)
        except sqlite3.DatabaseError:
            if not path or not Path(path).exists():
                raise
            for part in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    Path(path + part).replace(path + ASIDE + part)
            self._db = _opened(path)
        self.waiting = self._count(is_dead=0)
        """How many events wait."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, id_: str, kind: str, at: int, body: bytes) -> None:
        """Keep an event; one that is known already stays as it is."""
        added = self._db.execute(
            "INSERT OR IGNORE INTO letter (id, kind, at, body) VALUES (?, ?, ?, ?)", (id_, kind, at, body)
        )
        self.waiting += added.rowcount
        if self.waiting > MOST_WAITING:
            (oldest, *_) = self._letters("is_dead = 0 ORDER BY number LIMIT 1")
            self.bury(oldest, oldest.tries, f"more than {MOST_WAITING} events wait")

    def next(self) -> Letter | None:
        """Return the event that is due first, or was; None if none waits."""
        return next(iter(self._letters("is_dead = 0 ORDER BY due, number LIMIT 1")), None)

    def remove(self, letter: Letter) -> None:
        """Forget an event that was delivered."""
        self._db.execute("DELETE FROM letter WHERE number = ?", (letter.number,))
        self.waiting -= 1

    def postpone(self, letter: Letter, tries: int, due: int, why: str) -> None:
        """Try an event again at `due`."""
        self._db.execute(
            "UPDATE letter SET tries = ?, due = ?, why = ? WHERE number = ?", (tries, due, why, letter.number)
        )

    def bury(self, letter: Letter, tries: int, why: str) -> None:
        """Give an event up."""
        self.waiting -= 1
        self._db.execute(
            "UPDATE letter SET is_dead = 1, tries = ?, why = ? WHERE number = ?", (tries, why, letter.number)
        )
        self._db.execute(
            "DELETE FROM letter WHERE is_dead = 1 AND number NOT IN "
            "(SELECT number FROM letter WHERE is_dead = 1 ORDER BY number DESC LIMIT ?)",
            (MOST_DEAD,),
        )

    def count_dead(self) -> int:
        """Return how many events were given up, of those that are kept."""
        return self._count(is_dead=1)

    def dead(self, limit: int) -> list[Letter]:
        """Return the events that were given up last, newest first."""
        return self._letters("is_dead = 1 ORDER BY number DESC LIMIT ?", limit)

    def _count(self, *, is_dead: int) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM letter WHERE is_dead = ?", (is_dead,)).fetchone()
        return int(count)

    def _letters(self, where: str, *values: object) -> list[Letter]:
        rows = self._db.execute(f"SELECT number, id, kind, at, body, tries, due, why FROM letter WHERE {where}", values)
        return [
            Letter(number=number, id=id_, kind=kind, at=at, body=bytes(body), tries=tries, due=due, why=why)
            for number, id_, kind, at, body, tries, due, why in rows
        ]


def _opened(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
