"""Whether one tablet may become primary, and if not, why: the questions of all four ways to look for a primary.

Each way asks its own choice of the questions, in its own order, about the same description of a tablet. The first
question with an answer gives the reason.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.fitness import FIT, Fitness
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.unfitness import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidacy:
    """One tablet as a possible primary, with all that may speak against it.

    The defaults speak for the tablet, so that each way sets only the fields that its questions are about.
    """

    tablet: Member
    """The tablet's name and type."""
    policy: DurabilityPolicy
    """The policy by which it would take writes."""
    primary: TabletAlias | None = None
    """The primary that it would replace; None if it is not known."""
    is_member: bool = True
    """Whether the shard has such a tablet."""
    is_reached: bool = True
    """Whether it answers; in an election, whether it was stopped."""
    has_readable_record: bool = True
    """Whether its tablet record can be read."""
    errant: GtidSet = EMPTY_GTID_SET
    """Its errant transactions."""
    rolled_back: GtidSet = EMPTY_GTID_SET
    """Transactions that it wrote itself and has lost."""
    is_replicating: bool = True
    """Whether it replicates from `primary`, with both threads running."""
    backup_running: bool = False
    """Whether a backup is being taken of it."""
    applier_stopped: str = ""
    """Why its relay log does not get applied; empty if it does."""
    fitness: Fitness = FIT
    """The fitness of its server."""
    held: str = ""
    """The hold that forbids its promotion, as the end of a sentence about it; empty without one."""
    clock: int | None = None
    """Its wall clock in nanoseconds since the Unix epoch; None if it is not known."""
    newest_term: int = 0
    """The latest known beginning of a term, in nanoseconds since the Unix epoch; 0 if none is known."""
    same_cell_only: bool = False
    """Whether it has to be in the cell of `primary` (prevent-cross-cell-failover)."""
    at_hand: Collection[Member] = ()
    """The tablets that would become its replicas; the tablet itself may be among them."""
    unfit_ackers: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Tablets that cannot acknowledge, whatever the policy says; each with the end of a sentence why."""

    @property
    def ackers(self) -> list[Member]:
        """The tablets at hand that can acknowledge its writes, by the policy and by what their servers are fit for."""
        return [member for member in self._policy_ackers if member.alias not in self.fitness.twins]

    @property
    def twins(self) -> list[Member]:
        """The tablets at hand that could acknowledge if they had another identity than it has."""
        return [member for member in self._policy_ackers if member.alias in self.fitness.twins]

    @property
    def mute(self) -> list[Member]:
        """The tablets at hand that the policy lets acknowledge its writes, and that cannot."""
        allowed = (member for member in self.at_hand if self.policy.may_ack(self.tablet, member))
        return [member for member in allowed if member.alias in self.unfit_ackers]

    @property
    def _policy_ackers(self) -> list[Member]:
        allowed = (member for member in self.at_hand if self.policy.may_ack(self.tablet, member))
        return [member for member in allowed if member.alias not in self.unfit_ackers]

    @property
    def required_acks(self) -> int:
        """How many acknowledgements each of its writes would need, by the policy or by its MySQL."""
        required = self.policy.required_acks(self.tablet)
        return max(required, self.fitness.wait_count) if required else 0


Check = Callable[[Candidacy], str]
"""One question: returns why the tablet cannot be promoted, as the end of a sentence about it; empty if it may be."""


def is_no_member(candidacy: Candidacy) -> str:
    """Return that the shard has no such tablet; empty if it has."""
    return "" if candidacy.is_member else "is no tablet of the shard"


def was_not_reached(candidacy: Candidacy) -> str:
    """Return that it was not stopped; empty if it was."""
    return "" if candidacy.is_reached else "was not reached"


def does_not_answer(candidacy: Candidacy) -> str:
    """Return that its last probe failed; empty if it answered."""
    return "" if candidacy.is_reached else "does not answer"


def has_unreadable_record(candidacy: Candidacy) -> str:
    """Return that its record is garbage, which a promotion has to write; empty if it can be read."""
    if candidacy.has_readable_record:
        return ""
    return "has a tablet record that cannot be read, and so could not be written when it is promoted"


def has_errant_transactions(candidacy: Candidacy) -> str:
    """Return that it has errant transactions, which all other tablets would get; empty if it has none."""
    return f"has errant transactions {candidacy.errant.brief()}" if candidacy.errant else ""


def went_back_in_time(candidacy: Candidacy) -> str:
    """Return which transactions of its own it has lost, and never gets back by replication; empty if it has all."""
    if not candidacy.rolled_back:
        return ""
    return f"has lost {candidacy.rolled_back.brief()}, which it wrote itself; rebuild it"


def has_forbidden_type(candidacy: Candidacy) -> str:
    """Return that the policy promotes no tablet of its type; empty if it does."""
    if candidacy.policy.promotion_rule(candidacy.tablet) is not PromotionRule.MUST_NOT:
        return ""
    return f"is {candidacy.tablet.type.name}, which the policy never promotes"


def has_type_forbidden_by_name(candidacy: Candidacy) -> str:
    """Return the same with the policy's name, which an operator may want to change."""
    if candidacy.policy.promotion_rule(candidacy.tablet) is not PromotionRule.MUST_NOT:
        return ""
    return f"is {candidacy.tablet.type.name}, which the policy {candidacy.policy.name} never promotes"


def does_not_replicate(candidacy: Candidacy) -> str:
    """Return that it does not replicate from the primary, and so cannot catch up; empty if it does."""
    return "" if candidacy.is_replicating else f"does not replicate from {candidacy.primary}"


