"""The tables of the history, and the steps from those of earlier vtorcs to those of this one.

Steps only go forward. A copy of the file is kept before the first of them, for the vtorc that wrote it.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from vtorc.errors import HistoryError

_RECOVERIES_AND_DECISIONS = """
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

_ENDS_AND_INPUTS = """
ALTER TABLE decision ADD COLUMN change TEXT NOT NULL DEFAULT 'decided';
ALTER TABLE decision ADD COLUMN finding TEXT NOT NULL DEFAULT '{}';
CREATE INDEX decision_by_time ON decision (at);
CREATE INDEX recovery_by_time ON recovery (began);
CREATE TABLE seen (
    shard TEXT NOT NULL,
    at INTEGER NOT NULL,
    form BLOB NOT NULL,
    PRIMARY KEY (shard, at)
) WITHOUT ROWID;
CREATE INDEX seen_by_time ON seen (at);
CREATE TABLE request (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    shard TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    result TEXT NOT NULL,
    sentence TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX request_by_shard ON request (shard, at);
CREATE INDEX request_by_time ON request (at);
CREATE TABLE run (
    began INTEGER PRIMARY KEY,
    seen INTEGER NOT NULL,
    version TEXT NOT NULL,
    process INTEGER NOT NULL
);
CREATE TABLE hook (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    recovery INTEGER NOT NULL,
    shard TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX hook_by_recovery ON hook (recovery);
CREATE INDEX hook_by_time ON hook (at);
"""

STEPS: Sequence[str] = (_RECOVERIES_AND_DECISIONS, _ENDS_AND_INPUTS)
"""Each step makes the tables of the next version, and is never changed once a vtorc has had it."""

VERSION = len(STEPS)
"""The version of the tables that this vtorc writes, in SQLite's `user_version`; vtorcs before there was one wrote 0."""

COPY = ".before-version-{}"
"""Suffix of the copy of a file before it is brought to that version."""


def version_of(db: sqlite3.Connection) -> int:
    """Return the version of the tables in a file; 0 for a new one. Raises sqlite3.Error."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def table_names(db: sqlite3.Connection) -> frozenset[str]:
    """Return the names of the tables in a file; raises sqlite3.Error."""
    return frozenset(name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


def newer(path: str, version: int) -> HistoryError:
    """Return the error about a file of a newer vtorc."""
    return HistoryError(
        f"history file {path}: a newer vtorc made it (version {version} of its tables, this vtorc knows up to "
        f"{VERSION}); run that vtorc, or move the file away and a new one begins"
    )


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Bring the tables of an open file to this vtorc's version, each step whole or not at all.

    Raises HistoryError for a file of a newer vtorc, and sqlite3.Error or OSError where the disk does.
    """
    version = version_of(db)
    if version > VERSION and "decision" in table_names(db):
        raise newer(path, version)
    if version == VERSION:
        return
    has_history = "decision" in table_names(db)
    if version and not has_history:
        raise HistoryError(
            f"history file {path}: another program made it; name another file in --sqlite-data-file, and leave this one"
        )
    if has_history:
        _keep_copy(db, path)
    for number, step in enumerate(STEPS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
    if has_history:
        _allow_shrinking(db)


def open_for_writing(path: str) -> sqlite3.Connection:
    """Open or create a file as it is written; raises sqlite3.Error."""
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        if not db.execute("PRAGMA page_count").fetchone()[0]:
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only a file without tables heeds it
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def _keep_copy(db: sqlite3.Connection, path: str) -> None:
    """Copy the file as it is, with what SQLite keeps beside it; a copy that was broken off before is replaced."""
    copy = path + COPY.format(VERSION)
    partial = f"{copy}.partial"
    with contextlib.suppress(FileNotFoundError):
        Path(partial).unlink()
    with contextlib.closing(sqlite3.connect(partial)) as target:
        db.backup(target)
    Path(partial).replace(copy)


def _allow_shrinking(db: sqlite3.Connection) -> None:
    """Let a file of an earlier vtorc give back the room of deleted entries, which takes writing it anew once."""
    (mode,) = db.execute("PRAGMA auto_vacuum").fetchone()
    if mode != 2:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("VACUUM")
