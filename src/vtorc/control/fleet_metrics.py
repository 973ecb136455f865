"""Counts what happens in the fleet, under the names that Vitess' vtorc has for it.

The server process gives the names their prefix, type and help text (`server/today/metric_table.py`). It works out by
itself all that the present state of the shards shows.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise, product

from vtorc.control.metric_values import LabelledCounter, LabelledDurations
from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery, Reparent
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.forms.frames import MetricForm
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement

_SKIPPED: Mapping[Rule, str] = {
    Rule.NO_REMEDY: "NoRecoveryAction",
    Rule.RECOVERIES_DISABLED: "GlobalRecoveriesDisabled",
    Rule.EMERGENCY_REPARENT_DISABLED: "EmergencyReparentShardDisabled",
    Rule.PRIMARY_FIRST: "PrimaryRecovery",
}
"""The reasons of Vitess for no recovery, by the rule; all other rules are vtorc's own."""

_STALE = "StaleAnalysis"
_OF_SHARD = ("RecoveryType", "Keyspace", "Shard")
_RESULTS = ("failure", "success")
_KINDS = tuple(recovery.value for recovery in Recovery)
_STANDING = [(rule.value,) for rule in Rule if rule.traits.decides and rule is not Rule.ACT]
_LOSSES = [
    (code.value,) for code in Code if code.problem.recovery is not None and code.problem.recovery.replaces_primary
]


