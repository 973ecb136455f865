"""The answers of `/api/v1` that go back further than the memory of the server: they come from the history file, too."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from msgspec import Meta

from vtorc.errors import HistoryError
from vtorc.forms.base import Form
from vtorc.forms.fleet import ListForm, WhyForm
from vtorc.forms.frames import DecisionFrame, ProblemForm
from vtorc.forms.history import Past, stored_decision_form, stored_recovery_form, why_then
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.times import LATEST, nanoseconds
from vtorc.history.reader import Selection
from vtorc.server.history_file import HistoryFile
from vtorc.server.memory import ServerMemory
from vtorc.server.v1 import reads
from vtorc.server.v1.endpoints import NoQuery, Query, bad_input

_BOUNDARY = 1_000_000_000
"""Nanoseconds around the oldest decision in memory within which an equal one in the history is the same one."""

_MILLISECOND = 1_000_000
"""Nanoseconds of the grain in which times of decisions are told."""

_MOST = 2**62
"""Above all times and counts in a cursor; twice as much still fits into 64 bits."""

F = TypeVar("F", bound=Form)
Limit = Annotated[int, Meta(ge=1, le=5000)]
Time = Annotated[str, Meta(max_length=40)]


class WhyQuery(Query, frozen=True, kw_only=True):
    """When a shard was in its state."""

    at: Time | None = None
    """A time with its zone, as RFC 3339 has it; None for now."""


class DecisionsQuery(Query, frozen=True, kw_only=True):
    """Which decisions to list."""

    shard: str | None = None
    keyspace: str | None = None
    code: str | None = None
    rule: str | None = None
    since: Time | None = None
    """From this time on."""
    until: Time | None = None
    """Before this time."""
    limit: Limit = 200
    cursor: str | None = None
    """The cursor of the page before."""


class RecoveriesQuery(Query, frozen=True, kw_only=True):
    """Which recoveries to list."""

    shard: str | None = None
    keyspace: str | None = None
    kind: str | None = None
    outcome: str | None = None
    since: Time | None = None
    """Those that began from this time on."""
    until: Time | None = None
    """Those that began before this time."""
    unacknowledged: bool = False
    """Only failed ones that no operator has acknowledged, of the last ones; the history is left out."""
    limit: Limit = 200
    cursor: str | None = None
    """The cursor of the page before."""


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a list, newest first, that is asked for; times are in nanoseconds since the Unix epoch."""

    since: int
    """From this time on."""
    until: int
    """Before this time."""
    after: int | None = None
    """The time of the last entry of the page before; None on the first page."""
    skip: int = 0
    """How many entries of that time were on earlier pages."""

    @classmethod
    def of(cls, query: DecisionsQuery | RecoveriesQuery, *, grain: int) -> "Span":
        """Return what a query asks for, in a list with times of `grain`; raises ValueError with what was expected."""
        since = nanoseconds(query.since) if query.since is not None else 0
        until = nanoseconds(query.until) if query.until is not None else LATEST
        if query.cursor is None:
            return cls(since, until)
        after, _, skip = query.cursor.partition("-")
        if not all(
            each.isascii() and each.isdigit() and len(each) < 20 and int(each) < _MOST for each in (after, skip)
        ):
            raise ValueError(f"cursor {query.cursor[:40]!r} is none that vtorc gave")
        return cls(since, min(until, int(after) + grain), int(after), int(skip))

    def page(self, items: Sequence[F], times: Sequence[int], limit: int, revision: int) -> ListForm[F]:
        """Return the page with the first of `items`, which have these times and begin with those of `after`."""
        first = min(self.skip, sum(1 for _ in itertools.takewhile(lambda time: time == self.after, times)))
        end = first + limit
        cursor = None
        if end < len(items):
            last = times[end - 1]
            cursor = f"{last}-{sum(1 for time in times[:end] if time == last)}"
        return ListForm(items=list(items[first:end]), revision=revision, cursor=cursor)


async def why(
    memory: ServerMemory, history: HistoryFile, path: reads.Path, query: WhyQuery, now: float
) -> WhyForm | ProblemForm:
    """Return why a shard is in its state, or was at a time."""
    if query.at is None:
        return reads.why(memory, path, NoQuery(), now)
    try:
        at = nanoseconds(query.at)
    except ValueError as error:
        return bad_input("query", str(error), allowed=WhyQuery.__struct_fields__)
    name = f"{path['keyspace']}/{path['shard']}"
    try:
        past = await history.read(lambda reader: Past.read(reader, name, at, limit=reads.RECENT))
    except HistoryError as error:
        return no_history(error)
    if past.is_empty and name not in memory.shards:
        return reads.unknown_shard(name)
    return why_then(past)


