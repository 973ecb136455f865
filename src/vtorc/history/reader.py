"""Reads a history file, also while vtorc writes to it, and changes nothing in it."""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from vtorc.errors import HistoryError
from vtorc.history import schema
from vtorc.history.moments import ENDED, Happening, Side, in_order, moments_query
from vtorc.history.read_only import connect_read_only
from vtorc.history.store import CLEARED, StoredAudit, StoredDecision, StoredRecovery, StoredRun

_TABLES = frozenset({"recovery", "decision"})
_END_OF_TIME = 2**63 - 1
_HAS_ENDS = 2
"""The first version of the tables that has more than recoveries and the begins of decisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are read."""

    shard: str | None = None
    """Only those of this shard, as `keyspace/shard`; None for all, as with all that follow."""
    keyspace: str | None = None
    """Only those of this keyspace."""
    code: str | None = None
    """Only those about this problem."""
    rule: str | None = None
    """Only decisions by this rule."""
    kind: str | None = None
    """Only recoveries of this kind."""
    outcome: str | None = None
    """Only recoveries with this outcome."""
    only_problems: bool = False
    """Whether to leave out what is about no problem: news about the fleet, and mistakes of vtorc's own."""
    since: int = 0
    """Only those from this time on, in nanoseconds since the Unix epoch."""
    until: int | None = None
    """Only those before this time; None for all."""
    limit: int | None = 100
    """The latest so many of each kind; None for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A decision that was in force at a time that was asked for."""

    decision: StoredDecision
    until: int | None
    """When another took its place, its problem was gone, or vtorc ended, in nanoseconds since the Unix epoch; None if
    it is in force still."""


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
        self._db = self._opened()
        self._has_ends = schema.version_of(self._db) >= _HAS_ENDS

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def recoveries(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredRecovery]:
        """Return the latest recoveries, newest first; those after a place, if there is one."""
        chosen = chosen or Selection()
        rows = self._select(
            "SELECT id, began, shard, code, recovery, tablet, outcome, sentence, detail FROM recovery",
            "began",
            chosen,
            (after or Place()).recovery,
            {"recovery": chosen.kind, "outcome": chosen.outcome},
        )
        return [self._recovery(row) for row in rows]

    def recovery(self, began: int) -> StoredRecovery | None:
        """Return the recovery that began at `began`, in nanoseconds since the Unix epoch; None if there is none."""
        rows = self._rows(
            "SELECT id, began, shard, code, recovery, tablet, outcome, sentence, detail FROM recovery "
            "WHERE began = ? ORDER BY id DESC LIMIT 1",
            (began,),
        )
        return self._recovery(rows[0]) if rows else None

    def decisions(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredDecision]:
        """Return the latest decisions and their ends, newest first; those after a place, if there is one."""
        chosen = chosen or Selection()
        rows = self._select(
            f"SELECT {self._decision_columns} FROM decision",
            "at",
            chosen,
            (after or Place()).decision,
            {"rule": chosen.rule},
        )
        return list(map(_decision, rows))

    def run_at(self, at: int) -> StoredRun | None:
        """Return the run of vtorc that had begun last at a time; None if there was none, or an earlier vtorc wrote."""
        if not self._has_ends:
            return None
        rows = self._rows(
            "SELECT began, seen, version, process FROM run WHERE began <= ? ORDER BY began DESC LIMIT 1", (at,)
        )
        return next((StoredRun(began=b, seen=s, version=v, process=p) for b, s, v, p in rows), None)

    def has_run_after(self, run: StoredRun) -> bool:
        """Return whether another run of vtorc has begun since."""
        return bool(self._rows("SELECT 1 FROM run WHERE began > ? LIMIT 1", (run.began,)))

    def in_force(self, shard: str, at: int) -> list[InForce]:
        """Return the decisions about a shard, and about the whole fleet, that were in force at a time, oldest first.

        Those of a run of vtorc end with it, as the next one tells all of its own. Of an earlier vtorc, which stored no
        ends, there are none.
        """
        run = self.run_at(at)
        if run is None:
            return []
        rows = self._rows(
            f"SELECT {self._decision_columns} FROM decision WHERE shard IN (?, '') AND at >= ? AND at <= ? ORDER BY id",
            (shard, run.began, at),
        )
        ended = run.seen if self.has_run_after(run) else None
        last = _last_of_each(map(_decision, rows))
        return [InForce(decision=each, until=self._replaced_at(each, ended)) for each in last]

    def in_force_everywhere(self, at: int) -> dict[str, list[InForce]]:
        """Return the decisions that were in force at a time by shard, oldest first; the fleet's are under "".

        When they ended is not read.
        """
        run = self.run_at(at)
        if run is None:
            return {}
        found: dict[str, list[InForce]] = {}
        rows = self._rows(
            f"SELECT {self._decision_columns} FROM decision WHERE at >= ? AND at <= ? ORDER BY id", (run.began, at)
        )
        for decision in _last_of_each(map(_decision, rows)):
            found.setdefault(decision.shard, []).append(InForce(decision=decision, until=None))
        return found

    def seen_everywhere(self, at: int) -> dict[str, bytes]:
        """Return the JSON of what vtorc saw of each shard when it decided last, up to a time."""
        if not self._has_ends:
            return {}
        rows = self._rows("SELECT shard, form, max(at) FROM seen WHERE at <= ? GROUP BY shard", (at,))
        return {shard: self._unpacked(shard, form) for shard, form, _ in rows}

    def winners(self, at: int) -> dict[str, tuple[int, str]]:
        """Return, by shard, when the last promotion that succeeded by a time had ended, and the tablet it promoted."""
        rows = self._rows(
            f"SELECT shard, max({ENDED}), json_extract(detail, '$.winner') FROM recovery "
            f"WHERE {ENDED} <= ? AND outcome = 'succeeded' AND json_extract(detail, '$.winner') <> '' GROUP BY shard",
            (at,),
        )
        return {shard: (ended, winner) for shard, ended, winner in rows}

    def moments(self, shard: str | None, at: int, *, before: int, after: int) -> list[Happening]:
        """Return the last moments before a time, at most so many, and the first ones after it, oldest first.

        Those of a shard have those of the whole fleet with them; with None there are those of all shards.
        """
        return [*self._moments(shard, "before", at, before), *self._moments(shard, "after", at, after)]

    def seen(self, shard: str, at: int) -> bytes | None:
        """Return the JSON of what vtorc saw of a shard when it decided last, up to a time; None if nothing is kept."""
        if not self._has_ends:
            return None
        rows = self._rows("SELECT form FROM seen WHERE shard = ? AND at <= ? ORDER BY at DESC LIMIT 1", (shard, at))
        return self._unpacked(shard, rows[0][0]) if rows else None

    def audit(self, chosen: Selection | None = None, *, after: Place | None = None) -> list[StoredAudit]:
        """Return what operators asked for last, newest first; after a place, if there is one."""
        if not self._has_ends:
            return []
        rows = self._select(
            "SELECT at, shard, actor, action, result, sentence, detail FROM request",
            "at",
            chosen or Selection(),
            (after or Place()).audit,
            {},
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
        audit = self._rows("SELECT coalesce(max(id), 0) FROM request", ())[0][0] if self._has_ends else 0
        return Place(recovery, decision, audit)

    def _select(
        self, select: str, time: str, chosen: Selection, after: int, also: Mapping[str, str | None]
    ) -> list[tuple[Any, ...]]:
        """Return the chosen rows of a table, newest first; `also` has what columns must be, None for anything."""
        values: list[object] = [after, chosen.since, _END_OF_TIME if chosen.until is None else chosen.until]
        conditions = ["id > ?", f"{time} >= ?", f"{time} < ?"]
        for column, value in {"shard": chosen.shard, "code": chosen.code, **also}.items():
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        if chosen.keyspace is not None:
            conditions.append("substr(shard, 1, ?) = ?")
            values += [len(chosen.keyspace) + 1, f"{chosen.keyspace}/"]
        if chosen.only_problems:
            conditions.append("code <> ''")
        values.append(-1 if chosen.limit is None else chosen.limit)
        return self._rows(f"{select} WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?", tuple(values))

    def _moments(self, shard: str | None, side: Side, at: int, most: int) -> list[Happening]:
        if not self._has_ends or not most:
            return []
        return in_order(self._rows(moments_query(shard, side), {"shard": shard, "at": at, "most": most}))

    def _unpacked(self, shard: str, form: bytes) -> bytes:
        try:
            return zlib.decompress(form)
        except zlib.error as error:
            raise self._unreadable(f"what was seen of {shard} is damaged ({error})") from error

    @property
    def _decision_columns(self) -> str:
        ends = "change, finding" if self._has_ends else "'decided', '{}'"
        return f"at, shard, tablet, code, rule, sentence, {ends}"

    def _recovery(self, row: tuple[Any, ...]) -> StoredRecovery:
        id_, began, shard, code, recovery, tablet, outcome, sentence, detail = row
        return StoredRecovery(
            id=id_,
            began=began,
            shard=shard,
            code=code,
            recovery=recovery,
            tablet=tablet,
            outcome=outcome,
            sentence=sentence,
            detail=json.loads(detail),
            hooks=tuple(self._hooks(began)),
        )

    def _hooks(self, recovery: int) -> Iterable[dict[str, object]]:
        if self._has_ends:
            for (detail,) in self._rows("SELECT detail FROM hook WHERE recovery = ? ORDER BY id", (recovery,)):
                yield json.loads(detail)

    def _replaced_at(self, decision: StoredDecision, ended: int | None) -> int | None:
        """Return when a decision ceased to be in force; `ended` is the end of its run of vtorc, None while it runs."""
        rule = "" if decision.code else " AND rule = :rule"
        ((at,),) = self._rows(
            "SELECT min(at) FROM decision WHERE shard = :shard AND code = :code AND tablet = :tablet "
            f"AND at > :at{rule}",
            {
                "shard": decision.shard,
                "code": decision.code,
                "tablet": decision.tablet,
                "at": decision.at,
                "rule": decision.rule,
            },
        )
        if ended is None or (at is not None and at <= ended):
            return None if at is None else int(at)
        return ended

    def _rows(self, sql: str, values: tuple[object, ...] | dict[str, object]) -> list[tuple[Any, ...]]:
        try:
            with closing(self._db.execute(sql, values)) as cursor:
                return cursor.fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._checked(connect_read_only(self._path))
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def _checked(self, db: sqlite3.Connection) -> sqlite3.Connection:
        try:
            db.execute("BEGIN")  # all that follows is of one moment
            tables, version = schema.table_names(db), schema.version_of(db)
        except BaseException:
            db.close()
            raise
        if not tables >= _TABLES:
            db.close()
            raise self._unreadable("it is an SQLite file without a history")
        if version > schema.VERSION:
            db.close()
            raise schema.newer(self._path, version)
        return db

    def _unreadable(self, reason: str) -> HistoryError:
        return HistoryError(f"history file {self._path}: {reason}; expected an SQLite file that vtorc made")


def _last_of_each(decisions: Iterable[StoredDecision]) -> list[StoredDecision]:
    """Return the decisions that no later one has ended or replaced, oldest first; they come in their order."""
    last: dict[tuple[str, str, str, str], StoredDecision] = {}
    for decision in decisions:
        last.pop(decision.problem, None)
        if decision.change != CLEARED:
            last[decision.problem] = decision
    return list(last.values())


def _decision(row: tuple[Any, ...]) -> StoredDecision:
    at, shard, tablet, code, rule, sentence, change, finding = row
    return StoredDecision(
        at=at,
        shard=shard,
        tablet=tablet,
        code=code,
        rule=rule,
        sentence=sentence,
        change=change,
        finding=json.loads(finding),
    )
