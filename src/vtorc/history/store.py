"""What happened, kept in one SQLite file: recoveries with their steps and arguments, and every new decision."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtorc.errors import HistoryDamaged, HistoryError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS recovery (
    id INTEGER PRIMARY KEY,
    began INTEGER NOT NULL,
    shard TEXT NOT NULL,
    code TEXT NOT NULL,
    recovery TEXT NOT NULL,
    tablet TEXT NOT NULL,
    outcome TEXT NOT NULL,
    sentence TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS recovery_by_shard ON recovery (shard, began);
CREATE TABLE IF NOT EXISTS decision (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    shard TEXT NOT NULL,
    tablet TEXT NOT NULL,
    code TEXT NOT NULL,
    rule TEXT NOT NULL,
    sentence TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS decision_by_shard ON decision (shard, at);
"""

IN_MEMORY = ":memory:"
"""Name of a history that ends with the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecovery:
    """One recovery as stored; `began` in nanoseconds since the Unix epoch, `detail` holds steps, marks and the
    argument.
    """

    id: int
    began: int
    shard: str
    code: str
    recovery: str
    tablet: str
    outcome: str
    sentence: str
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """One decision as stored; `at` in nanoseconds since the Unix epoch."""

    at: int
    shard: str
    tablet: str
    code: str
    rule: str
    sentence: str


class History:
    """One SQLite file; calls block for as long as the disk takes, so that whoever must not wait calls them from a
    thread.
    """

    def __init__(self, path: str = IN_MEMORY) -> None:
        """Open or create the file; raises HistoryError naming it, HistoryDamaged if it is no SQLite file any more."""
        folder = Path(path).parent
        advice = f"expected a SQLite file that vtorc made, or a new one in {folder}"
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise HistoryError(f"history file {path}: {error}; {advice}") from error
        try:
            if path != IN_MEMORY:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise _kind(error)(f"history file {path}: {error}; {advice}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_recovery(self, stored: StoredRecovery) -> None:
        """Keep a recovery; its `id` is given by the store."""
        self._insert(
            "INSERT INTO recovery (began, shard, code, recovery, tablet, outcome, sentence, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stored.began,
                stored.shard,
                stored.code,
                stored.recovery,
                stored.tablet,
                stored.outcome,
                stored.sentence,
                json.dumps(stored.detail),
            ),
        )

    def add_decision(self, stored: StoredDecision) -> None:
        """Keep a decision."""
        self._insert(
            "INSERT INTO decision (at, shard, tablet, code, rule, sentence) VALUES (?, ?, ?, ?, ?, ?)",
            (stored.at, stored.shard, stored.tablet, stored.code, stored.rule, stored.sentence),
        )

    def recoveries(self, *, shard: str | None = None, limit: int = 100) -> Iterator[StoredRecovery]:
        """Give the latest recoveries, newest first."""
        rows = self._select(
            "SELECT id, began, shard, code, recovery, tablet, outcome, sentence, detail FROM recovery "
            "WHERE ? IS NULL OR shard = ? ORDER BY id DESC LIMIT ?",
            (shard, shard, limit),
        )
        for *fields, detail in rows:
            id_, began, name, code, recovery, tablet, outcome, sentence = fields
            yield StoredRecovery(
                id=id_,
                began=began,
                shard=name,
                code=code,
                recovery=recovery,
                tablet=tablet,
                outcome=outcome,
                sentence=sentence,
                detail=json.loads(detail),
            )

    def decisions(self, *, shard: str | None = None, limit: int = 100) -> Iterator[StoredDecision]:
        """Give the latest decisions, newest first."""
        rows = self._select(
            "SELECT at, shard, tablet, code, rule, sentence FROM decision "
            "WHERE ? IS NULL OR shard = ? ORDER BY id DESC LIMIT ?",
            (shard, shard, limit),
        )
        for at, name, tablet, code, rule, sentence in rows:
            yield StoredDecision(at=at, shard=name, tablet=tablet, code=code, rule=rule, sentence=sentence)

    def purge(self, before: int) -> None:
        """Forget what is older than `before`, nanoseconds since the Unix epoch."""
        self._insert("DELETE FROM recovery WHERE began < ?", (before,))
        self._insert("DELETE FROM decision WHERE at < ?", (before,))

    def _insert(self, sql: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise _kind(error)(f"the history could not be written: {error}; check the disk that it is on") from error

    def _select(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with closing(self._db.execute(sql, values)) as cursor:
            return cursor.fetchall()


def _kind(error: sqlite3.Error) -> type[HistoryError]:
    """Tell a file that SQLite will never read again from one that it cannot use now (result codes of SQLite)."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return HistoryDamaged if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else HistoryError
