"""The form of a shard: its state in one word and one sentence, its tablets, what is wrong, and what is done."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import field

from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.views import ShardView
from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm, finding_form
from vtorc.forms.hold import HoldForm, hold_form
from vtorc.forms.readiness import ReadinessForm
from vtorc.forms.recovery import RunningForm
from vtorc.forms.shard_states import ShardState, StateName
from vtorc.forms.tablet import Moment, TabletForm, tablet_form
from vtorc.forms.times import rfc3339_or_none

if TYPE_CHECKING:  # the server process, which is to start soon, needs none of what carries out recoveries
    from vtorc.recovery.runner import Judgement


class AcksForm(Form, frozen=True, kw_only=True):
    """The acknowledgements of a primary."""

    needed: int
    """How many each of its writes needs under the durability policy."""
    have: int
    """How many tablets would give one now."""


class ShardForm(Form, frozen=True, kw_only=True):
    """One shard as vtorc knows it."""

    name: str
    """Its name, as `keyspace/shard`."""
    keyspace: str
    """Its keyspace."""
    shard: str
    """Its name within the keyspace."""
    revision: int
    """Grows with each change of this form."""
    as_of: str
    """When vtorc knew this."""
    state: StateName
    """Its state in one word (`ShardState`)."""
    sentence: str
    """Its state in one sentence."""
    takes_writes: bool | None
    """Whether its primary takes writes by all that is known; None if that is in doubt."""
    controlled: bool
    """Whether vtorc acts on it; the others are only watched (`clusters_to_watch`)."""
    keyspace_is_snapshot: bool
    """Whether its keyspace is a snapshot, which vtorc leaves alone."""
    keyspace_forbids_emergency_reparent: bool
    """Whether an operator has switched emergency reparents off in the record of its keyspace."""
    forbids_emergency_reparent: bool
    """Whether an operator has done so in the record of the shard."""
    durability: str | None
    """The name of the durability policy in force; None if it is missing or unknown."""
    primary: str | None
    """Alias of its primary; None if it has none."""
    recorded_primary: str | None
    """Alias of the primary that the shard record names; None if it names none."""
    term_start: str | None
    """Since when the shard record has that primary; None if it does not tell."""
    acks: AcksForm | None
    """The acknowledgements of the primary; None without a primary or a policy."""
    largest_lag_seconds: int | None
    """Most seconds that a replica is behind; None if none tells."""
    unreadable_cells: dict[str, str]
    """Cells with a topology server that does not answer, each with the reason."""
    unreadable_tablets: dict[str, str]
    """Tablets with a record that cannot be read, each with the reason."""
    running: RunningForm | None
    """The recovery in progress; None if there is none."""
    ready: ReadinessForm | None = None
    """The answer to "what if the primary died now?". None without a primary that answers, without a policy, and until
    it is worked out, which takes up to a minute in a large fleet.
    """
    holds: list[HoldForm] = field(default_factory=list)
    """The holds of operators on the shard as a whole, by number; those on a tablet or its cell alone are with the
    tablet."""
    findings: list[FindingForm]
    """Its problems, most urgent first, each with what is done about it."""
    tablets: list[TabletForm]
    """Its tablets, ordered by alias."""

    @property
    def all_holds(self) -> list[HoldForm]:
        """The holds of operators on it, its tablets and their cells, by number; one on a cell is told once."""
        told = [*self.holds, *(hold for tablet in self.tablets for hold in tablet.holds)]
        found = {hold.number: hold for hold in told}
        return [found[number] for number in sorted(found)]


def shard_form(
    judgement: "Judgement",
    moment: Moment,
    *,
    revision: int,
    running: RunningForm | None = None,
    ready: ReadinessForm | None = None,
) -> ShardForm:
    """Return the form of a shard as it was judged at `moment`; `ready` is its readiness, which may be older."""
    view = judgement.view
    state, sentence = _state(judgement, running)
    lags = [
        replication.lag
        for tablet in view.tablets
        if tablet.current_status is not None
        and (replication := tablet.current_status.replication) is not None
        and replication.lag is not None
    ]
    named = view.shard_record.primary_alias
    return ShardForm(
        name=str(view.shard),
        keyspace=view.shard.keyspace,
        shard=view.shard.shard,
        revision=revision,
        as_of=moment.wall_of(moment.now),
        state=state.value,
        sentence=sentence,
        takes_writes=_takes_writes(judgement),
        controlled=judgement.controlled,
        keyspace_is_snapshot=view.keyspace_record.type is KeyspaceType.SNAPSHOT,
        keyspace_forbids_emergency_reparent=view.keyspace_record.emergency_reparent_disabled,
        forbids_emergency_reparent=view.shard_record.emergency_reparent_disabled,
        durability=judgement.policy.name if judgement.policy is not None else None,
        primary=str(view.primary.alias) if view.primary is not None else None,
        recorded_primary=str(named) if named is not None else None,
        term_start=rfc3339_or_none(view.shard_record.primary_term_start),
        acks=_acks(judgement),
        largest_lag_seconds=max(lags, default=None),
        unreadable_cells=dict(view.unreachable_cells),
        unreadable_tablets={str(alias): why for alias, why in sorted(view.bad_records.items())},
        running=running,
        ready=ready,
        holds=[hold_form(hold) for hold in view.holds.on(None)],
        findings=[finding_form(decision) for decision in judgement.decisions],
        tablets=[tablet_form(view, tablet, moment) for tablet in view.tablets],
    )


def lacking(shard: ShardForm, tablet: TabletForm) -> str:
    """Return the transactions that a replica lacks and that are not on their way to it.

    One that receives from the primary lacks, by the last answers, all that was committed between its own answer and
    that of the primary: hundreds under writes, and operators took them for lag.
    """
    gtid, replication = tablet.gtid, tablet.replication
    if gtid is None:
        return ""
    on_their_way = (
        tablet.reach == "answers"
        and replication is not None
        and replication.io_thread == "running"
        and replication.source_tablet == shard.primary
    )
    return "" if on_their_way else gtid.missing


def shard_state(judgement: "Judgement") -> ShardState:
    """Return the state of a shard without a recovery in progress."""
    decisions = judgement.decisions
    if decisions:
        return ShardState.REPAIRING if any(decision.acts for decision in decisions) else ShardState.STANDING_STILL
    return ShardState.HEALTHY if any(tablet.probed for tablet in judgement.view.tablets) else ShardState.UNKNOWN


def _state(judgement: "Judgement", running: RunningForm | None) -> tuple[ShardState, str]:
    view, decisions = judgement.view, judgement.decisions
    if running is not None:
        return ShardState.REPAIRING, running.sentence
    state = shard_state(judgement)
    if decisions:
        acting = (decision for decision in decisions if decision.acts)
        in_doubt = (d for d in decisions if d.finding.problem.primary is not PrimaryDoubt.CERTAIN)
        # A replica that waits for the primary stood first: "the primary comes first" told nothing of that one.
        told = next(chain(acting, in_doubt), decisions[0])
        return state, _with_others(told, decisions)
    if state is ShardState.UNKNOWN:
        count = len(view.tablets)
        asked = "its only tablet has not" if count == 1 else f"none of its {count} tablets has"
        return state, f"{view.shard}: {asked} been asked yet"
    return state, healthy_sentence(view)


def _with_others(told: Decision, decisions: Sequence[Decision]) -> str:
    others = len(decisions) - 1
    more = f" (and {others} more {'finding' if others == 1 else 'findings'})" if others else ""
    return f"{told.sentence}{more}"


def healthy_sentence(view: ShardView) -> str:
    """Return what operators are told of a shard with nothing wrong: its primary, and how many replicas it has."""
    if view.primary is None:
        return f"{view.shard}: nothing is wrong, and it has no primary"
    count = len(view.tablets) - 1
    replicas = "no replica" if not count else f"{count} {'replica' if count == 1 else 'replicas'}"
    return f"{view.shard}: {view.primary.alias} takes writes; it has {replicas}"


def _takes_writes(judgement: "Judgement") -> bool | None:
    """Return whether the primary takes writes; None while a finding puts it in doubt, or it does not answer.

    One whose commits wait in vain takes none. It is not read-only, so the pages said "takes writes" beside the finding.
    """
    primary = judgement.view.primary
    if primary is None or any(d.finding.code is Code.SHARD_TAKES_NO_WRITES for d in judgement.decisions):
        return False
    in_doubt = any(d.finding.problem.primary is not PrimaryDoubt.CERTAIN for d in judgement.decisions)
    status = primary.current_status
    if in_doubt or status is None or status.disk_stalled:
        return None
    return not status.read_only


def _acks(judgement: "Judgement") -> AcksForm | None:
    view, policy = judgement.view, judgement.policy
    if view.primary is None or policy is None:
        return None
    primary = view.primary.member
    have = sum(
        tablet.is_receiving and tablet.would_acknowledge and policy.may_ack(primary, tablet.member)
        for tablet in view.replicas_of(view.primary)
    )
    return AcksForm(needed=policy.required_acks(primary), have=have)
