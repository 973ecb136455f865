"""Decides what is done about each finding: a recovery, or the reason to stand still.

Pure: `decide(ShardView, findings, …) -> decisions`. Every decision carries one sentence and the name of the rule that
made it, "do nothing" too (rule 12 of the design).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vtorc.core.decision.backoff import EVIDENCE_INCOMPLETE, Attempt, AttemptHistory, needs_operator
from vtorc.core.decision.repair_guards import (
    acks_would_drop,
    is_another_server,
    misses_writes,
    primary_may_be_hidden,
    refused_as_errant,
    repoint_would_lose,
    restart_is_futile,
    rolled_back_guard,
    was_followed_by_another,
    why_not_drained,
)
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.replica_evidence import ReplicaEvidence, declared_primaries
from vtorc.core.detection.thresholds import ENDS_WITHIN, HUNG_AFTER, SHOWS_LIFE_FOR
from vtorc.core.election.unseen_promotions import unknown_tablets, unseen_writer
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.external_source import external_source, external_source_advice
from vtorc.core.facts.holds import NO_HOLDS, Effect, Hold, Purpose
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule, Why
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionLimits:
    """The limits of vtorc in a shard: the operator's switches, and what was tried before."""

    controlled: bool = True
    """Whether the shard is one to act on (`clusters_to_watch`); the others are only watched."""
    allow_recovery: bool = True
    """Whether recoveries may begin (`--allow-recovery`)."""
    allow_emergency_reparent: bool = True
    """Whether a lost primary may be replaced (`--allow-emergency-reparent`)."""
    disk_stalled_recovery: bool = False
    """Whether a primary with a stalled disk may be (`--enable-primary-disk-stalled-recovery`)."""
    drain_errant: bool = False
    """Whether a replica with errant transactions is drained (`--change-tablets-with-errant-gtid-to-drained`)."""
    block_seconds: float = 0.0
    """Seconds after one emergency reparent in which the same tablet is not replaced again.

    Nor is another one, if both may be overloaded (`RecoveryPeriodBlockSeconds`).
    """
    attempts: Sequence[Attempt] = field(default_factory=tuple)
    """Earlier recoveries of the shard, ordered by time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One finding, and what is done about it."""

    finding: Finding
    """The problem."""
    recovery: Recovery | None
    """The recovery to run; None to stand still."""
    rule: Rule
    """The name of the reason."""
    sentence: str
    """Finding and reason in words, for operators."""
    escalated: bool = False
    """Whether an operator is needed: trying has not helped, or the problem has stood for long."""
    has_stood: bool = False
    """Whether it is escalated because the problem has stood for long without an action."""
    silenced_by: Hold | None = None
    """The hold that keeps the problem from raising an alert; None if there is none."""

    @property
    def acts(self) -> bool:
        """Whether it asks for a recovery."""
        return self.recovery is not None


@dataclass(frozen=True, slots=True)
class Action:
    """The next recovery to run."""

    recovery: Recovery
    """Its kind."""
    decisions: tuple[Decision, ...]
    """The decisions that it carries out, at least one; the first leads it."""

    @property
    def code(self) -> Code:
        """The code that leads it, as shown in lock contents and the API."""
        return self.decisions[0].finding.code

    @property
    def alias(self) -> TabletAlias | None:
        """The tablet that leads it; None where the shard has the problem."""
        return self.decisions[0].finding.alias


RESTART_EVERY = 60.0
"""Seconds between forced reconnects of replicas of one unreachable primary (Vitess' rate limit)."""

SILENT_AFTER = 5.0
"""Seconds of silence of a primary after which a second replica is made to reconnect, if the first one cannot.

`HUNG_AFTER` holds while its tablet manager answers.
"""

RECONNECTS_WITHIN = 2.0
"""Seconds within which a replica can reconnect many times over to a source that is well."""

_MAY_BE_GONE = frozenset({ProbeFailure.TIMEOUT, ProbeFailure.HUNG, ProbeFailure.UNREACHABLE, ProbeFailure.MYSQL_DOWN})
"""Failures of a primary that may come with the end of its MySQL while its replicas still count as connected."""