def is_unfit(candidacy: Candidacy) -> str:
    """Return what its server lacks to be a primary, or that this is not known; empty if it is fit."""
    if candidacy.fitness.is_hidden:
        return "has told of nothing but a stalled disk, so whether its server can be a primary is not known"
    return candidacy.fitness.why_not(Use.LEAD)


def is_backed_up(candidacy: Candidacy) -> str:
    """Return that a backup is being taken of it; empty if none is."""
    return "is being backed up" if candidacy.backup_running else ""


def does_not_apply(candidacy: Candidacy) -> str:
    """Return why its relay log is not applied; empty if it is."""
    return f"does not apply its relay log: {candidacy.applier_stopped}" if candidacy.applier_stopped else ""


def has_late_clock(candidacy: Candidacy) -> str:
    """Return that its clock is behind the start of the present term; empty if it is not, or if it is unknown.

    A tablet begins its term by its own clock (Vitess `tm_state.go`). Every tablet takes one with a term older than the
    present one for a former primary, itself too (`shard_sync.go`). So it would give up as soon as it was promoted.
    """
    clock, newest_term = candidacy.clock, candidacy.newest_term
    if clock is None or clock > newest_term:
        return ""
    return (
        f"has a clock that is {(newest_term - clock) / 1e9:.1f} s behind the start of the present term, so other "
        f"tablets would take it for a former primary; correct its clock, or wait until it has passed that time"
    )


def is_in_another_cell(candidacy: Candidacy) -> str:
    """Return that the primary would leave its cell, which the settings forbid; empty if it may."""
    if not candidacy.same_cell_only or candidacy.primary is None or candidacy.tablet.cell == candidacy.primary.cell:
        return ""
    return (
        f"is in cell {candidacy.tablet.cell}, and prevent-cross-cell-failover keeps the primary in "
        f"{candidacy.primary.cell}"
    )


def is_held(candidacy: Candidacy) -> str:
    """Return whose hold forbids its promotion; empty if none does."""
    return candidacy.held


def has_too_few_ackers(candidacy: Candidacy) -> str:
    """Return how many acknowledgements it would lack: its first commit would wait for ever; empty if none."""
    acks, needed = len(candidacy.ackers), candidacy.required_acks
    if acks >= needed:
        return ""
    by_policy = candidacy.policy.required_acks(candidacy.tablet) >= needed
    asks = (
        f"{candidacy.policy.name} requires"
        if by_policy
        else "its MySQL waits for (rpl_semi_sync_source_wait_for_replica_count; lower it, or bring tablets back)"
    )
    twins = ", ".join(str(member) for member in candidacy.twins)
    mute = "".join(f", as {each} {candidacy.unfit_ackers[each.alias]}" for each in candidacy.mute)
    return f"would get {acks} of the {needed} acknowledgements that {asks}{mute}" + (
        f", as {twins} has the same server_uuid or server_id and cannot replicate from it" if twins else ""
    )


def has_too_few_ackers_behind_it(candidacy: Candidacy) -> str:
    """Return the same for a forced promotion, where tablets that hold more do not become its replicas."""
    if not (too_few := has_too_few_ackers(candidacy)):
        return ""
    return (
        f"{too_few}, as other tablets hold transactions that it lacks or were not reached; rebuild one of them from "
        f"it, or change the policy first"
    )


EMERGENCY_CHECKS: tuple[Check, ...] = (
    has_errant_transactions,
    went_back_in_time,
    has_forbidden_type,
    is_unfit,
    has_unreadable_record,
    has_late_clock,
    is_in_another_cell,
    has_too_few_ackers,
    is_held,
)
"""An election among stopped tablets (`vtorc.core.election.choice`). A stopped applier only ranks a tablet lower there,
and so does a backup. A hold comes last, as a reason that an operator can take away at once."""

PLANNED_CHECKS: tuple[Check, ...] = (
    does_not_answer,
    went_back_in_time,
    has_forbidden_type,
    is_unfit,
    does_not_replicate,
    is_backed_up,
    has_too_few_ackers,
    is_held,
    has_late_clock,
)
"""A planned reparent (`vtorc.recovery.planned`). The clock comes last: it is read only from tablets that pass the
others."""

FORCED_CHECKS: tuple[Check, ...] = (
    is_no_member,
    has_unreadable_record,
    was_not_reached,
    has_type_forbidden_by_name,
    is_unfit,
    does_not_apply,
    has_late_clock,
    has_too_few_ackers_behind_it,
)
"""An operator's promotion of a named tablet (`vtorc.core.election.forced_promotion`): only what no acceptance can
change, and so no hold."""

SURVIVABILITY_CHECKS: tuple[Check, ...] = (
    has_forbidden_type,
    is_unfit,
    is_in_another_cell,
    has_too_few_ackers,
    is_held,
)
"""A loss that has not happened (`vtorc.core.election.survivability`): only what records, policy, settings and fitness
tell."""


def is_kept_by_hold(candidacy: Candidacy, checks: Collection[Check]) -> bool:
    """Return whether the tablet could be promoted if no operator held it."""
    return bool(candidacy.held) and not why_not_eligible(replace(candidacy, held=""), checks)


def why_not_eligible(candidacy: Candidacy, checks: Collection[Check]) -> str:
    """Return the first reason why the tablet cannot be promoted, as the end of a sentence about it; empty if it may
    be.
    """
    return next((reason for check in checks if (reason := check(candidacy))), "")