async def decisions(
    memory: ServerMemory, history: HistoryFile, path: reads.Path, query: DecisionsQuery, now: float
) -> ListForm[DecisionFrame] | ProblemForm:
    """Return decisions and their ends, newest first: those in memory, then those in the history."""
    try:
        span = Span.of(query, grain=_MILLISECOND)
    except ValueError as error:
        return bad_input("query", str(error), allowed=DecisionsQuery.__struct_fields__)
    known = list(reversed(memory.decisions))
    oldest = nanoseconds(known[-1].at) if known else span.until
    chosen = [told for told in known if _is_wanted_decision(told, query, span)]
    lacks = span.skip + query.limit + 1 - len(chosen)
    if lacks > 0 and history.path and span.since < oldest:
        selection = Selection(
            shard=query.shard,
            keyspace=query.keyspace,
            code=query.code,
            rule=query.rule,
            since=span.since,
            until=min(span.until, oldest + _BOUNDARY),
            limit=lacks + len(known),
            only_problems=True,
        )
        try:
            stored = await history.read(lambda reader: reader.decisions(selection))
        except HistoryError as error:
            return no_history(error)
        both = {_identity(told) for told in known if nanoseconds(told.at) < oldest + 2 * _BOUNDARY}
        chosen += [
            told
            for told in map(stored_decision_form, stored)
            if nanoseconds(told.at) < oldest - _BOUNDARY or _identity(told) not in both
        ]
    return span.page(chosen, [nanoseconds(told.at) for told in chosen], query.limit, memory.revision)


async def recoveries(
    memory: ServerMemory, history: HistoryFile, path: reads.Path, query: RecoveriesQuery, now: float
) -> ListForm[RecoveryForm] | ProblemForm:
    """Return recoveries that have ended, newest first: those in memory, and those in the history."""
    try:
        span = Span.of(query, grain=1)
    except ValueError as error:
        return bad_input("query", str(error), allowed=RecoveriesQuery.__struct_fields__)
    known = {id_: ended for id_, ended in memory.recoveries.items() if _is_wanted_recovery(ended, query, span)}
    wanted = span.skip + query.limit + 1
    if len(known) < wanted and history.path and not query.unacknowledged:
        selection = Selection(
            shard=query.shard,
            keyspace=query.keyspace,
            kind=query.kind,
            outcome=query.outcome,
            since=span.since,
            until=span.until,
            limit=wanted,
        )
        try:
            stored = await history.read(lambda reader: reader.recoveries(selection))
        except HistoryError as error:
            return no_history(error)
        known = {str(each.began): memory.with_acknowledgement(stored_recovery_form(each)) for each in stored} | known
    chosen = sorted(known.values(), key=lambda ended: int(ended.id), reverse=True)
    return span.page(chosen, [int(ended.id) for ended in chosen], query.limit, memory.revision)


async def recovery(
    memory: ServerMemory, history: HistoryFile, path: reads.Path, query: NoQuery, now: float
) -> RecoveryForm | ProblemForm:
    """Return one recovery that has ended."""
    id_ = path["id"]
    if (known := memory.recoveries.get(id_)) is not None:
        return known
    if not history.path or not (id_.isascii() and id_.isdigit() and len(id_) < 20):
        return reads.unknown_recovery(id_)
    try:
        stored = await history.read(lambda reader: reader.recovery(int(id_)))
    except HistoryError as error:
        return no_history(error)
    if stored is None:
        return reads.unknown_recovery(id_)
    return memory.with_acknowledgement(stored_recovery_form(stored))


def no_history(error: HistoryError) -> ProblemForm:
    """Return the problem that the history cannot be read."""
    return ProblemForm(
        title="no history",
        status=503,
        what="the history cannot be read",
        why=str(error),
        do="read vtorc's log; without times and pages the API answers from memory",
    )


def _is_wanted_decision(told: DecisionFrame, query: DecisionsQuery, span: Span) -> bool:
    finding = told.finding
    return (
        query.shard in (None, finding.shard)
        and query.keyspace in (None, finding.shard.partition("/")[0])
        and query.code in (None, finding.code)
        and query.rule in (None, finding.rule)
        and span.since <= nanoseconds(told.at) < span.until
    )


def _is_wanted_recovery(ended: RecoveryForm, query: RecoveriesQuery, span: Span) -> bool:
    return (
        query.shard in (None, ended.shard)
        and query.keyspace in (None, ended.shard.partition("/")[0])
        and query.kind in (None, ended.kind)
        and query.outcome in (None, ended.outcome)
        and (ended.wants_acknowledgement or not query.unacknowledged)
        and span.since <= int(ended.id) < span.until
    )


def _identity(told: DecisionFrame) -> tuple[str, str, str | None, str, str]:
    """Return what tells apart decisions of about one time, of which memory and history have one each."""
    finding = told.finding
    return finding.shard, finding.code, finding.tablet, finding.rule, told.change
