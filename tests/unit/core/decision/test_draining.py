"""Draining of replicas with errant transactions, which operators have to ask for."""

from typing import Any

import pytest

from tests.unit.core.builders import NOW, STOPPED, alias, primary, replica, shard
from vtorc.core.decision.decisions import Decision, DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone1-102", "zone2-200"
OPTED_IN = DecisionLimits(drain_errant=True)


def errant(name: str, own: str = "101:1", **changes: Any) -> TabletView:
    """A replica that replicates and has executed a transaction of its own."""
    return replica(name, executed=f"100:1-50,{own}", **changes)


def decisions(view: ShardView, limits: DecisionLimits = OPTED_IN, policy_name: str = "semi_sync") -> list[Decision]:
    """The decisions about errant transactions."""
    chosen = policy(policy_name)
    found = decide(view, analyse(view, chosen, DetectionThresholds(), NOW), chosen, limits, NOW)
    return [each for each in found if each.finding.code is Code.ERRANT_GTID_DETECTED]


def test_an_errant_replica_is_drained_if_the_operator_opted_in() -> None:
    """Without the setting it is told and left as it is; with it the replica is drained."""
    view = shard(primary(), errant(R1), replica(R2))
    (left,) = decisions(view, DecisionLimits())
    assert (left.recovery, left.rule) == (None, Rule.NO_REMEDY)
    (drained,) = decisions(view)
    assert (drained.recovery, drained.rule) == (Recovery.DRAIN_ERRANT_TABLET, Rule.ACT)
    assert drained.sentence.endswith("; changing its type to DRAINED")


def test_errant_replicas_are_drained_one_by_one() -> None:
    """Each is judged by what is left after the one before it."""
    action = next_action(decisions(shard(primary(), errant(R1), errant(R2, "102:1"), replica(R3))))
    assert action is not None
    assert [each.finding.alias for each in action.decisions] == [alias(R1)]


@pytest.mark.parametrize(
    ("view", "policy_name", "rule"),
    [
        pytest.param(shard(primary(), errant(R1)), "semi_sync", Rule.ACKS_WOULD_DROP, id="last acker"),
        pytest.param(
            shard(primary(), errant(R1), replica(R2, semi_sync=False)),
            "semi_sync",
            Rule.ACKS_WOULD_DROP,
            id="the other does not acknowledge",
        ),
        pytest.param(
            shard(primary(), errant(R1), replica(R2, io=STOPPED)),
            "semi_sync",
            Rule.ACKS_WOULD_DROP,
            id="the other has stopped",
        ),
        pytest.param(
            shard(primary(wait_for=2), errant(R1), replica(R2)),
            "semi_sync",
            Rule.ACKS_WOULD_DROP,
            id="MySQL waits for more",
        ),
        pytest.param(
            shard(primary(semi_sync=False), errant(R1, semi_sync=False)),
            "none",
            Rule.ACKS_WOULD_DROP,
            id="last replica without acknowledgements",
        ),
        pytest.param(
            shard(primary(), errant(R1), errant(R2), replica(R3)), "semi_sync", Rule.MISSING_WRITES, id="shared"
        ),
        pytest.param(
            shard(primary(), errant(R1, type_=TabletType.DRAINED), replica(R2)),
            "semi_sync",
            Rule.NO_REMEDY,
            id="drained already",
        ),
        pytest.param(
            shard(primary(source=R2), errant(R1), replica(R2)), "semi_sync", None, id="the primary has a source"
        ),
    ],
)
def test_a_replica_that_is_needed_is_not_drained(view: ShardView, policy_name: str, rule: Rule | None) -> None:
    """Acknowledgements must not end with it, and its transactions must not be wanted."""
    told = decisions(view, policy_name=policy_name)
    assert [each.rule for each in told if each.finding.alias == alias(R1)] == ([rule] if rule is not None else [])
    assert not any(each.acts for each in told)


def test_without_acknowledgements_another_replica_is_enough() -> None:
    """A policy that asks for none needs one replica that receives."""
    view = shard(primary(semi_sync=False), errant(R1, semi_sync=False), replica(R2, semi_sync=False))
    (drained,) = decisions(view, policy_name="none")
    assert drained.acts


def test_the_primary_comes_first() -> None:
    """While the primary does not answer, or reports that its commits wait in vain, nothing is drained."""
    lost = shard(primary(dead_for=10.0), errant(R1), replica(R2))
    blocked = shard(primary(semi_sync_blocked=True), errant(R1), replica(R2), replica(R3))
    assert not any(each.acts for view in (lost, blocked) for each in decisions(view))