def decide(
    view: ShardView, findings: Sequence[Finding], policy: DurabilityPolicy | None, limits: DecisionLimits, now: float
) -> tuple[Decision, ...]:
    """Return a decision for every finding, in their order; `now` is in seconds on the clock of view and attempts."""
    if not findings:
        return ()
    decider = _Decider(view, findings, policy, limits, now)
    return tuple(decider.decide(finding) for finding in findings)


def why_not_replaced(
    view: ShardView, policy: DurabilityPolicy | None, limits: DecisionLimits, now: float
) -> Why | None:
    """Return which switch or pause would keep a primary that is dead for certain from being replaced at `now`; None if
    none would.

    It is asked while the primary lives, so that a switch that was forgotten is seen before it costs an outage.
    """
    if view.primary is None:
        return None
    dead = Finding(code=Code.DEAD_PRIMARY, shard=view.shard, alias=view.primary.alias, sentence="")
    decider = _Decider(view, (dead,), policy, limits, now)
    recovery = Recovery.RECOVER_DEAD_PRIMARY
    return decider.switched_off(dead, recovery) or decider.history.why_wait(dead, recovery)


def why_not_repaired(
    view: ShardView, findings: Sequence[Finding], policy: DurabilityPolicy | None, asked: Finding, now: float
) -> Why | None:
    """Return why vtorc would not repair the problem `asked` if a tablet had it beside `findings`; None if it would.

    An operator may ask for a repair that vtorc itself sees no need for. All guards of the repair hold then. Switches,
    holds and pauses do not count, as they keep vtorc from acting by itself.
    """
    recovery = asked.problem.recovery
    assert recovery is not None
    return _Decider(replace(view, holds=NO_HOLDS), findings, policy, DecisionLimits(), now).why_not(asked, recovery)


def next_action(decisions: Iterable[Decision]) -> Action | None:
    """Return the most urgent recovery, with all other decisions that it can carry out at once; None for none."""
    acting = [decision for decision in decisions if decision.recovery is not None]
    if not acting:
        return None
    first = acting[0].recovery
    assert first is not None
    if not first.traits.batches:
        return Action(first, tuple(acting[:1]))
    return Action(first, tuple(_one_by_one(decision for decision in acting if decision.recovery is first)))


