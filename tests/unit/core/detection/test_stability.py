"""Tablets that come and go are a finding of their own."""

import pytest

from tests.unit.core.builders import NOW, alias, changed, failing, primary, replica, shard
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView

R1, R2 = "zone1-101", "zone2-200"
OFTEN = tuple(NOW - ago for ago in (9, 7, 5, 3, 1))


def found(view: ShardView) -> list[Finding]:
    """Return all that is found in a shard under semi_sync."""
    return list(analyse(view, policy("semi_sync"), DetectionThresholds(), NOW))


def test_a_tablet_that_comes_and_goes_is_a_finding_of_its_own() -> None:
    """The sentence says how often it failed, and how it is now."""
    unstable = changed(replica(R1), failed_at=OFTEN)
    (finding,) = analyse(shard(primary(), unstable, replica(R2)), policy("semi_sync"), DetectionThresholds(), NOW)
    assert (finding.code, finding.alias) == (Code.UNSTABLE_TABLET, alias(R1))
    assert "it failed 5 times within 9 s and answered in between; now it answers" in finding.sentence


def test_it_stays_while_the_tablet_answers_and_while_it_does_not() -> None:
    """The finding does not change with each probe, so that it is told once."""
    unstable = changed(replica(R1), failed_at=OFTEN)
    down = failing(unstable, ProbeFailure.TIMEOUT, for_=0.2)
    assert [f.code for f in found(shard(primary(), down, replica(R2)))] == [Code.UNSTABLE_TABLET, Code.INVALID_REPLICA]


@pytest.mark.parametrize("failed_at", [(), OFTEN[1:], tuple(moment - 60.0 for moment in OFTEN)])
def test_a_tablet_that_failed_seldom_or_long_ago_is_not_one(failed_at: tuple[float, ...]) -> None:
    """A restart or two are no reason to distrust a tablet."""
    assert found(shard(primary(), changed(replica(R1), failed_at=failed_at), replica(R2))) == []
