"""The answers of `/api/v1` that come from memory, but for the list of shards."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, structs

from vtorc.forms.findings import FindingForm
from vtorc.forms.fleet import ListForm, StatusForm, WhyForm
from vtorc.forms.frames import DecisionFrame, ProblemForm
from vtorc.forms.hold import HoldForm
from vtorc.forms.readiness import unready_finding
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm, ShardState
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.endpoints import NoQuery, Query

RECENT = 50
"""How many decisions and recoveries tell why a shard is as it is."""

SILENT_AFTER = 10.0
"""Seconds without a sign of life of vtorc after which sentences say so."""

Path = Mapping[str, str]
Limit = Annotated[int, Meta(ge=1, le=5000)]


class FindingsQuery(Query, frozen=True, kw_only=True):
    """Which findings to list."""

    severity: Literal["shard", "critical", "high", "medium", "low"] | None = None
    code: str | None = None
    keyspace: str | None = None


class DecisionsQuery(Query, frozen=True, kw_only=True):
    """Which decisions to list."""

    shard: str | None = None
    limit: Limit = 200


class RecoveriesQuery(Query, frozen=True, kw_only=True):
    """Which recoveries to list."""

    shard: str | None = None
    outcome: str | None = None
    limit: Limit = 200
    unacknowledged: bool = False
    """Only those that did not succeed and that no operator has acknowledged."""


class HoldsQuery(Query, frozen=True, kw_only=True):
    """Which holds to list."""

    scope: str | None = None
    """Those on exactly this, as `fleet` or `shard:commerce/-80`."""
    effect: str | None = None
    """Those that do this."""
    purpose: str | None = None
    """Those that were asked for in this way."""


def status(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> StatusForm | ProblemForm:
    """Return what holds for vtorc as a whole."""
    told, heard_at = memory.status, memory.heard_at
    if told is None or heard_at is None:
        return not_told_yet()
    states = {state.value: 0 for state in ShardState}
    for shard in memory.shards.values():
        states[shard.state] += 1
    silence = round(max(0.0, now - heard_at), 3)
    return StatusForm(
        **structs.asdict(told),
        states=states,
        holds=_holds(memory),
        sentence=_fleet_sentence(states, allowed=told.recoveries_allowed, silence=silence),
        control_heard_seconds=silence,
        revision=memory.revision,
    )


def shard(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> ShardForm | ProblemForm:
    """Return one shard."""
    return named_shard(memory, path)


def why(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> WhyForm | ProblemForm:
    """Return why a shard is in its state."""
    known = named_shard(memory, path)
    if isinstance(known, ProblemForm):
        return known
    return WhyForm(
        shard=known.name,
        state=known.state,
        sentence=known.sentence,
        findings=known.findings,
        holds=_holds_of(known),
        readiness=known.ready,
        decisions=_decisions(memory, known.name, RECENT),
        recoveries=_recoveries(memory, known.name, None, RECENT),
    )


def findings(memory: ServerMemory, path: Path, query: FindingsQuery, now: float) -> ListForm[FindingForm]:
    """Return what is wrong in all shards, by name of shard, and which shards could not fail over."""
    items = [
        finding
        for known in memory.shards.values()
        for finding in (*known.findings, unready_finding(known.name, known.ready))
        if finding is not None
        and query.keyspace in (None, known.keyspace)
        and query.code in (None, finding.code)
        and query.severity in (None, finding.severity)
    ]
    return ListForm(items=items, revision=memory.revision, cursor=None)


def decisions(memory: ServerMemory, path: Path, query: DecisionsQuery, now: float) -> ListForm[DecisionFrame]:
    """Return the last decisions and their ends, newest first."""
    items = _decisions(memory, query.shard, query.limit)
    return ListForm(items=items, revision=memory.revision, cursor=None)


def recoveries(memory: ServerMemory, path: Path, query: RecoveriesQuery, now: float) -> ListForm[RecoveryForm]:
    """Return the last recoveries, newest first."""
    items = _recoveries(memory, query.shard, query.outcome, query.limit, unacknowledged=query.unacknowledged)
    return ListForm(items=items, revision=memory.revision, cursor=None)


def recovery(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> RecoveryForm | ProblemForm:
    """Return one recovery that has ended."""
    known = memory.recoveries.get(path["id"])
    if known is not None:
        return known
    return ProblemForm(
        title="unknown recovery",
        status=404,
        what=f"there is no recovery {path['id']!r}",
        why="the server keeps the recoveries that ended last",
        do="list them at /api/v1/recoveries; `vtorc history` shows older ones",
    )


def running(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> ListForm[RunningForm]:
    """Return the recoveries in progress, by name of shard."""
    items = [known.running for known in memory.shards.values() if known.running is not None]
    return ListForm(items=items, revision=memory.revision, cursor=None)


def holds(memory: ServerMemory, path: Path, query: HoldsQuery, now: float) -> ListForm[HoldForm]:
    """Return the holds in force, by number."""
    items = [
        hold
        for hold in _holds(memory)
        if query.scope in (None, hold.scope)
        and query.purpose in (None, hold.purpose)
        and (query.effect is None or query.effect in hold.effects)
    ]
    return ListForm(items=items, revision=memory.revision, cursor=None)


def named_shard(memory: ServerMemory, path: Path) -> ShardForm | ProblemForm:
    """Return the shard that a path names, or the problem that there is none."""
    name = f"{path['keyspace']}/{path['shard']}"
    known = memory.shards.get(name)
    if known is not None:
        return known
    return ProblemForm(
        title="unknown shard",
        status=404,
        what=f"vtorc knows no shard {name!r}",
        why="the topology server has none of that name, or vtorc has not judged it yet",
        do="list the shards at /api/v1/shards",
    )


def not_told_yet() -> ProblemForm:
    """Return the problem that vtorc has not told everything yet, so that a part is not taken for all."""
    return ProblemForm(
        title="not told yet",
        status=503,
        what="the server does not know the shards yet",
        why="it was started a moment ago, and vtorc tells it all that it knows at the start",
        do="ask again in a second; if this lasts, read vtorc's log",
    )


def _holds(memory: ServerMemory) -> list[HoldForm]:
    return memory.holds.holds if memory.holds is not None else []


def _holds_of(shard: ShardForm) -> list[HoldForm]:
    """Return the holds on a shard or on any of its tablets, by number."""
    told = [*shard.holds, *(hold for tablet in shard.tablets for hold in tablet.holds)]
    found = {hold.number: hold for hold in told}
    return [found[number] for number in sorted(found)]


def _decisions(memory: ServerMemory, name: str | None, limit: int) -> list[DecisionFrame]:
    chosen = (told for told in reversed(memory.decisions) if name in (None, told.finding.shard))
    return [told for told, _ in zip(chosen, range(limit), strict=False)]


def _recoveries(
    memory: ServerMemory, name: str | None, outcome: str | None, limit: int, *, unacknowledged: bool = False
) -> list[RecoveryForm]:
    chosen = (
        ended
        for ended in reversed(memory.recoveries.values())
        if name in (None, ended.shard) and outcome in (None, ended.outcome)
        if not unacknowledged or ended.wants_acknowledgement
    )
    return [ended for ended, _ in zip(chosen, range(limit), strict=False)]


def _fleet_sentence(states: Mapping[str, int], *, allowed: bool, silence: float) -> str:
    count = sum(states.values())
    parts = [f"{number} {state.replace('_', ' ')}" for state, number in states.items() if number]
    shards = f"{count} {'shard' if count == 1 else 'shards'}"
    sentence = f"{shards}: {', '.join(parts)}" if parts else "the topology server has no shard that vtorc knows"
    if not allowed:
        sentence += "; recoveries are off (--allow-recovery)"
    if silence > SILENT_AFTER:
        sentence += f"; vtorc was not heard for {silence:.0f} s, and all of this is as old"
    return sentence
