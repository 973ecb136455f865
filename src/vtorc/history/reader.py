"""Reads a history file, also while vtorc writes to it, and changes nothing in it."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vtorc.errors import HistoryError
from vtorc.history.store import StoredAudit, StoredDecision, StoredRecovery

_TABLES = frozenset({"recovery", "decision"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are read."""

    shard: str | None = None
    """Only those of this shard, as `keyspace/shard`; None for all."""
    since: int = 0
    """Only those from this time on, in nanoseconds since the Unix epoch."""
    limit: int | None = 100
    """The latest so many of each kind; None for all."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the history, between the entries that were read and those to come."""

    recovery: int = 0
    """The largest id of a recovery so far."""
    decision: int = 0
    """The largest id of a decision so far."""
    audit: int = 0
    """The largest id of an audit entry so far."""

    def is_before(self, other: "Place") -> bool:
        """Return whether it is before another one, as after the deletion of old entries."""
        return self.recovery < other.recovery or self.decision < other.decision or self.audit < other.audit


class HistoryReader:
    """One history file at the moment at which it is opened; calls block for as long as the disk takes.

    Each call raises HistoryError.
    """

    def __init__(self, path: str) -> None:
        """Open a file that vtorc made; raises HistoryError with its name and what was expected."""
        self._path = path
        self._has_audit = False
        self._db = self._opened()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def recoveries(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredRecovery]:
        """Return the latest recoveries, newest first; those after a place, if there is one."""
        rows = self._select(
            "SELECT id, began, shard, code, recovery, tablet, outcome, sentence, detail FROM recovery "
            "WHERE id > ? AND began >= ? AND (? IS NULL OR shard = ?) ORDER BY id DESC LIMIT ?",
            chosen or Selection(),
            (after or Place()).recovery,
        )
        return [
            StoredRecovery(
                id=id_,
                began=began,
                shard=shard,
                code=code,
                recovery=recovery,
                tablet=tablet,
                outcome=outcome,
                sentence=sentence,
                detail=json.loads(detail),
            )
            for id_, began, shard, code, recovery, tablet, outcome, sentence, detail in rows
        ]

    def decisions(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredDecision]:
        """Return the latest decisions, newest first; those after a place, if there is one."""
        rows = self._select(
            "SELECT at, shard, tablet, code, rule, sentence FROM decision "
            "WHERE id > ? AND at >= ? AND (? IS NULL OR shard = ?) ORDER BY id DESC LIMIT ?",
            chosen or Selection(),
            (after or Place()).decision,
        )
        return [
            StoredDecision(at=at, shard=shard, tablet=tablet, code=code, rule=rule, sentence=sentence)
            for at, shard, tablet, code, rule, sentence in rows
        ]

    def audit(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredAudit]:
        """Return what operators asked for last, newest first; after a place, if there is one."""
        if not self._has_audit:
            return []
        rows = self._select(
            "SELECT at, shard, actor, action, result, sentence, detail FROM audit "
            "WHERE id > ? AND at >= ? AND (? IS NULL OR shard = ?) ORDER BY id DESC LIMIT ?",
            chosen or Selection(),
            (after or Place()).audit,
        )
        return [
            StoredAudit(
                at=at,
                shard=shard,
                actor=actor,
                action=action,
                result=result,
                sentence=sentence,
                detail=json.loads(detail),
            )
            for at, shard, actor, action, result, sentence, detail in rows
        ]

    def end(self) -> Place:
        """Return the place after all entries."""
        ((recovery, decision),) = self._rows(
            "SELECT (SELECT coalesce(max(id), 0) FROM recovery), (SELECT coalesce(max(id), 0) FROM decision)", ()
        )
        audit = self._rows("SELECT coalesce(max(id), 0) FROM audit", ())[0][0] if self._has_audit else 0
        return Place(recovery, decision, audit)

    def _select(self, sql: str, chosen: Selection, after: int) -> list[tuple[Any, ...]]:
        limit = -1 if chosen.limit is None else chosen.limit
        return self._rows(sql, (after, chosen.since, chosen.shard, chosen.shard, limit))

    def _rows(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        try:
            with closing(self._db.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected("mode=ro")
        except sqlite3.OperationalError as error:
            # Without leave to write in the folder SQLite reads no file in this journal mode, unless it never changes.
            if Path(f"{self._path}-wal").exists():
                raise self._unreadable(str(error)) from error
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error
        try:
            return self._connected("mode=ro&immutable=1")
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def _connected(self, how: str) -> sqlite3.Connection:
        db = sqlite3.connect(f"file:{quote(self._path)}?{how}", uri=True, isolation_level=None)
        try:
            db.execute("BEGIN")  # all that follows is of one moment
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except BaseException:
            db.close()
            raise
        self._has_audit = "audit" in tables  # the files of earlier versions lack it
        if not tables >= _TABLES:
            db.close()
            raise self._unreadable("it is an SQLite file without a history")
        return db

    def _unreadable(self, reason: str) -> HistoryError:
        return HistoryError(f"history file {self._path}: {reason}; expected an SQLite file that vtorc made")
