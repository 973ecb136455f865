"""What is counted of the fleet."""

from collections.abc import Callable, Mapping

import pytest

from tests.unit.core.builders import CONNECTING, NOW, STOPPED, answers, failing, primary, replica, shard
from tests.unit.server.today.memories import judged
from vtorc.control.fleet_metrics import FleetMetrics
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.discovery.lateness import OnTimeClock
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import begun_with
from vtorc.server.today.metric_table import METRICS, MetricKind

SHARD = ShardId("commerce", "0")
DEAD = shard(primary(dead_for=3), replica("zone1-101", io=CONNECTING), replica("zone1-102", io=CONNECTING))


class StandingClock:
    """A clock that stands a second after the views of the tests were seen."""

    def now(self) -> float:
        return NOW + 1.0

    def wall(self) -> int:
        return 0


def counting() -> FleetMetrics:
    """Return metrics that have counted nothing."""
    return FleetMetrics(OnTimeClock(StandingClock()))


def values(metrics: FleetMetrics) -> Mapping[tuple[str, ...], float]:
    """Return the values by name and labels."""
    return {(metric.name, *metric.labels.values()): metric.value for metric in metrics.metrics()}


def record(
    kind: Recovery = Recovery.RECOVER_DEAD_PRIMARY, outcome: Outcome = Outcome.SUCCEEDED, **changes: object
) -> RecoveryRecord:
    """Return the record of a recovery."""
    return RecoveryRecord(
        shard=SHARD,
        recovery=kind,
        code=None,
        alias=TabletAlias("zone1", 100),
        began=1,
        duration=1.5,
        outcome=outcome,
        sentence="",
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "expected"),
    [
        pytest.param(
            Recovery.RECOVER_DEAD_PRIMARY,
            Outcome.SUCCEEDED,
            {"RecoveriesCount", "SuccessfulRecoveries", "RecoveriesEnded success", "EmergencyReparentCounts success"},
            id="failover",
        ),
        pytest.param(
            Recovery.RECOVER_DEAD_PRIMARY,
            Outcome.REFUSED,
            {
                "RecoveriesCount",
                "FailedRecoveries",
                "RecoveriesEnded failure",
                "ShardRecoveriesFailed",
                "EmergencyReparentCounts failure",
            },
            id="failover refused",
        ),
        pytest.param(
            Recovery.ELECT_NEW_PRIMARY,
            Outcome.SUCCEEDED,
            {"RecoveriesCount", "SuccessfulRecoveries", "RecoveriesEnded success", "PlannedReparentCounts success"},
            id="first election",
        ),
        pytest.param(
            Recovery.FIX_REPLICA,
            Outcome.FAILED,
            {"RecoveriesCount", "FailedRecoveries", "RecoveriesEnded failure", "ShardRecoveriesFailed"},
            id="repair that failed",
        ),
        pytest.param(
            Recovery.FIX_REPLICA,
            Outcome.CANCELLED,
            {"RecoveriesCount", "FailedRecoveries", "RecoveriesEnded failure"},
            id="repair that an operator cancelled",
        ),
        pytest.param(Recovery.FIX_REPLICA, Outcome.GONE, {"SkippedRecoveries StaleAnalysis"}, id="problem gone"),
        pytest.param(Recovery.FIX_REPLICA, Outcome.LOCK_HELD, set(), id="lock held"),
    ],
)
def test_recoveries_are_counted_by_what_became_of_them(kind: Recovery, outcome: Outcome, expected: set[str]) -> None:
    """An attempt counts as one that succeeded or failed; one that was not made counts as skipped, or not at all."""
    metrics = counting()
    metrics.finished(record(kind, outcome))
    counted = {
        " ".join([metric.name, *(metric.labels[name] for name in ("Result", "Reason") if name in metric.labels)])
        for metric in metrics.metrics()
        if metric.labels and metric.counts is None and metric.value
    }
    assert counted == expected
    if "RecoveriesCount" in expected:
        assert values(metrics)["RecoveriesCount", kind.value, "commerce", "0"] == 1


def test_the_first_failed_recovery_of_a_shard_is_a_change() -> None:
    """The count is 0 from the begin for a shard that vtorc acts on, and is gone with its shard."""
    metrics = counting()
    metrics.found(SHARD, tablets=3, controlled=True)
    metrics.found(ShardId("other", "0"), tablets=3, controlled=False)
    key = ("ShardRecoveriesFailed", "commerce", "0")
    assert {name: value for name, value in values(metrics).items() if name[0] == key[0]} == {key: 0}
    metrics.finished(record(outcome=Outcome.REFUSED))
    metrics.found(SHARD, tablets=3, controlled=True)
    assert values(metrics)[key] == 1
    metrics.gone(SHARD)
    assert key not in values(metrics)


def test_mistakes_of_vtorcs_own_are_counted() -> None:
    """A shard that fails again and again counts each time."""
    metrics = counting()
    metrics.failed(SHARD, ValueError(), 1.0)
    metrics.failed(SHARD, ValueError(), 2.0)
    assert values(metrics)[("OwnErrors",)] == 2


def test_the_phases_of_a_reparent_are_timed_from_mark_to_mark() -> None:
    """Each phase ends with its mark and begins with the one before, whatever their order in the record."""
    metrics = counting()
    metrics.finished(record(marks={"promoted": 0.75, "stopped": 0.25, "elected": 0.5}))
    phases = {metric.labels["Phase"]: metric.value for metric in metrics.metrics() if "Phase" in metric.labels}
    assert phases == {"stopped": 0.25, "demoted": 0, "elected": 0.25, "promoted": 0.25, "acknowledged": 0}


