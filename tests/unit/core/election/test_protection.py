"""The writes of a primary that waited for acknowledgements, after the policy was changed to one that asks for none."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import NOW, answers, failing, gtids, primary, replica, shard
from tests.unit.core.election.test_candidate_evidence import R1, R2, R3, stop
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView

NONE, SEMI_SYNC = policy("none"), policy("semi_sync")
LOST_ACKER = failing(replica(R2), ProbeFailure.TIMEOUT)


def outcome(view: ShardView) -> Choice | Refusal:
    """Elect under the policy `none` among all tablets of the view that answer."""
    return choose(candidate_set(view, NONE, stop(view)), NONE)


def test_writes_that_were_acknowledged_before_the_policy_changed_are_not_given_up() -> None:
    """An acker is missing that alone may have the last of them; the refusal says that the policy was changed."""
    refusal = outcome(shard(primary(dead_for=3), replica(R1), LOST_ACKER, replica(R3)))
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.ACKERS_UNREACHED
    assert "acknowledged by zone2-0000000200" in refusal.sentence
    assert "the policy was changed, but zone1-0000000100 waited for acknowledgements when it was" in refusal.sentence


def test_with_every_acker_reached_the_primary_is_replaced() -> None:
    """The argument names the acknowledgements that were waited for; the new primary follows the policy of today."""
    choice = outcome(shard(primary(dead_for=3), replica(R1), replica(R2)))
    assert isinstance(choice, Choice)
    assert "semi-sync, for which zone1-0000000100 was last seen to wait (the policy is none now), needs 1 ack" in (
        choice.argument.sentence
    )
    alone = outcome(shard(primary(dead_for=3), replica(R1)))
    assert isinstance(alone, Choice)  # under semi_sync it would lack an acker of its own


def test_two_acknowledgements_leave_one_acker_to_spare() -> None:
    """As many ackers may be missing as are too few to acknowledge."""
    assert isinstance(outcome(shard(primary(dead_for=3, wait_for=2), replica(R1), LOST_ACKER)), Choice)


@pytest.mark.parametrize(
    ("tablet", "protected"),
    [
        pytest.param(primary(dead_for=3, semi_sync=False), False, id="it never waited"),
        pytest.param(primary(dead_for=3, never_heard=True), True, id="never heard, but its replicas acknowledge"),
    ],
)
def test_whose_writes_are_protected(tablet: TabletView, protected: bool) -> None:
    """A primary that waited, and one that nothing is known of while its replicas have semi-sync on."""
    view = shard(tablet, replica(R1), LOST_ACKER, replica(R3))
    assert (candidate_set(view, NONE, {}).earlier_protection is not None) is protected
    assert isinstance(outcome(view), Refusal if protected else Choice)


def test_a_primary_that_was_never_heard_beside_replicas_without_semi_sync_waited_for_nobody() -> None:
    """That is how the policy `none` leaves them."""
    off = [replica(name, semi_sync=False) for name in (R1, R3)]
    lost = failing(replica(R2, semi_sync=False), ProbeFailure.TIMEOUT)
    assert isinstance(outcome(shard(primary(dead_for=3, never_heard=True), lost, *off)), Choice)


def test_once_it_is_seen_not_to_wait_only_the_writes_until_then_are_protected() -> None:
    """Semi-sync was switched off as the policy asks: later writes may be lost, those before may not."""
    working = primary()
    assert working.status is not None
    off = replace(
        working.status.semi_sync, primary_enabled=False, primary_active=False, timeout=10**18, wait_for_replica_count=1
    )
    switched = answers(working, semi_sync=off, executed=gtids("100:1-55"))
    later = failing(answers(switched, at=NOW + 5, executed=gtids("100:1-60")))
    lagging, level = replica(R1, executed="100:1-54"), replica(R1, executed="100:1-55")
    assert isinstance(outcome(shard(later, level, LOST_ACKER, replica(R3))), Choice)
    refusal = outcome(shard(later, lagging, LOST_ACKER, replica(R3)))
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.BELOW_LAST_SEEN


def test_the_present_policy_is_not_weakened() -> None:
    """A policy that asks for acknowledgements says from which tablets, whatever the primary waited for."""
    view = shard(primary(dead_for=3), replica(R1), replica(R2))
    assert candidate_set(view, SEMI_SYNC, stop(view)).earlier_protection is None
