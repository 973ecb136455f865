"""A look back: what pages show of a moment of the history, and the moments at which something happened."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from msgspec import structs
from starlette.requests import Request

from vtorc.errors import HistoryError
from vtorc.forms.audit import AuditForm
from vtorc.forms.fleet import WhyForm
from vtorc.forms.frames import KEPT_AUDIT, ProblemForm
from vtorc.forms.history import Past, why_then
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.times import nanoseconds, rfc3339
from vtorc.history.moments import Happening
from vtorc.history.reader import HistoryReader, Selection
from vtorc.server.history_file import HistoryFile
from vtorc.server.memory import ServerMemory
from vtorc.server.ui.phases import Prelude, prelude_of
from vtorc.server.ui.words import clock_time, date_time
from vtorc.server.v1.audit import AuditQuery
from vtorc.server.v1.endpoints import bad_input
from vtorc.server.v1.past import no_history
from vtorc.server.v1.reads import RECENT, unknown_shard

EACH_SIDE = 20
"""Moments that a page offers before the one that it shows, and after it."""

_MILLISECOND = 1_000_000
"""Nanoseconds of the grain in which addresses name moments: the page shows the end of that millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedMoment:
    """A moment at which something happened."""

    at: str
    """When, as the address of a page has it."""
    words: str
    """The event, with the time of day."""
    is_shown: bool
    """Whether the page shows this very moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """The moment of the history that a page shows."""

    until: int
    """The moment that is shown, in nanoseconds since the Unix epoch."""
    at: str
    """The same as RFC 3339."""
    moments: Sequence[OfferedMoment]
    """The moments around it, oldest first."""
    earlier: OfferedMoment | None
    """The last moment before it; None if the history has none."""
    later: OfferedMoment | None
    """The first moment after it; None if there is none yet."""
    is_moment: bool
    """Whether something happened at this very moment."""
    now: str
    """The query of the page as of now, with its question mark; empty if it has none."""
    kept: Sequence[tuple[str, str]]
    """The other parameters of its address."""


class LookBack:
    """Reads the history for the pages of one server."""

    def __init__(self, memory: ServerMemory, history: HistoryFile) -> None:
        self._memory = memory
        self._history = history

    async def then(
        self, request: Request, *, shard: str | None = None, steps: RecoveryForm | RunningForm | None = None
    ) -> Then | ProblemForm | None:
        """Return the moment that the address names; None if it names none.

        It offers the moments of `shard`, or of the whole fleet, and the ends of the `steps` of a recovery.
        """
        text = request.query_params.get("at", "")
        if not text:
            return None
        try:
            until = _end_of_millisecond(text)
        except (ValueError, OverflowError) as error:
            return bad_input("query", f"at: {error}", allowed=("at",))

        def around(history: HistoryReader) -> list[Happening]:
            return history.moments(shard, until, before=EACH_SIDE, after=EACH_SIDE)

        try:
            happened = await self._history.read(around)
        except HistoryError as error:
            return no_history(error)
        if steps is not None:
            happened = sorted([*happened, *_step_ends(steps)], key=lambda each: each.at)
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "at" and value]
        return _then(until, _offered(happened, until, shard), kept)

    async def shards(self, then: Then) -> Mapping[str, ShardForm] | ProblemForm:
        """Return all shards as they were, by name, as far as the history tells."""

        known = list(self._memory.shards)

        def read(history: HistoryReader) -> dict[str, ShardForm]:
            winners = history.winners(then.until)
            return {
                name: _with_winner(shard_then(why_then(past)), past, winners.get(name))
                for name, past in Past.of_all(history, then.until, known).items()
            }

        try:
            return await self._history.read(read)
        except HistoryError as error:
            return no_history(error)

    async def why(self, then: Then, name: str) -> WhyForm | ProblemForm:
        """Return why a shard was as it was."""
        try:
            past = await self._history.read(lambda history: Past.read(history, name, then.until, limit=RECENT))
        except HistoryError as error:
            return no_history(error)
        if past.is_empty and name not in self._memory.shards:
            return unknown_shard(name)
        return why_then(past)

    async def prelude(self, recovery: RecoveryForm) -> Prelude | None:
        """Return what came before a recovery that answered a problem; None if the history does not tell."""
        if recovery.code is None or not recovery.marks:
            return None
        began = int(recovery.id)
        try:
            past = await self._history.read(lambda history: Past.read(history, recovery.shard, began, limit=RECENT))
        except HistoryError:
            return None  # the page has the rest all the same
        return prelude_of(recovery, why_then(past))

    async def audit(self, then: Then, query: AuditQuery) -> list[AuditForm] | ProblemForm:
        """Return what operators had asked for by then, newest first."""
        chosen = Selection(shard=query.shard, until=then.until + 1, limit=KEPT_AUDIT)
        try:
            stored = await self._history.read(lambda history: history.audit(chosen))
        except HistoryError as error:
            return no_history(error)
        entries = _readable(entry.detail for entry in stored)
        wanted = [e for e in entries if query.actor in (None, e.actor) and query.result in (None, e.result)]
        return wanted[: query.limit]


def shard_then(why: WhyForm) -> ShardForm:
    """Return the shard as the history has it: what vtorc saw last, with what was in force at the time."""
    keyspace, _, shard = why.shard.partition("/")
    seen = why.seen or _unseen(why.shard, keyspace, shard, why.at or "")
    return structs.replace(seen, state=why.state, sentence=why.sentence, findings=why.findings, running=None)


def recovery_then(recovery: RecoveryForm | RunningForm, then: Then) -> RecoveryForm | RunningForm | ProblemForm:
    """Return a recovery as it was: with the steps that it had done, or as it ended."""
    began = int(recovery.id)
    if began > then.until:
        return ProblemForm(
            title="not begun",
            status=404,
            what=f"the recovery had not begun at {date_time(then.at)}",
            why=f"it began at {date_time(recovery.began)}",
            do="look at a later moment",
        )
    passed = (then.until - began) / 1e9
    steps = [step for step in recovery.steps if step.started + step.seconds <= passed]
    if isinstance(recovery, RunningForm):
        return structs.replace(recovery, steps=steps)
    if recovery.seconds <= passed:
        return recovery
    return RunningForm(
        id=recovery.id,
        shard=recovery.shard,
        kind=recovery.kind,
        code=recovery.code,
        tablet=recovery.tablet,
        began=recovery.began,
        actor=recovery.actor,
        reason=recovery.reason,
        steps=steps,
        sentence=f"it was in progress, and ended later: {recovery.outcome}",
    )


def _then(until: int, moments: Sequence[OfferedMoment], kept: Sequence[tuple[str, str]]) -> Then:
    at = rfc3339(until)
    return Then(
        until=until,
        at=at,
        moments=moments,
        earlier=next((each for each in reversed(moments) if each.at < at), None),
        later=next((each for each in moments if each.at > at), None),
        is_moment=any(each.is_shown for each in moments),
        now=f"?{urlencode(kept)}" if kept else "",
        kept=kept,
    )


def _offered(happened: Iterable[Happening], until: int, shard: str | None) -> list[OfferedMoment]:
    """Return one moment for each millisecond in which something happened; the page of `shard` need not name it."""
    shown = rfc3339(until)
    told: dict[str, list[str]] = {}
    for each in happened:
        told.setdefault(rfc3339(each.at), []).append(each.sentence.removeprefix(f"{shard}: "))
    return [
        OfferedMoment(at=at, words=f"{clock_time(at)}  {_in_short(sentences)}", is_shown=at == shown)
        for at, sentences in told.items()
    ]


def _in_short(sentences: Sequence[str]) -> str:
    first, others = sentences[0], len(sentences) - 1
    return f"{first} (and {others} more)" if others else first


def _step_ends(recovery: RecoveryForm | RunningForm) -> list[Happening]:
    return [
        Happening(
            at=int(recovery.id) + int((step.started + step.seconds) * 1e9),
            shard=recovery.shard,
            sentence=f"step: {step.name}{f' {step.tablet}' if step.tablet else ''}",
        )
        for step in recovery.steps
    ]


def _end_of_millisecond(text: str) -> int:
    """Return the end of the millisecond that a text names; without a zone, as forms of browsers have it, in UTC."""
    if datetime.datetime.fromisoformat(text).tzinfo is None:
        text = f"{text}Z"
    at = nanoseconds(text)
    if not 0 <= at < 2**62:
        raise ValueError(f"expected a time since 1970, got {text[:40]!r}")
    return at // _MILLISECOND * _MILLISECOND + _MILLISECOND - 1


def _with_winner(shard: ShardForm, past: Past, winner: tuple[int, str] | None) -> ShardForm:
    """Return a shard with the primary that it got after vtorc had seen it last."""
    if winner is None or (past.seen is not None and rfc3339(winner[0]) <= past.seen.as_of):
        return shard
    return structs.replace(shard, primary=winner[1])


def _unseen(name: str, keyspace: str, shard: str, at: str) -> ShardForm:
    """Return a shard of which nothing was kept but decisions."""
    return ShardForm(
        name=name,
        keyspace=keyspace,
        shard=shard,
        revision=0,
        as_of=at,
        state="unknown",
        sentence="",
        takes_writes=None,
        controlled=True,
        keyspace_is_snapshot=False,
        keyspace_forbids_emergency_reparent=False,
        forbids_emergency_reparent=False,
        durability=None,
        primary=None,
        recorded_primary=None,
        term_start=None,
        acks=None,
        largest_lag_seconds=None,
        unreadable_cells={},
        unreadable_tablets={},
        running=None,
        findings=[],
        tablets=[],
    )


def _readable(details: Iterable[Mapping[str, object]]) -> list[AuditForm]:
    """Return the entries that this vtorc can read; those of another version are left out."""
    found: list[AuditForm] = []
    for detail in details:
        try:
            found.append(msgspec.convert(detail, AuditForm))
        except msgspec.ValidationError:
            continue
    return found
