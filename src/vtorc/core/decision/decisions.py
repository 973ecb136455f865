"""What to do about each finding: a recovery, or the reason to stand still. Pure: `decide(ShardView, findings, …) ->
decisions`.

Every decision carries one sentence and the name of the rule that made it, "do nothing" too (rule 12 of the design).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vtorc.core.decision.backoff import Attempt, AttemptHistory, is_futile
from vtorc.core.decision.repair_guards import (
    acks_would_drop,
    misses_writes,
    primary_may_be_hidden,
    refused_as_errant,
    repoint_would_lose,
)
from vtorc.core.detection.external_source import external_source, external_source_advice
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.replica_evidence import ReplicaEvidence, names
from vtorc.core.detection.thresholds import HUNG_AFTER
from vtorc.core.election.unseen_promotions import unknown_tablets, unseen_writer
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.views import ProbeFailure, ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLimits:
    """What vtorc may do here; switches of the operator and memory of what was tried.

    `controlled` is False for shards that are seen but not ours to act on. `block_seconds` is how long after one
    emergency reparent the same tablet is not replaced again, nor another one if both may be overloaded
    (`RecoveryPeriodBlockSeconds`). `attempts` are ordered by time.
    """

    controlled: bool = True
    allow_recovery: bool = True
    allow_emergency_reparent: bool = True
    disk_stalled_recovery: bool = False
    block_seconds: float = 0.0
    attempts: Sequence[Attempt] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done about one finding; `recovery` is None to stand still. `escalated` says that trying has not helped
    and a person is needed.
    """

    finding: Finding
    recovery: Recovery | None
    rule: Rule
    sentence: str
    escalated: bool = False

    @property
    def acts(self) -> bool:
        """Whether something is to be done."""
        return self.recovery is not None


@dataclass(frozen=True, slots=True)
class Action:
    """The next recovery to run, with all the decisions that it carries out."""

    recovery: Recovery
    decisions: tuple[Decision, ...]

    @property
    def code(self) -> Code:
        """The code that leads it, as shown in lock contents and the API."""
        return self.decisions[0].finding.code

    @property
    def alias(self) -> TabletAlias | None:
        """The tablet that leads it."""
        return self.decisions[0].finding.alias


RESTART_EVERY = 60.0
"""Seconds between forced reconnects of replicas of one unreachable primary (Vitess' rate limit)."""

SILENT_AFTER = 5.0
"""Seconds of silence of a primary after which a second replica is made to reconnect, if the first one cannot;
`HUNG_AFTER` is for one whose tablet manager answers.
"""

RECONNECTS_WITHIN = 2.0
"""Seconds within which a replica reconnects to a source that is well, many times over."""

_MAY_BE_GONE = frozenset({ProbeFailure.TIMEOUT, ProbeFailure.HUNG, ProbeFailure.UNREACHABLE})
"""Failures of a primary behind which its MySQL may be dead, although its replicas still count as connected."""


def decide(
    view: ShardView, findings: Sequence[Finding], policy: DurabilityPolicy | None, limits: DecisionLimits, now: float
) -> tuple[Decision, ...]:
    """Decide about every finding, in their order; `now` is in seconds on the clock of the view and the attempts."""
    decider = _Decider(view, findings, policy, limits, now)
    return tuple(decider.decide(finding) for finding in findings)


def next_action(decisions: Iterable[Decision]) -> Action | None:
    """The most urgent recovery, together with all other findings that the same recovery can see to at once."""
    acting = [decision for decision in decisions if decision.recovery is not None]
    if not acting:
        return None
    first = acting[0].recovery
    assert first is not None
    if not first.traits.batches:
        return Action(first, tuple(acting[:1]))
    return Action(first, tuple(_one_by_one(decision for decision in acting if decision.recovery is first)))