def _one_by_one(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """Yield the decisions, but only the first of those that are carried out on one replica at a time."""
    begun = False
    for decision in decisions:
        one_at_a_time = decision.finding.problem.replication.one_at_a_time
        if not (one_at_a_time and begun):
            yield decision
        begun = begun or one_at_a_time


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
        terms = {t.alias: term for t in view.tablets if (term := t.memory.observed_term) is not None}
        seen_at_work = {alias: term.seen_at for alias, term in terms.items()}
        self.history = AttemptHistory(limits.attempts, limits.block_seconds, now, seen_at_work)
        self.now = now
        self.in_doubt = next((f for f in findings if f.problem.primary is not PrimaryDoubt.CERTAIN), None)

    def decide(self, finding: Finding) -> Decision:
        decision = self._decide(finding)
        silenced_by = self.view.holds.forbidding(Effect.NO_ALERT, finding.alias)
        return replace(decision, silenced_by=silenced_by) if silenced_by is not None else decision

    def _decide(self, finding: Finding) -> Decision:
        recovery = finding.problem.recovery
        if self.limits.drain_errant and finding.code is Code.ERRANT_GTID_DETECTED:
            recovery = Recovery.DRAIN_ERRANT_TABLET
        if recovery is None:
            return self._stand_still(finding, Rule.NO_REMEDY, "no recovery of vtorc would help")
        attempts = self.history.attempts_for(finding)
        if (why := self.why_not(finding, recovery)) is not None:
            rule, reason = why
            if rule is Rule.RECOVERIES_DISABLED:
                # An operator has such a vtorc watch beside another one, and compares what it would do.
                reason += f", which keeps vtorc from {recovery.traits.intent}"
            tried_in_vain = rule is Rule.BACKOFF and needs_operator(attempts)
            return self._stand_still(finding, rule, reason, escalated=rule.needs_operator or tried_in_vain)
        if why := refused_as_errant(self.view, self.policy, finding, attempts):
            return self._stand_still(finding, *why, escalated=True)
        if recovery is not Recovery.RESTART_DIRECT_REPLICA and (why := self.history.why_wait(finding, recovery)):
            return self._stand_still(finding, *why, escalated=needs_operator(attempts))
        return Decision(
            finding=finding,
            recovery=recovery,
            rule=Rule.ACT,
            sentence=f"{finding.sentence}; {recovery.traits.intent}",
            escalated=needs_operator(attempts),
        )

    def why_not(self, finding: Finding, recovery: Recovery) -> Why | None:
        """Return why the recovery is not begun whatever was tried before; None if it may be."""
        return (
            self.switched_off(finding, recovery)
            or self._too_early(finding, recovery)
            or self._unsafe(finding, recovery)
        )

    def _stand_still(self, finding: Finding, rule: Rule, why: str, *, escalated: bool = False) -> Decision:
        return Decision(
            finding=finding,
            recovery=None,
            rule=rule,
            sentence=f"{finding.sentence}; doing nothing: {why}",
            escalated=escalated,
        )

    def switched_off(self, finding: Finding, recovery: Recovery) -> Why | None:
        if not self.limits.controlled:
            return Rule.NOT_CONTROLLED, "the shard is not among the clusters to watch"
        if self.policy is None:
            return (
                Rule.NO_POLICY,
                "every change needs a durability policy that vtorc knows; set one with SetKeyspaceDurabilityPolicy",
            )
        if not self.limits.allow_recovery:
            return Rule.RECOVERIES_DISABLED, "recoveries are disabled (allow-recovery)"
        if why := self._held(finding, recovery):
            return why
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

    def _held(self, finding: Finding, recovery: Recovery) -> Why | None:
        effect = recovery.traits.forbidden_by
        hold = self.view.holds.forbidding(effect, finding.alias) if effect is not None else None
        if hold is None:
            return None
        return Rule.RECOVERIES_STOPPED if hold.purpose is Purpose.SWITCH else Rule.HELD, hold.sentence

    def _too_early(self, finding: Finding, recovery: Recovery) -> Why | None:
        if not finding.confirmed:
            if finding.code is Code.PRIMARY_SEMI_SYNC_MUST_BE_SET:
                return Rule.ACKERS_FIRST, "its writes would hang until enough replicas acknowledge"
            if finding.code is Code.STALE_TOPO_PRIMARY:
                return Rule.UNCONFIRMED, self._why_not_reconcile(finding)
            if self.view.self_declared_primaries:  # what was missing at the last attempt may be there by now
                return Rule.UNCONFIRMED, EVIDENCE_INCOMPLETE
            return self.history.why_unconfirmed(finding)
        if not recovery.traits.batches and recovery is not Recovery.DRAIN_ERRANT_TABLET:
            return None
        if self.in_doubt is not None and not self._may_help(recovery, self.in_doubt):
            return Rule.PRIMARY_FIRST, f"the primary comes first ({self.in_doubt.code.value})"
        primary = self.view.primary
        if primary is None or not primary.is_current:
            return Rule.PRIMARY_FIRST, "the shard has no primary that answers"
        return None

    def _why_not_reconcile(self, finding: Finding) -> str:
        records = [t.record for t in (self.view.tablet(finding.alias), self.view.primary) if t is not None]
        if len({record.primary_term_start for record in records}) < len(records):
            return "vtorc cannot tell which of the two is the former primary"
        return "it does not answer; vtorc makes it a replica once it does"

    def _may_help(self, recovery: Recovery, in_doubt: Finding) -> bool:
        """Whether repairing a replica may free the hanging commits of the primary, by one more acknowledgement.

        Not while the primary is about to be replaced.
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
            return self._why_not_reconnect()
        tablet = self.view.tablet(finding.alias)
        if tablet is None:
            return None
        if recovery.traits.changes_tablet and (source := external_source(self.view, tablet)):
            return Rule.EXTERNAL_SOURCE, external_source_advice(source)
        if recovery is Recovery.DRAIN_ERRANT_TABLET:
            return why_not_drained(self.view, self.policy, tablet)
        if recovery is Recovery.FIX_PRIMARY and (why := self._why_stay_read_only(tablet)):
            return why
        lets_replicate = finding.problem.replication.lets_replicate or recovery is Recovery.RECONCILE_STALE_TOPO_PRIMARY
        if lets_replicate and (why := rolled_back_guard(self.view, tablet)):
            return why
        if finding.code is Code.REPLICATION_BROKEN:
            return restart_is_futile(tablet, finding, self.history.attempts_for(finding), self.now)
        if finding.code is Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET:
            return acks_would_drop(self.view, self.policy, tablet)
        if finding.problem.replication.drops_relay_log:
            lost = repoint_would_lose(self.view, tablet)
            if lost:
                return (
                    Rule.LAST_COPY,
                    f"re-pointing it would drop {lost.brief()} with its relay log, and no other reachable tablet "
                    f"has them",
                )
        return None

    def _why_stay_read_only(self, primary: TabletView) -> Why | None:
        """Return why a read-only primary stays so, as each repair makes it writable; None if it may be repaired."""
        if primary.current_status is None or not primary.current_status.read_only:
            return None
        if self.view.self_declared_primaries:
            return Rule.UNCONFIRMED, declared_primaries(self.view.self_declared_primaries)
        if gone := self.view.unreachable_self_declared:
            return Rule.UNCONFIRMED, declared_primaries(gone, answer=False)
        if self.policy is not None and (writer := unseen_writer(self.view, self.policy)):
            return Rule.UNREACHABLE_CELL, writer
        return (
            was_followed_by_another(self.view, primary)
            or is_another_server(self.view, primary)
            or misses_writes(self.view, self.policy, primary)
        )

    def _why_not_reconnect(self) -> Why | None:
        primary = self.view.primary
        if primary is None or primary.failure not in _MAY_BE_GONE:
            if primary is not None and primary.direct is not None and not primary.has_shown_life(since=-math.inf):
                return Rule.NO_REMEDY, "its replicas still receive from it, and what vtorc alone sees proves no death"
            is_gone = primary is not None and primary.failure is ProbeFailure.REFUSED
            start = ": start that, as vtgate sends it no query meanwhile" if is_gone else ""
            return (
                Rule.NO_REMEDY,
                f"its MySQL lives, as its replicas still receive from it; only its tablet manager fails{start}",
            )
        if primary.has_shown_life(since=self.now - SHOWS_LIFE_FOR):
            return Rule.NO_REMEDY, "its MySQL takes connections of vtorc, and a replica could tell no more than that"
        since = primary.failing_since
        if primary.failure is ProbeFailure.MYSQL_DOWN and since is not None and self.now - since < ENDS_WITHIN:
            return Rule.UNCONFIRMED, "after a crash their connections break within moments"
        if primary.failure is ProbeFailure.HUNG and (why := self.history.why_load_may_have_moved()):
            return Rule.COOLDOWN, why
        last = self.history.last_end(Recovery.RESTART_DIRECT_REPLICA)
        if last is None or self.now - last >= RESTART_EVERY or self._cannot_reconnect(primary, last):
            return None
        return (
            Rule.COOLDOWN,
            f"a replica was made to reconnect {self.now - last:.0f} s ago, which is done once in {RESTART_EVERY:.0f} s "
            f"while it succeeds or transactions arrive",
        )

    def _cannot_reconnect(self, primary: TabletView, last: float) -> bool:
        """Whether the replica that was made to reconnect at `last` fails to, and no replica receives anything more.

        Then the others may wait on connections to a host that is gone, for as long as `replica_net_timeout` says. They
        are made to reconnect one by one, until one of them can, and at most as often as there are replicas. Before that
        limit, a replica that could at once was made to every second while two others could not. A primary that has been
        silent or hung for a short time is left as it is.
        """
        patience = HUNG_AFTER if primary.failure is ProbeFailure.HUNG else SILENT_AFTER
        if primary.silent_since is None or self.now - primary.silent_since < patience:
            return False
        evidence = ReplicaEvidence.of(self.view, primary)
        begun = primary.failing_since if primary.failing_since is not None else primary.silent_since
        if self.history.count_since(Recovery.RESTART_DIRECT_REPLICA, begun) >= len(evidence.replicas):
            return False
        tries = len(evidence.reconnecting)
        return bool(evidence.tried_in_vain(last, within=RECONNECTS_WITHIN if tries < 2 else RECONNECTS_WITHIN / 4))
