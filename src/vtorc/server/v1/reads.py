"""The answers of `/api/v1` that come from memory, but for the list of shards."""

from collections.abc import Collection, Mapping
from typing import Literal

from msgspec import structs

from vtorc.forms.findings import FindingForm
from vtorc.forms.fleet import ListForm, StatusForm, WhyForm, fleet_sentence
from vtorc.forms.frames import DecisionFrame, ProblemForm
from vtorc.forms.hold import HoldForm
from vtorc.forms.readiness import unready_finding
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.shard_states import STATE_WORDS
from vtorc.forms.webhook_state import WebhookForm
from vtorc.server.memory import ServerMemory
from vtorc.server.v1.endpoints import NoQuery, Query

RECENT = 50
"""How many decisions and recoveries tell why a shard is as it is."""

SILENT_AFTER = 10.0
"""Seconds without a sign of life of vtorc after which sentences say so."""

Path = Mapping[str, str]
Severity = Literal["shard", "critical", "high", "medium", "low"]


class FindingsQuery(Query, frozen=True, kw_only=True):
    """Which findings to list."""

    severity: Severity | None = None
    code: str | None = None
    keyspace: str | None = None
    shard: str | None = None


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
    states = dict.fromkeys(STATE_WORDS, 0)
    for shard in memory.shards.values():
        states[shard.state] += 1
    silence = round(max(0.0, now - heard_at), 3)
    return StatusForm(
        **structs.asdict(told),
        states=states,
        holds=_holds(memory),
        sentence=_sentence(memory.shards.values(), allowed=told.recoveries_allowed, silence=silence),
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
        holds=known.all_holds,
        readiness=known.ready,
        decisions=_decisions(memory, known.name, RECENT),
        recoveries=_recoveries(memory, known.name, RECENT),
    )


def findings(memory: ServerMemory, path: Path, query: FindingsQuery, now: float) -> ListForm[FindingForm]:
    """Return what is wrong in all shards, by name of shard, and which shards could not fail over."""
    items = [
        finding
        for known in memory.shards.values()
        for finding in (*known.findings, unready_finding(known.name, known.ready))
        if finding is not None
        and query.keyspace in (None, known.keyspace)
        and query.shard in (None, known.name)
        and query.code in (None, finding.code)
        and query.severity in (None, finding.severity)
    ]
    return ListForm(items=items, revision=memory.revision, cursor=None)


def unknown_recovery(id_: str) -> ProblemForm:
    """Return the problem that there is no recovery of that name."""
    return ProblemForm(
        title="unknown recovery",
        status=404,
        what=f"there is no recovery {id_!r}",
        why="neither the memory of the server nor the history has it",
        do="list them at /api/v1/recoveries",
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


def webhook(memory: ServerMemory, path: Path, query: NoQuery, now: float) -> WebhookForm:
    """Return how the webhook does, with the events that were given up."""
    return memory.webhook


def named_shard(memory: ServerMemory, path: Path) -> ShardForm | ProblemForm:
    """Return the shard that a path names, or the problem that there is none."""
    name = f"{path['keyspace']}/{path['shard']}"
    known = memory.shards.get(name)
    return known if known is not None else unknown_shard(name)


def unknown_shard(name: str) -> ProblemForm:
    """Return the problem that there is no shard of that name."""
    return ProblemForm(
        title="unknown shard",
        status=404,
        what=f"vtorc knows no shard {name!r}",
        why="the topology server has none of that name, another vtorc watches it, or it was not judged yet",
        do="list the shards, with `vtorc ctl shards` or at /api/v1/shards",
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


def _decisions(memory: ServerMemory, name: str, limit: int) -> list[DecisionFrame]:
    chosen = (told for told in reversed(memory.decisions) if told.finding.shard == name)
    return [told for told, _ in zip(chosen, range(limit), strict=False)]


def _recoveries(memory: ServerMemory, name: str, limit: int) -> list[RecoveryForm]:
    chosen = (ended for ended in reversed(memory.recoveries.values()) if ended.shard == name)
    return [ended for ended, _ in zip(chosen, range(limit), strict=False)]


def _sentence(shards: Collection[ShardForm], *, allowed: bool, silence: float) -> str:
    sentence = fleet_sentence(shards)
    if not allowed:
        sentence += "; recoveries are off (--allow-recovery=false, or an operator stopped them)"
    if silence > SILENT_AFTER:
        sentence += f"; vtorc was not heard for {silence:.0f} s, and all of this is as old"
    return sentence
