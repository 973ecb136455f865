"""Writes the history to one SQLite file. It has recoveries with their steps and safety arguments, decisions with what
vtorc saw, the ends of both, and what operators asked for.
"""

import json
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vtorc.errors import HistoryDamaged, HistoryError
from vtorc.history import retention
from vtorc.history.retention import Retention
from vtorc.history.schema import migrate, open_for_writing

DECIDED, CLEARED = "decided", "cleared"


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
    hooks: tuple[Mapping[str, object], ...] = ()
    """The command hooks that ran for it, in the order in which they ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDecision:
    """One stored decision, or the end of one."""

    at: int
    """Nanoseconds since the Unix epoch."""
    shard: str
    """The shard; empty for news about the whole fleet."""
    tablet: str
    code: str
    """The problem; empty for news about the fleet, and for a mistake of vtorc's own."""
    rule: str
    sentence: str
    change: str = DECIDED
    """`decided`, or `cleared` once its problem is gone."""
    finding: Mapping[str, object] = field(default_factory=dict)
    """The finding with the decision as the API has it; empty where there is none."""

    @property
    def problem(self) -> tuple[str, str, str, str]:
        """The subject of the entry, which is the same for a later one that takes its place."""
        return self.shard, self.code, self.tablet, "" if self.code else self.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHook:
    """One run of a command hook."""

    at: int
    """When it ended, in nanoseconds since the Unix epoch."""
    recovery: int
    """When its recovery began, which is that recovery's name; 0 if it ran for no recovery."""
    shard: str
    detail: Mapping[str, object]
    """The run as the API has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One life of a vtorc process."""

    began: int
    """Nanoseconds since the Unix epoch, as all times here."""
    seen: int
    """When it wrote last."""
    version: str
    process: int
    """Its process id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAudit:
    """An operator's request, and what came of it; `at` is in nanoseconds since the Unix epoch.

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
            self._db = open_for_writing(path)
        except sqlite3.Error as error:
            raise _error_class(error)(f"history file {path}: {error}; {advice}") from error
        try:
            migrate(self._db, path)
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise _error_class(error)(f"history file {path}: {error}; {advice}") from error
        except BaseException:
            self._db.close()
            raise

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
        """Store a decision or its end."""
        self._execute(
            "INSERT INTO decision (at, shard, tablet, code, rule, sentence, change, finding) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                stored.at,
                stored.shard,
                stored.tablet,
                stored.code,
                stored.rule,
                stored.sentence,
                stored.change,
                json.dumps(stored.finding),
            ),
        )

    def add_seen(self, shard: str, at: int, form: bytes) -> None:
        """Store what vtorc saw of a shard when it decided at `at`; `form` is its JSON."""
        self._execute("INSERT OR IGNORE INTO seen (shard, at, form) VALUES (?, ?, ?)", (shard, at, zlib.compress(form)))

    def add_hook(self, stored: StoredHook) -> None:
        """Store the run of a command hook."""
        self._execute(
            "INSERT INTO hook (at, recovery, shard, detail) VALUES (?, ?, ?, ?)",
            (stored.at, stored.recovery, stored.shard, json.dumps(stored.detail)),
        )

    def note_run(self, run: StoredRun) -> None:
        """Store that a vtorc process runs; the same process notes it again from time to time."""
        self._execute(
            "INSERT OR REPLACE INTO run (began, seen, version, process) VALUES (?, ?, ?, ?)",
            (run.began, run.seen, run.version, run.process),
        )

    def add_audit(self, stored: StoredAudit) -> None:
        """Store what an operator asked for."""
        self._execute(
            "INSERT INTO request (at, shard, actor, action, result, sentence, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
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

    def purge(self, kept: Retention, now: int) -> None:
        """Delete what is not kept at `now`, in nanoseconds since the Unix epoch."""
        try:
            retention.purge(self._db, kept, now)
        except sqlite3.Error as error:
            raise _unwritable(error) from error

    def _execute(self, sql: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise _unwritable(error) from error


def _unwritable(error: sqlite3.Error) -> HistoryError:
    return _error_class(error)(f"the history could not be written: {error}; check the disk it is on")


def _error_class(error: sqlite3.Error | OSError) -> type[HistoryError]:
    """Return HistoryDamaged for a file that SQLite can never read again, by SQLite's result codes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return HistoryDamaged if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else HistoryError