def _one_by_one(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Leave out what must not be done to several replicas at once: each drops the relay log of one that acknowledges,
    and all of them together may be all copies of an acknowledged write but the primary's.
    """
    begun = False
    for decision in decisions:
        drops = decision.finding.problem.one_at_a_time
        if not (drops and begun):
            yield decision
        begun = begun or drops


class _Decider:
    def __init__(
        self,
        view: ShardView,
        findings: Sequence[Finding],
        policy: DurabilityPolicy | None,
        limits: DecisionLimits,
        now: float,
    ) -> None:
        self.view = view
        self.policy = policy
        self.limits = limits
        self.memory = AttemptHistory(limits.attempts, limits.block_seconds, now)
        self.now = now
        self.in_doubt = next((f for f in findings if f.problem.primary is not PrimaryDoubt.CERTAIN), None)

    def decide(self, finding: Finding) -> Decision:
        recovery = finding.problem.recovery
        if recovery is None:
            return self._stand_still(finding, Rule.NO_REMEDY, "nothing that vtorc could do would help")
        why = (
            self._switched_off(finding, recovery)
            or self._too_early(finding, recovery)
            or self._unsafe(finding, recovery)
        )
        if why is not None:
            return self._stand_still(finding, *why, escalated=why[0].needs_operator)
        attempts = self.memory.tried(finding)
        if why := refused_as_errant(self.view, self.policy, finding, attempts):
            return self._stand_still(finding, *why, escalated=True)
        if recovery is not Recovery.RESTART_DIRECT_REPLICA and (why := self.memory.speaks_against(finding, recovery)):
            return self._stand_still(finding, *why, escalated=is_futile(attempts))
        return Decision(
            finding=finding,
            recovery=recovery,
            rule=Rule.ACT,
            sentence=f"{finding.sentence}; {recovery.traits.intent}",
            escalated=is_futile(attempts),
        )

    def _stand_still(self, finding: Finding, rule: Rule, why: str, *, escalated: bool = False) -> Decision:
        return Decision(
            finding=finding,
            recovery=None,
            rule=rule,
            sentence=f"{finding.sentence}; doing nothing: {why}",
            escalated=escalated,
        )

    def _switched_off(self, finding: Finding, recovery: Recovery) -> Why | None:
        if not self.limits.controlled:
            return Rule.NOT_CONTROLLED, "the shard is not among the clusters to watch"
        if self.policy is None:
            return Rule.NO_POLICY, "without a usable durability policy no change is safe"
        if not self.limits.allow_recovery:
            return Rule.RECOVERIES_DISABLED, "recoveries are disabled"
        if recovery.replaces_primary:
            if not self.limits.allow_emergency_reparent:
                return Rule.EMERGENCY_REPARENT_DISABLED, "emergency reparents are disabled (allow-emergency-reparent)"
            if (
                self.view.keyspace_record.emergency_reparent_disabled
                or self.view.shard_record.emergency_reparent_disabled
            ):
                return (
                    Rule.EMERGENCY_REPARENT_DISABLED,
                    "emergency reparents are disabled in the topology server for this keyspace or shard",
                )
        if finding.code is Code.PRIMARY_DISK_STALLED and not self.limits.disk_stalled_recovery:
            return Rule.NOT_ENABLED, "failing over for a stalled disk is off (enable-primary-disk-stalled-recovery)"
        return None

    def _too_early(self, finding: Finding, recovery: Recovery) -> Why | None:
        if not finding.confirmed:
            if finding.code is Code.PRIMARY_SEMI_SYNC_MUST_BE_SET:
                return Rule.ACKERS_FIRST, "writes would stall before enough replicas acknowledge"
            if finding.code is Code.STALE_TOPO_PRIMARY:
                return Rule.UNCONFIRMED, "it does not answer; it follows the present primary once it is back"
            return Rule.UNCONFIRMED, "the evidence is not complete yet"
        if not recovery.traits.batches:
            return None
        if self.in_doubt is not None and not self._may_help(recovery, self.in_doubt):
            return Rule.PRIMARY_FIRST, f"the primary comes first ({self.in_doubt.code.value})"
        primary = self.view.primary
        if primary is None or not primary.is_current:
            return Rule.PRIMARY_FIRST, "the shard has no primary that answers"
        return None

    def _may_help(self, recovery: Recovery, in_doubt: Finding) -> bool:
        """Whether to repair replicas of a primary whose commits hang: another one acknowledging may be what it lacks,
        unless it is about to be replaced.
        """
        if recovery is not Recovery.FIX_REPLICA or in_doubt.code is not Code.PRIMARY_SEMI_SYNC_BLOCKED:
            return False
        return not self.decide(in_doubt).acts

    def _unsafe(self, finding: Finding, recovery: Recovery) -> Why | None:
        if recovery.replaces_primary and (unknown := unknown_tablets(self.view.never_read_cells)):
            return Rule.UNREACHABLE_CELL, unknown
        if recovery is Recovery.ELECT_NEW_PRIMARY and (why := primary_may_be_hidden(self.view)):
            return why
        if recovery is Recovery.RESTART_DIRECT_REPLICA:
            return self._restart_teaches_nothing()
        tablet = self.view.tablet(finding.alias)
        if tablet is None:
            return None
        if recovery.traits.changes_tablet and (source := external_source(self.view, tablet)):
            return Rule.EXTERNAL_SOURCE, external_source_advice(source)
        if recovery is Recovery.FIX_PRIMARY and (why := self._must_not_write(tablet)):
            return why
        if finding.code is Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET:
            return acks_would_drop(self.view, self.policy, tablet)
        if finding.problem.replication.drops_relay_log:
            lost = repoint_would_lose(self.view, tablet)
            if lost:
                return (
                    Rule.LAST_COPY,
                    f"re-pointing it would discard {lost.brief()} from its relay log, which no other reachable "
                    f"tablet has",
                )
        return None

    def _must_not_write(self, primary: TabletView) -> Why | None:
        """Why a primary that is read-only stays so: whatever is put right about a primary makes it writable."""
        if primary.current_status is None or not primary.current_status.read_only:
            return None
        if self.view.self_declared_primaries:
            return (
                Rule.UNCONFIRMED,
                f"{names(self.view.self_declared_primaries)} is primary by its own account; its record may be late",
            )
        if gone := self.view.unreachable_self_declared:
            return Rule.UNCONFIRMED, f"{names(gone)} was primary when it last answered; its record may be late"
        if self.policy is not None and (who := unseen_writer(self.view, self.policy)):
            return Rule.UNREACHABLE_CELL, who
        return misses_writes(self.view, self.policy, primary)

    def _restart_teaches_nothing(self) -> Why | None:
        primary = self.view.primary
        if primary is None or primary.failure not in _MAY_BE_GONE:
            return (
                Rule.NO_REMEDY,
                "its replicas still receive from it, so it takes writes; only its tablet manager is in trouble",
            )
        if primary.failure is ProbeFailure.HUNG and (why := self.memory.load_moved()):
            return Rule.COOLDOWN, why
        last = self.memory.last_of(Recovery.RESTART_DIRECT_REPLICA)
        if last is None or self.now - last >= RESTART_EVERY or self._is_silent(primary, last):
            return None
        return (
            Rule.COOLDOWN,
            f"a replica was made to reconnect {self.now - last:.0f} s ago and that is done once in "
            f"{RESTART_EVERY:.0f} s, unless it cannot and nothing more arrives",
        )

    def _is_silent(self, primary: TabletView, last: float) -> bool:
        """Whether the replica that was made to reconnect at `last` cannot, and nobody gets anything any more.

        Then the others may only wait on connections to a host that is gone, for as long as `replica_net_timeout` says;
        they are asked one by one, and each that can reconnect ends it. A primary that is silent or hangs for a short
        time is left alone.
        """
        bar = HUNG_AFTER if primary.failure is ProbeFailure.HUNG else SILENT_AFTER
        if primary.failing_since is None or self.now - primary.failing_since < bar:
            return False
        evidence = ReplicaEvidence.of(self.view, primary)
        tries = len(evidence.trying)
        return bool(evidence.tried_in_vain(last, within=RECONNECTS_WITHIN if tries < 2 else RECONNECTS_WITHIN / 4))
