"""When the demo calls a shard healthy."""

from dataclasses import replace

import pytest

from tests.unit.demo.shards import A, B, C, cut_off, failing, healthy, judge, primary, replica, written
from vtorc.core.facts.gtid import GtidSet
from vtorc.demo.health import has_executed, is_errant, why_unhealthy
from vtorc.recovery.runner import Judgement


def test_a_shard_without_problems_is_healthy() -> None:
    """A shard with a writable primary, and with replicas that replicate and acknowledge, is healthy."""
    assert why_unhealthy(healthy(), heard_since=98.0) == ""


@pytest.mark.parametrize(
    ("judgement", "reason"),
    [
        (None, "vtorc has not looked at the shard yet"),
        (judge(failing(primary()), cut_off(replica(B)), replica(C)), "answers that its MySQL is down"),
        (judge(primary(), replica(B), replica(C, acks=False)), "zone3-0000000103 has semi-sync off"),
        (judge(primary(acks=0), replica(B), replica(C), durability="none"), "has semi-sync on"),
        (judge(primary(at=90.0), replica(B), replica(C)), "zone1-0000000101 has not answered since"),
        (judge(primary(), replica(B), cut_off(replica(C))), "zone3-0000000103 does not replicate"),
    ],
)
def test_the_first_reason_is_named(judgement: Judgement | None, reason: str) -> None:
    """A problem, a tablet without a newer answer, or a replica that does not replicate is told in one sentence."""
    assert reason in why_unhealthy(judgement, heard_since=98.0)


def test_a_shard_without_a_primary_is_unhealthy() -> None:
    """A shard without findings is still unhealthy while no tablet takes writes."""
    calm = replace(judge(replica(B), replica(C)), decisions=())
    assert why_unhealthy(calm, heard_since=98.0) == "no tablet is primary"


def test_a_tablet_is_errant_if_vtorc_says_so() -> None:
    """Transactions that the primary lacks make their tablet errant, and no other."""
    extra = written(50).union(GtidSet.of("0000000c-0000-0000-0000-000000000000", 1))
    judgement = judge(primary(), replica(B), replica(C, executed=extra))
    assert is_errant(judgement, C)
    assert not is_errant(judgement, B)
    assert not is_errant(None, C)


def test_having_caught_up_is_read_from_what_was_executed() -> None:
    """A replica has caught up with a position once its own status has it as executed."""
    judgement = judge(primary(executed=written(60)), replica(B, executed=written(60)), replica(C))
    assert has_executed(judgement, B, written(60))
    assert not has_executed(judgement, C, written(60))
    assert not has_executed(None, C, written(60))
    assert has_executed(judgement, A, written(1))
