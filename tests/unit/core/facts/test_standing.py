"""What the settings keep vtorc from."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import NOW, STOPPED, P, alias, primary, replica, shard
from vtorc.core.decision.decisions import Decision, DecisionLimits, decide
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import HoldsOnShard
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.standing import NO_STANDING_HOLDS, StandingHolds
from vtorc.core.facts.views import ShardView

SEMI_SYNC = policy("semi_sync")
LOST = shard(primary(dead_for=10.0), replica("zone1-101", io=STOPPED), replica("zone2-200", io=STOPPED))
STOPPED_REPLICAS = shard(primary(), replica("zone1-101", io=STOPPED), replica("zone2-200", io=STOPPED))


def decisions(view: ShardView, standing: StandingHolds) -> tuple[Decision, ...]:
    """Decide with what the settings keep vtorc from."""
    holds = standing.on([tablet.record for tablet in view.tablets])
    view = replace(view, holds=HoldsOnShard(view.shard, holds))
    findings = analyse(view, SEMI_SYNC, DetectionThresholds(), NOW)
    return decide(view, findings, SEMI_SYNC, DecisionLimits(), NOW)


@pytest.mark.parametrize(
    ("standing", "acts"),
    [
        pytest.param(NO_STANDING_HOLDS, ["zone1-101", "zone2-200"], id="no setting"),
        pytest.param(StandingHolds(cells_to_watch=("zone1",)), ["zone1-101"], id="cells to watch"),
        pytest.param(StandingHolds(cells_to_watch=("zone1", "zone2")), ["zone1-101", "zone2-200"], id="all cells"),
        pytest.param(StandingHolds(cells_no_recovery=("zone1",)), ["zone2-200"], id="cells without recovery"),
        pytest.param(StandingHolds(ignored_hosts=("nothing", "zone1-101$")), ["zone2-200"], id="ignored host"),
        pytest.param(StandingHolds(excluded_hosts=("zone2-200:3306",)), ["zone1-101"], id="excluded host"),
        pytest.param(StandingHolds(unpromoted_hosts=(".",)), ["zone1-101", "zone2-200"], id="not promoted"),
    ],
)
def test_replicas_that_the_settings_name_are_not_repaired(standing: StandingHolds, acts: list[str]) -> None:
    """A stopped replica is repaired unless a setting says to leave it alone, and the sentence names the setting."""
    told = [d for d in decisions(STOPPED_REPLICAS, standing) if d.finding.code is Code.REPLICATION_STOPPED]
    assert [each.finding.alias for each in told if each.acts] == [alias(name) for name in acts]
    left = [each for each in told if not each.acts]
    assert all(each.rule is Rule.HELD and "doing nothing: --" in each.sentence for each in left)


@pytest.mark.parametrize(
    ("standing", "replaced"),
    [
        pytest.param(StandingHolds(cells_to_watch=("zone1",)), True, id="its cell is watched"),
        pytest.param(StandingHolds(cells_to_watch=("zone2",)), False, id="another cell is watched"),
        pytest.param(StandingHolds(cells_no_recovery=("zone1",)), False, id="its cell is left alone"),
        pytest.param(StandingHolds(cells_no_recovery=("zone2",)), True, id="another cell is left alone"),
        pytest.param(StandingHolds(ignored_hosts=(P,)), False, id="its host is ignored"),
        pytest.param(StandingHolds(unpromoted_hosts=(P,)), True, id="its host is not promoted again"),
    ],
)
def test_a_lost_primary_that_the_settings_name_is_not_replaced(standing: StandingHolds, replaced: bool) -> None:
    """The loss of a primary is found in any case, and the setting decides whether vtorc replaces it."""
    (dead,) = [each for each in decisions(LOST, standing) if each.finding.code is Code.DEAD_PRIMARY]
    assert dead.acts is replaced
    assert dead.finding.confirmed


def test_only_the_tablets_that_are_named_are_not_promoted() -> None:
    """Filters of promotion and of discovery exclude a tablet; the cells do not."""
    standing = StandingHolds(
        cells_to_watch=("zone1",), unpromoted_hosts=("zone1-101",), excluded_hosts=("zone2-200:3306$",)
    )
    holds = HoldsOnShard(LOST.shard, standing.on([tablet.record for tablet in LOST.tablets]))
    excluded = {str(tablet.alias): holds.why_not_promoted(tablet.alias) for tablet in LOST.tablets}
    assert [bool(why) for why in excluded.values()] == [False, True, True]
    assert "--promotion-ignore-hostname-filters has 'zone1-101'" in excluded["zone1-0000000101"]