class FleetMetrics:
    """An observer of the fleet and its topology that counts, and a source of metrics."""

    def __init__(self, clock: OnTimeClock) -> None:
        self._clock = clock
        self._values: list[LabelledCounter | LabelledDurations] = []
        self._views: dict[ShardId, ShardView] = {}
        self._running: dict[ShardId, BegunRecovery] = {}
        self._changes = self._counter("AnalysisChangeWrite")
        self._probes = self._counter("DiscoveriesAttempt")
        self._failed_probes = self._counter("DiscoveriesFail")
        self._silent_probes = self._counter("DiscoveriesInstancePollSecondsExceeded")
        self._answered_probes = self._counter("InstanceReadTopology")
        self._probe_seconds = self._durations("DiscoveryInstanceTimings", ["Action"])
        self._recoveries = self._counter("RecoveriesCount", _OF_SHARD)
        self._succeeded = self._counter("SuccessfulRecoveries", _OF_SHARD)
        self._failed = self._counter("FailedRecoveries", _OF_SHARD)
        self._failed_of_shard = self._counter("ShardRecoveriesFailed", ["Keyspace", "Shard"])
        self._skipped = self._counter("SkippedRecoveries", [*_OF_SHARD, "Reason"])
        self._ended = self._counter("RecoveriesEnded", ["RecoveryType", "Result"], known=product(_KINDS, _RESULTS))
        self._refused = self._counter("RefusedDecisions", ["Rule"], known=_STANDING)
        self._own_errors = self._counter("OwnErrors")
        self._reparents = {
            Reparent.EMERGENCY: self._counter("EmergencyReparentCounts", ["Keyspace", "Shard", "Result"]),
            Reparent.PLANNED: self._counter("PlannedReparentCounts", ["Keyspace", "Shard", "Result"]),
        }
        self._reparent_seconds = self._durations("ReparentShardOperationTimings", ["Operation"])
        self._lock_seconds = self._durations("ShardLockTimings", ["Action"])
        self._lock_waits = self._durations("LockWaitSeconds")
        self._phases = self._durations("RecoveryPhaseSeconds", ["Phase"], known=[(mark.value,) for mark in OutageMark])
        self._detections = self._durations("DetectionSeconds", ["Class"], known=_LOSSES)

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        yield MetricForm(name="PendingRecoveries", labels={}, value=len(self._running))
        yield MetricForm(name="ShardLocksActive", labels={}, value=len(self._running))
        yield from chain.from_iterable(value.metrics() for value in self._values)

    # --- what is heard

    def judged(self, judgement: Judgement) -> None:
        """Count the probes that the judgement is the first to see."""
        view = judgement.view
        before = self._views.get(view.shard)
        self._views[view.shard] = view
        # By identity, as there are thousands of judgements a second, and each probe leaves another object.
        counted = {id(tablet.last_probe) for tablet in before.tablets} if before is not None else set()
        for tablet in view.tablets:
            if id(tablet.last_probe) not in counted:
                self._count_probe(tablet.last_probe)

    def decided(self, decision: Decision) -> None:
        """Count the decision, and the rule that forbids a recovery."""
        self._changes.count()
        if decision.acts:
            return
        self._refused.count(decision.rule.value)
        finding = decision.finding
        if (reason := _SKIPPED.get(decision.rule)) is not None:
            recovery = finding.problem.recovery
            self._skipped.count(recovery.value if recovery is not None else "", *_names(finding.shard), reason)

    def cleared(self, decision: Decision) -> None:
        """Count the change."""
        self._changes.count()

    def started(self, begun: BegunRecovery) -> None:
        """Count a recovery in progress, and how long it took to see that the primary is lost."""
        self._running[begun.shard] = begun
        since = self._failing_since(begun)
        if since is not None and begun.code is not None:
            self._detections.observe(max(0.0, self._clock.now() - since), begun.code.value)

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Do nothing: a recovery is counted when it has ended."""

    def finished(self, record: RecoveryRecord) -> None:
        """Count the recovery by its outcome, and how long its phases took."""
        self._running.pop(record.shard, None)
        labels = (record.recovery.value, *_names(record.shard))
        if record.outcome is Outcome.GONE:
            self._skipped.count(*labels, _STALE)
        if record.steps:
            self._lock_seconds.observe(record.steps[0].started, "Lock")
            self._lock_waits.observe(record.steps[0].started)
        if record.outcome.was_attempt:
            self._count_attempt(record, labels)

    def interrupted(self, begun: BegunRecovery) -> None:
        """Count the recovery no more as one in progress."""
        self._running.pop(begun.shard, None)

    def announced(self, announcement: Announcement) -> None:
        """Do nothing: news about the fleet has no metric."""

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """Count the mistake, and a recovery of the shard no more as one in progress: it ended with its loop."""
        self._own_errors.count()
        self._running.pop(shard, None)

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Count 0 failed recoveries: Prometheus takes the first value that it sees for the begin, not for a change."""
        if controlled:
            self._failed_of_shard.count(*_names(shard), by=0)

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Forget what was last seen of the shard; what was counted there stays."""
        self._views.pop(shard, None)
        self._running.pop(shard, None)
        self._failed_of_shard.forget(*_names(shard))

    def unread(self, failures: Sequence[str]) -> None:
        """Do nothing: the status tells what could not be read."""

    def read(self, shards: Collection[ShardId]) -> None:
        """Do nothing: shards are counted as they come and go."""

    # --- what it means

    def _count_probe(self, probe: LastProbe) -> None:
        if probe.ended_at is None:
            return
        self._probes.count()
        if probe.failure is not None:
            self._failed_probes.count()
            if probe.failure.is_silence:
                self._silent_probes.count()
            return
        self._answered_probes.count()
        if probe.status_at is not None:
            self._probe_seconds.observe(probe.ended_at - probe.status_at, "Instance")

    def _failing_since(self, begun: BegunRecovery) -> float | None:
        """Return since when the tablet fails that a recovery replaces; None if it answers, or is not replaced."""
        view = self._views.get(begun.shard)
        tablet = view.tablet(begun.alias) if view is not None and begun.recovery.replaces_primary else None
        return tablet.failing_since if tablet is not None else None

    def _count_attempt(self, record: RecoveryRecord, labels: tuple[str, str, str]) -> None:
        succeeded = record.outcome is Outcome.SUCCEEDED
        self._recoveries.count(*labels)
        (self._succeeded if succeeded else self._failed).count(*labels)
        self._ended.count(record.recovery.value, _RESULTS[succeeded])
        if record.outcome.is_failure:
            self._failed_of_shard.count(*_names(record.shard))
        if (reparent := record.recovery.traits.reparent) is not None:
            self._reparents[reparent].count(*_names(record.shard), _RESULTS[succeeded])
            self._reparent_seconds.observe(record.duration, reparent.value)
        marks = sorted(record.marks.items(), key=lambda mark: mark[1])
        for (_, begin), (phase, end) in pairwise([("", 0.0), *marks]):
            self._phases.observe(end - begin, phase)

    def _counter(
        self, name: str, labels: Sequence[str] = (), *, known: Iterable[tuple[str, ...]] = ()
    ) -> LabelledCounter:
        counter = LabelledCounter(name, labels, known=known)
        self._values.append(counter)
        return counter

    def _durations(
        self, name: str, labels: Sequence[str] = (), *, known: Iterable[tuple[str, ...]] = ()
    ) -> LabelledDurations:
        durations = LabelledDurations(name, labels, known=known)
        self._values.append(durations)
        return durations


def _names(shard: ShardId) -> tuple[str, str]:
    return shard.keyspace, shard.shard
