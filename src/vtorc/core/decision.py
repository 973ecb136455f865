"""What to do about each finding: a recovery, or the reason to stand still. Pure: `decide(ShardView, findings, …) ->
decisions`.

Every decision carries one sentence and the name of the rule that made it, "do nothing" too (rule 12 of the design).
"""

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations

from vtorc.core.analysis import HUNG_AFTER, errant_gtids, member
from vtorc.core.candidates import ACKING_TYPES
from vtorc.core.durability import DurabilityPolicy
from vtorc.core.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.ids import TabletAlias
from vtorc.core.outside import outside_sentence, outside_source
from vtorc.core.problems import Code, Finding, Recovery
from vtorc.core.view import ProbeFailure, ShardView, TabletView
from vtorc.core.witnesses import Witnesses


class Rule(enum.Enum):
    """Names of the rules that decide; people search for them."""

    ACT = "act"
    NO_REMEDY = "no-remedy"
    NO_POLICY = "no-policy"
    UNCONFIRMED = "unconfirmed"
    RECOVERIES_DISABLED = "recoveries-disabled"
    EMERGENCY_REPARENT_DISABLED = "emergency-reparent-disabled"
    NOT_ENABLED = "not-enabled"
    PRIMARY_FIRST = "primary-first"
    COOLDOWN = "cooldown"
    BACKOFF = "backoff"
    ACKERS_FIRST = "ackers-first"
    ACKS_WOULD_DROP = "acks-would-drop"
    LAST_COPY = "last-copy"
    MISSING_WRITES = "missing-writes"
    ERRANT = "errant"
    OUTSIDE = "outside"
    BLIND = "blind"
    NOT_CONTROLLED = "not-controlled"
    BUDGET = "budget"
    BREAKER = "breaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One past recovery of this shard that was tried: what for, on whom, when it ended (seconds on the view's clock)
    and how. `held` says that the problem then stayed away for a while: if it is back, it is a new one. `may_be_load` is
    that of the finding.
    """

    code: Code
    recovery: Recovery
    alias: TabletAlias | None
    ended_at: float
    succeeded: bool
    held: bool = False
    may_be_load: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
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


FIRST_BACKOFF = 0.5
"""Seconds between the end of the first try and the second; doubled after each further one."""

LAST_BACKOFF = 30.0
"""Seconds that the pause between two tries grows to."""

ESCALATE_AFTER = 5
ESCALATE_AFTER_RELAPSES = 10
"""Repairs of one problem, each of which held for a while, after which it is a loop all the same."""
"""Tries after which a person is called."""

RESTART_EVERY = 60.0
"""Seconds between forced reconnects of replicas of one unreachable primary (Vitess' rate limit)."""

SILENT_AFTER = 5.0
"""Seconds of silence of a primary after which a second replica is made to reconnect, if the first one cannot;
`HUNG_AFTER` is for one whose tablet manager answers.
"""

RECONNECTS_WITHIN = 2.0
"""Seconds within which a replica reconnects to a source that is well, many times over."""

_PRIMARY_IN_DOUBT = frozenset(
    {
        Code.PRIMARY_DISK_STALLED,
        Code.DEAD_PRIMARY_WITHOUT_REPLICAS,
        Code.DEAD_PRIMARY,
        Code.DEAD_PRIMARY_AND_REPLICAS,
        Code.DEAD_PRIMARY_AND_SOME_REPLICAS,
        Code.PRIMARY_SEMI_SYNC_BLOCKED,
        Code.PRIMARY_HAS_PRIMARY,
        Code.CLUSTER_HAS_NO_PRIMARY,
        Code.PRIMARY_TABLET_DELETED,
        Code.UNREACHABLE_PRIMARY,
        Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS,
        Code.INVALID_PRIMARY,
    }
)

_DROPS_RELAY_LOG = frozenset(
    {
        Code.NOT_CONNECTED_TO_PRIMARY,
        Code.CONNECTED_TO_WRONG_PRIMARY,
        Code.REPLICA_MISCONFIGURED,
        Code.STALE_TOPO_PRIMARY,
        Code.PRIMARY_HAS_PRIMARY,
    }
)
"""Problems whose repair replaces the relay log, or drops it."""

_ATTACHES = frozenset({Code.NOT_CONNECTED_TO_PRIMARY, Code.CONNECTED_TO_WRONG_PRIMARY, Code.REPLICA_MISCONFIGURED})
"""Problems whose repair is SetReplicationSource and nothing else."""

_REPAIRS = frozenset({Recovery.FIX_REPLICA, Recovery.FIX_PRIMARY, Recovery.RECONCILE_STALE_TOPO_PRIMARY})
"""Recoveries that keep the primary; several findings are seen to at once."""

_MAY_BE_GONE = frozenset({ProbeFailure.TIMEOUT, ProbeFailure.HUNG, ProbeFailure.UNREACHABLE})
"""Failures of a primary behind which its MySQL may be dead, although its replicas still count as connected."""

_CHANGES_TABLET = _REPAIRS | {Recovery.RECOVER_PRIMARY_HAS_PRIMARY}
"""Recoveries that change what one tablet's MySQL does."""

_INTENT = {
    Recovery.ELECT_NEW_PRIMARY: "electing the first primary",
    Recovery.RECOVER_DEAD_PRIMARY: "replacing the primary",
    Recovery.RECOVER_PRIMARY_TABLET_DELETED: "replacing the primary",
    Recovery.RECOVER_PRIMARY_HAS_PRIMARY: "making it nobody's replica",
    Recovery.FIX_PRIMARY: "putting the primary right",
    Recovery.FIX_REPLICA: "putting the replica right",
    Recovery.RECONCILE_STALE_TOPO_PRIMARY: "making it a replica of the present primary",
    Recovery.RESTART_DIRECT_REPLICA: "making one replica reconnect to learn more",
}


def decide(
    view: ShardView, findings: Sequence[Finding], policy: DurabilityPolicy | None, limits: Limits, now: float
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
    chosen = [decision for decision in acting if decision.recovery is first] if first in _REPAIRS else acting[:1]
    return Action(first, tuple(chosen))


def repoint_would_lose(view: ShardView, tablet: TabletView) -> GtidSet:
    """What only this tablet is known to hold, and would lose if its relay log were replaced.

    Transactions under the UUID of the primary are its own: it has them although its last answer may be older than the
    replica's.
    """
    if tablet.current_status is None:
        return EMPTY_GTID_SET
    rest = tablet.current_status.received.difference(tablet.current_status.executed)
    for other in view.tablets:
        if other.alias != tablet.alias and other.current_status is not None:
            rest = rest.difference(other.current_status.executed)
    primary = view.primary
    if primary is not None and primary.current_status is not None:
        rest = rest.without_uuid(primary.current_status.server_uuid)
    return rest


class _Decider:
    def __init__(
        self, view: ShardView, findings: Sequence[Finding], policy: DurabilityPolicy | None, limits: Limits, now: float
    ) -> None:
        self.view = view
        self.policy = policy
        self.limits = limits
        self.now = now
        self.in_doubt = next((finding for finding in findings if finding.code in _PRIMARY_IN_DOUBT), None)

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
            return self._stand_still(finding, *why)
        attempts = self._attempts(finding)
        if why := self._refused_as_errant(finding, attempts):
            return self._stand_still(finding, *why, escalated=True)
        if recovery is not Recovery.RESTART_DIRECT_REPLICA and (why := self._cooling(finding, recovery, attempts)):
            return self._stand_still(finding, *why, escalated=_is_futile(attempts))
        return Decision(
            finding=finding,
            recovery=recovery,
            rule=Rule.ACT,
            sentence=f"{finding.sentence}; {_INTENT[recovery]}",
            escalated=_is_futile(attempts),
        )

    def _stand_still(self, finding: Finding, rule: Rule, why: str, *, escalated: bool = False) -> Decision:
        return Decision(
            finding=finding,
            recovery=None,
            rule=rule,
            sentence=f"{finding.sentence}; doing nothing: {why}",
            escalated=escalated,
        )

    def _switched_off(self, finding: Finding, recovery: Recovery) -> tuple[Rule, str] | None:
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

    def _too_early(self, finding: Finding, recovery: Recovery) -> tuple[Rule, str] | None:
        if not finding.confirmed:
            if finding.code is Code.PRIMARY_SEMI_SYNC_MUST_BE_SET:
                return Rule.ACKERS_FIRST, "writes would stall before enough replicas acknowledge"
            if finding.code is Code.STALE_TOPO_PRIMARY:
                return Rule.UNCONFIRMED, "it does not answer; it follows the present primary once it is back"
            return Rule.UNCONFIRMED, "the evidence is not complete yet"
        if recovery not in _REPAIRS:
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

    def _unsafe(self, finding: Finding, recovery: Recovery) -> tuple[Rule, str] | None:
        if recovery.replaces_primary and self.view.never_read:
            cells = ", ".join(sorted(self.view.never_read))
            return Rule.BLIND, f"cell {cells} was never read, and a tablet there may hold acknowledged writes"
        if recovery is Recovery.RESTART_DIRECT_REPLICA:
            return self._restart_teaches_nothing()
        tablet = self.view.tablet(finding.alias)
        if tablet is None:
            return None
        if recovery in _CHANGES_TABLET and (source := outside_source(self.view, tablet)):
            return Rule.OUTSIDE, outside_sentence(source)
        if finding.code is Code.PRIMARY_IS_READ_ONLY and (why := self._misses_writes(tablet)):
            return why
        if finding.code is Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET:
            return self._acks_would_drop(tablet)
        if finding.code in _DROPS_RELAY_LOG:
            lost = repoint_would_lose(self.view, tablet)
            if lost:
                return (
                    Rule.LAST_COPY,
                    f"re-pointing it would discard {lost.brief()} from its relay log, which no other reachable "
                    f"tablet has",
                )
        return None

    def _refused_as_errant(self, finding: Finding, attempts: Sequence[Attempt]) -> tuple[Rule, str] | None:
        """A tablet that has what the primary lacks is attached if its tablet manager lets it, as in Vitess: that of
        v22 and newer does not (`SetReplicationSource`, `rpc_replication.go`), and asking again will not change that.

        The first answer is asked for, since only that tells; an older one has no such check, and MySQL attaches.
        """
        tablet, primary = self.view.tablet(finding.alias), self.view.primary
        if finding.code not in _ATTACHES or tablet is None or primary is None or all(a.succeeded for a in attempts):
            return None
        if tablet.current_status is None or tablet.current_status.semi_sync_blocked is None:
            return None
        errant = errant_gtids(tablet, primary)
        if not errant:
            return None
        return (
            Rule.ERRANT,
            f"its tablet manager does not let it replicate, because it has {errant.brief()}, which {primary.alias} "
            f"lacks; rebuild it from a backup or from another tablet, or make {primary.alias} commit empty "
            f"transactions under these GTIDs if nothing in them is wanted; then vtorc goes on by itself",
        )

    def _restart_teaches_nothing(self) -> tuple[Rule, str] | None:
        primary = self.view.primary
        if primary is None or primary.failure not in _MAY_BE_GONE:
            return (
                Rule.NO_REMEDY,
                "its replicas still receive from it, so it takes writes; only its tablet manager is in trouble",
            )
        if primary.failure is ProbeFailure.HUNG and (why := self._load_moved()):
            return Rule.COOLDOWN, why
        last = max(
            (a.ended_at for a in self.limits.attempts if a.recovery is Recovery.RESTART_DIRECT_REPLICA), default=None
        )
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
        witnesses = Witnesses.of(self.view, primary)
        tries = len(witnesses.trying)
        return bool(witnesses.tried_in_vain(last, within=RECONNECTS_WITHIN if tries < 2 else RECONNECTS_WITHIN / 4))

    def _misses_writes(self, primary: TabletView) -> tuple[Rule, str] | None:
        """A primary is not made writable while so many others share writes that it lacks that they may be acknowledged.

        Such writes were made by another primary since: one that was promoted by a host whose clock is behind, so that
        its term looks older (simulator, seed 3507 of storm). What one replica has alone is errant and does not count,
        nor do the primary's own writes, which its last answer may be too old to name.
        """
        status = primary.current_status
        if self.policy is None or status is None or not (needed := self.policy.required_acks(member(primary))):
            return None
        extras = [
            t.current_status.received.difference(status.executed).without_uuid(status.server_uuid)
            for t in self.view.tablets
            if t.alias != primary.alias and t.current_status is not None and t.record.type in ACKING_TYPES
        ]
        for several in combinations(extras, needed + 1):
            shared = reduce(GtidSet.intersection, several)
            if shared:
                what = f"{needed + 1} other tablets have {shared.brief()}, which it lacks and which may be acknowledged"
                return Rule.MISSING_WRITES, what
        return None

    def _acks_would_drop(self, tablet: TabletView) -> tuple[Rule, str] | None:
        """Stop requiring before disabling: while the primary waits, enough proper ackers must remain without this
        one.
        """
        primary = self.view.primary
        if self.policy is None or primary is None or primary.current_status is None:
            return Rule.PRIMARY_FIRST, "the shard has no primary that answers"
        semi_sync = primary.current_status.semi_sync
        if not semi_sync.primary_enabled:
            return None
        needed = max(self.policy.required_acks(member(primary)), semi_sync.wait_for_replica_count, 1)
        others = [t for t in self.view.replicas_of(primary) if t.alias != tablet.alias and self._acknowledges(t)]
        if len(others) >= needed:
            return None
        return (
            Rule.ACKS_WOULD_DROP,
            f"{primary.alias} waits for {needed} acknowledgements and only {len(others)} other replicas give them",
        )

    def _acknowledges(self, tablet: TabletView) -> bool:
        status, primary = tablet.current_status, self.view.primary
        return (
            self.policy is not None
            and primary is not None
            and status is not None
            and status.semi_sync.replica_enabled
            and status.replication is not None
            and status.replication.is_receiving
            and self.policy.may_ack(member(primary), member(tablet))
        )

    def _attempts(self, finding: Finding) -> list[Attempt]:
        """What was tried for the same cause; a lost primary is one cause, whatever code it has at the moment.

        A replacement that succeeded did help: a tablet that became primary again since and is lost again is a new
        loss, which only the cooldown may hold back.
        """
        recovery = finding.problem.recovery
        return [
            attempt
            for attempt in self.limits.attempts
            if attempt.alias == finding.alias
            and not (attempt.recovery.replaces_primary and attempt.succeeded)
            and (attempt.code is finding.code or (attempt.recovery.replaces_primary and attempt.recovery is recovery))
        ]

    def _cooling(self, finding: Finding, recovery: Recovery, attempts: list[Attempt]) -> tuple[Rule, str] | None:
        if recovery.replaces_primary and (why := self._replaced_before(finding)):
            return Rule.COOLDOWN, why
        futile = [a for a in attempts if not a.held]
        if not futile:
            return None
        # The exponent is bounded, because a problem that is there for days is tried more often than a float can bear.
        pause = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(len(futile) - 1, 32))
        left = futile[-1].ended_at + pause - self.now
        if left <= 0:
            return None
        return (
            Rule.BACKOFF,
            f"{finding.code.value} was tried {len(futile)} times without lasting effect; the next try is in "
            f"{left:.1f} s",
        )

    def _replaced_before(self, finding: Finding) -> str:
        """Why a replacement a short time ago speaks against another one now; empty if none does."""
        ago = self._since_replacement(lambda attempt: attempt.alias == finding.alias)
        if ago is not None:
            return f"it was replaced as primary {ago:.0f} s ago, and may be again in {self._left(ago)}"
        return self._load_moved() if finding.may_be_load else ""

    def _load_moved(self) -> str:
        """Why a primary that hangs is left alone although it may be dead: an overload moves with the traffic, and after
        one move it is known that moving it does not help.
        """
        ago = self._since_replacement(lambda attempt: attempt.may_be_load)
        if ago is None:
            return ""
        return (
            f"the primary before it was in the same trouble and was replaced {ago:.0f} s ago, so it may be load, which "
            f"moves with the primary; it may be replaced at once if its MySQL ends, else in {self._left(ago)}"
        )

    def _since_replacement(self, counts: Callable[[Attempt], bool]) -> float | None:
        """Seconds since the last replacement that counts, None if that is longer ago than replacements are blocked."""
        replaced = (a for a in self.limits.attempts if a.recovery.replaces_primary and a.succeeded and counts(a))
        last = max((attempt.ended_at for attempt in replaced), default=None)
        return None if last is None or self.now - last >= self.limits.block_seconds else self.now - last

    def _left(self, ago: float) -> str:
        return f"{self.limits.block_seconds - ago:.0f} s (RecoveryPeriodBlockSeconds)"


def _is_futile(attempts: Sequence[Attempt]) -> bool:
    """Whether trying has not helped so often that a person is needed."""
    return sum(not a.held for a in attempts) >= ESCALATE_AFTER or len(attempts) >= ESCALATE_AFTER_RELAPSES
