"""Writes the history to one SQLite file: recoveries with their steps and safety arguments, each new
decision, and what operators asked for.
"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    shard TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    result TEXT NOT NULL,
    sentence TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_by_shard ON audit (shard, at);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecovery:
    """One stored recovery; `began` is in nanoseconds since the Unix epoch.

    `detail` holds the steps, the marks and the safety argument.
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
    """One stored decision; `at` is in nanoseconds since the Unix epoch."""

    at: int
    shard: str
    tablet: str
    code: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAudit:
    """What an operator asked for, and what came of it; `at` is in nanoseconds since the Unix epoch.

    `detail` holds the whole entry.
    """

    at: int
    shard: str
    actor: str
    action: str
    result: str
    sentence: str
    detail: Mapping[str, object]


class History:
    """One SQLite file; a call blocks for as long as the disk takes, so tasks call it from a thread."""

    def __init__(self, path: str) -> None:
        """Open or create the file; raises HistoryError with its name, HistoryDamaged if it is not an SQLite file."""
        folder = Path(path).parent
        advice = f"expected an SQLite file that vtorc made, or a new one in {folder}"
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise HistoryError(f"history file {path}: {error}; {advice}") from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise _error_class(error)(f"history file {path}: {error}; {advice}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add_recovery(self, stored: StoredRecovery) -> None:
        """Store a recovery, under a new `id`."""
        self._execute(
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
        """Store a decision."""
        self._execute(
            "INSERT INTO decision (at, shard, tablet, code, rule, sentence) VALUES (?, ?, ?, ?, ?, ?)",
            (stored.at, stored.shard, stored.tablet, stored.code, stored.rule, stored.sentence),
        )

    def add_audit(self, stored: StoredAudit) -> None:
        """Store what an operator asked for."""
        self._execute(
            "INSERT INTO audit (at, shard, actor, action, result, sentence, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                stored.at,
                stored.shard,
                stored.actor,
                stored.action,
                stored.result,
                stored.sentence,
                json.dumps(stored.detail),
            ),
        )

    def purge(self, before: int) -> None:
        """Delete entries that are older than `before`, in nanoseconds since the Unix epoch."""
        self._execute("DELETE FROM recovery WHERE began < ?", (before,))
        self._execute("DELETE FROM decision WHERE at < ?", (before,))
        self._execute("DELETE FROM audit WHERE at < ?", (before,))

    def _execute(self, sql: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise _error_class(error)(f"the history could not be written: {error}; check the disk it is on") from error


def _error_class(error: sqlite3.Error) -> type[HistoryError]:
    """Return HistoryDamaged for a file that SQLite can never read again, by SQLite's result codes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return HistoryDamaged if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else HistoryError