def test_the_wait_for_the_lock_is_timed_to_the_first_step() -> None:
    """No step is done before the lock is held."""
    metrics = counting()
    metrics.finished(record(steps=(StepRecord(name="check lock", target=None, started=0.125, duration=0.5),)))
    assert values(metrics)["ShardLockTimings", "Lock"] == 0.125
    assert values(metrics)[("LockWaitSeconds",)] == 0.125


def test_a_duration_counts_in_every_bucket_that_it_fits_in() -> None:
    """The bounds belong to their buckets, and the last bucket has all."""
    metrics = counting()
    for seconds in (0.0005, 0.2, 99.0):
        metrics.finished(record(steps=(StepRecord(name="step", target=None, started=seconds, duration=0.0),)))
    found = next(metric for metric in metrics.metrics() if metric.name == "LockWaitSeconds")
    assert found.counts == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_recovery_is_pending_until_it_ends_in_whatever_way() -> None:
    """It ends with a record, by an interruption, or with the loop of its shard."""
    action = judged(DEAD).action
    assert action is not None
    begun = begun_with(action, began=1)
    metrics = counting()
    ends: list[Callable[[], None]] = [
        lambda: metrics.finished(record()),
        lambda: metrics.interrupted(begun),
        lambda: metrics.failed(SHARD, ValueError(), 1.0),
        lambda: metrics.gone(SHARD),
    ]
    for end in ends:
        metrics.started(begun)
        assert values(metrics)[("PendingRecoveries",)] == 1
        end()
        assert values(metrics)[("PendingRecoveries",)] == 0


def test_detection_is_timed_from_the_first_probe_that_failed() -> None:
    """The primary has failed for three seconds when it was judged, a second ago."""
    judgement = judged(DEAD)
    assert judgement.action is not None
    metrics = counting()
    metrics.judged(judgement)
    metrics.started(begun_with(judgement.action, began=1))
    assert values(metrics)["DetectionSeconds", "DeadPrimary"] == pytest.approx(4.0)


def test_a_repair_is_no_detection() -> None:
    """Only the loss of a primary is timed."""
    judgement = judged(shard(primary(), replica("zone1-101", io=STOPPED)))
    assert judgement.action is not None
    metrics = counting()
    metrics.judged(judgement)
    metrics.started(begun_with(judgement.action, began=1))
    assert not any(metric.value for metric in metrics.metrics() if "Class" in metric.labels)


def test_each_probe_is_counted_once() -> None:
    """A judgement that brings no new answer counts nothing, and a silent tablet counts as late."""
    metrics = counting()
    view = shard(primary(), replica("zone1-101"))
    metrics.judged(judged(view))
    metrics.judged(judged(view))
    told = values(metrics)
    assert (told[("DiscoveriesAttempt",)], told[("InstanceReadTopology",)]) == (2, 2)
    assert told["DiscoveryInstanceTimings", "Instance"] == pytest.approx(0.11)
    again = shard(answers(primary(), at=NOW + 1.0), failing(replica("zone1-101"), ProbeFailure.TIMEOUT))
    metrics.judged(judged(again))
    told = values(metrics)
    assert (told[("DiscoveriesAttempt",)], told[("DiscoveriesFail",)]) == (4, 1)
    assert told[("DiscoveriesInstancePollSecondsExceeded",)] == 1


def _decisions() -> tuple[Decision, ...]:
    others = failing(replica("zone1-101")), replica("zone1-102", io=STOPPED), replica("zone1-103")
    return judged(shard(primary(), *others)).decisions


def test_decisions_to_stand_still_are_counted_by_their_rule() -> None:
    """Those with a reason that Vitess has are counted as skipped, too."""
    metrics = counting()
    for decision in _decisions():
        metrics.decided(decision)
        metrics.cleared(decision)
    told = values(metrics)
    assert [decision.rule.value for decision in _decisions()] == ["act", "no-remedy"]
    assert told["RefusedDecisions", "no-remedy"] == 1
    assert told["SkippedRecoveries", "", "commerce", "0", "NoRecoveryAction"] == 1
    assert told[("AnalysisChangeWrite",)] == 4
    assert told["RefusedDecisions", "cooldown"] == 0
    assert ("RefusedDecisions", "act") not in told


def test_every_metric_is_in_the_catalogue_with_its_labels() -> None:
    """The server leaves out what its catalogue does not have."""
    metrics = counting()
    metrics.judged(judged(shard(answers(primary()), failing(replica("zone1-101"), ProbeFailure.TIMEOUT))))
    for decision in _decisions():
        metrics.decided(decision)
    judgement = judged(DEAD)
    metrics.judged(judgement)
    assert judgement.action is not None
    metrics.started(begun_with(judgement.action, began=1))
    step = StepRecord(name="step", target=None, started=0.1, duration=0.1)
    for outcome in Outcome:
        metrics.finished(record(outcome=outcome, marks={"stopped": 0.5}, steps=(step,)))
    metrics.finished(record(Recovery.ELECT_NEW_PRIMARY))
    metrics.failed(SHARD, ValueError(), 1.0)
    told = list(metrics.metrics())
    assert len({metric.name for metric in told}) == 23
    for metric in told:
        traits = METRICS[metric.name]
        assert sorted(metric.labels) == sorted(traits.labels), metric.name
        assert (metric.counts is not None) == (traits.kind is MetricKind.DURATIONS), metric.name
