"""The forms of `/api/v1` that are about more than one thing: lists, rows of the fleet, and why a shard is as it is."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

import msgspec
from msgspec import field

from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm
from vtorc.forms.frames import AnyFrame, DecisionFrame, Frame, StatusFrame
from vtorc.forms.hold import HoldForm
from vtorc.forms.readiness import ReadinessForm
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import AcksForm, ShardForm
from vtorc.forms.shard_states import STATE_URGENCY, ShardState

_TROUBLED = (ShardState.REPAIRING.value, ShardState.STANDING_STILL.value)
"""The states in which something is wrong."""

Item = TypeVar("Item", bound=Form | msgspec.Raw)
"""A form, or one that is JSON already."""


class ListForm(Form, Generic[Item], frozen=True, kw_only=True):
    """A list, or one page of it."""

    items: list[Item]
    """Its items, in the order that the route promises."""
    revision: int
    """The revision of all that the server knows; `/api/v1/events` goes on from there."""
    cursor: str | None
    """The value of `cursor` that asks for the next page; None on the last one, and where there are no pages."""


class StatusForm(StatusFrame, frozen=True, kw_only=True, tag=False):
    """The state of vtorc as a whole, and how well the server hears it."""

    states: dict[str, int]
    """How many shards are in each state; states without a shard have 0."""
    sentence: str
    """The state of the fleet in words."""
    holds: list[HoldForm] = field(default_factory=list)
    """The holds in force, by number."""
    control_heard_seconds: float
    """Seconds since the server heard of vtorc last; above one, all else may be out of date."""
    revision: int
    """The revision of all that the server knows."""


class ShardRowForm(Form, frozen=True, kw_only=True):
    """One shard in the list of all."""

    name: str
    """Its name, as `keyspace/shard`."""
    state: str
    """Its state in one word, as in `ShardForm`."""
    sentence: str
    """Its state in one sentence."""
    primary: str | None
    """Alias of its primary; None if it has none."""
    takes_writes: bool | None
    """Whether its primary takes writes; None if that is in doubt."""
    largest_lag_seconds: int | None
    """Most seconds that a replica is behind; None if none tells."""
    acks: AcksForm | None
    """The acknowledgements of the primary; None without a primary or a policy."""
    ready: bool | None
    """Whether its primary would be replaced if it died now; None where `ShardForm.ready` is."""
    blocked_by: list[str]
    """Why it would not be, each as a sentence; empty if it would be, or that is not known."""
    findings: list[str]
    """The codes of what is wrong, most urgent first."""
    running: RunningForm | None
    """The recovery in progress; None if there is none."""
    as_of: str
    """When vtorc knew this."""
    revision: int
    """The revision of the shard."""


class RowFrame(Frame, frozen=True, kw_only=True):
    """The part of a shard that listeners to the whole fleet are told: its row in the list of all.

    vtorc itself never sends one. A hundred listeners that got all tablets with each change took 40 MB a second.
    """

    shard: ShardRowForm
    """Its row."""


AnyEvent = AnyFrame | RowFrame
"""The kinds of data of an event of `/api/v1/events`, but for that of `reset`."""

_events = msgspec.json.Decoder(AnyEvent)


def decode_event(data: bytes) -> AnyEvent:
    """Return the data of an event; raises msgspec.ValidationError or DecodeError if it is none."""
    try:
        return _events.decode(data)
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error


class InForceForm(Form, frozen=True, kw_only=True):
    """A decision that was in force at a time."""

    since: str
    """Since when."""
    until: str | None
    """When another took its place, its problem was gone, or vtorc ended; None if it is in force still."""
    code: str | None
    """The problem; None for news about the whole fleet, and for a mistake of vtorc's own."""
    tablet: str | None
    """The tablet that has it; None where the shard or the fleet as a whole has it."""
    rule: str
    """The name of the reason for what vtorc did, or did not do."""
    sentence: str
    """The problem and that reason, in words."""


class WhyForm(Form, frozen=True, kw_only=True):
    """Why a shard is in its state, or was at a time: what is wrong, what was decided, and what was done."""

    shard: str
    """Its name, as `keyspace/shard`."""
    state: str
    """Its state in one word, as in `ShardForm`."""
    sentence: str
    """Its state in one sentence."""
    findings: list[FindingForm]
    """The problems of now, most urgent first."""
    holds: list[HoldForm] = field(default_factory=list)
    """The holds of operators on the shard or on any of its tablets, by number."""
    readiness: ReadinessForm | None
    """The answer to "what if the primary died now?"; None where `ShardForm.ready` is."""
    decisions: list[DecisionFrame]
    """The last decisions and their ends, newest first."""
    recoveries: list[RecoveryForm]
    """The last recoveries, newest first."""
    at: str | None = None
    """The time that all of this is about; None for now. Then it is from the history."""
    in_force: list[InForceForm] = field(default_factory=list)
    """The decisions about the shard and the whole fleet that were in force at that time; empty for now."""
    seen: ShardForm | None = None
    """The shard as vtorc saw it when it last decided about it before that time; None for now, and if it is not kept."""


def fleet_sentence(shards: Collection[ShardForm]) -> str:
    """Return how the shards are, the worst state first, and where something is wrong whether they take writes.

    Without the writes it read as an outage where a replica was down: vtorc stands still then, and not the shard.
    """
    states: Counter[str] = Counter(shard.state for shard in shards)
    told = [f"{states[state]:,} {state.replace('_', ' ')}" for state in STATE_URGENCY if states[state]]
    if not told:
        return "vtorc knows no shard yet"
    if len(told) > 1:
        sentence = f"{len(shards):,} shards: {', '.join(told)}"
    else:
        count, _, state = told[0].partition(" ")
        sentence = f"the shard is {state}" if count == "1" else f"all {count} shards are {state}"
    return "; ".join([sentence, *_writes(shards)])


def _writes(shards: Collection[ShardForm]) -> Iterator[str]:
    """Yield how many shards with a problem take no writes, or perhaps take none; nothing where there is no problem.

    A snapshot keyspace never has a primary.
    """
    troubled = Counter(
        shard.takes_writes for shard in shards if shard.state in _TROUBLED and not shard.keyspace_is_snapshot
    )
    for takes_writes, one, more in ((False, "takes", "take"), (None, "perhaps takes", "perhaps take")):
        if count := troubled[takes_writes]:
            subject = "it" if len(shards) == 1 else f"{count:,}"
            yield f"{subject} {one if count == 1 else more} no writes"
    if troubled.keys() == {True} and not any(shard.state == ShardState.UNKNOWN.value for shard in shards):
        yield "it takes writes" if len(shards) == 1 else "every primary takes writes"


def shard_row(shard: ShardForm) -> ShardRowForm:
    """Return the row of a shard."""
    return ShardRowForm(
        name=shard.name,
        state=shard.state,
        sentence=shard.sentence,
        primary=shard.primary,
        takes_writes=shard.takes_writes,
        largest_lag_seconds=shard.largest_lag_seconds,
        acks=shard.acks,
        ready=shard.ready.ready if shard.ready is not None else None,
        blocked_by=shard.ready.blocked_by if shard.ready is not None else [],
        findings=[finding.code for finding in shard.findings],
        running=shard.running,
        as_of=shard.as_of,
        revision=shard.revision,
    )
