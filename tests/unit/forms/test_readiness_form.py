"""The form of what would follow if the primary died now."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import NOW, answers, failing, primary, replica, shard
from vtorc.core.decision.decisions import DecisionLimits
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView
from vtorc.forms.frames import ShardFrame, decode_frame, encode
from vtorc.forms.readiness import LossForm, ReadinessForm, readiness_form, unready_finding
from vtorc.forms.shard import shard_form
from vtorc.forms.tablet import Moment
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds, Deadlines

R1, R2 = "zone1-101", "zone2-200"
HEALTHY = shard(primary(), replica(R1), replica(R2))
SWITCHED_OFF = DecisionLimits(allow_emergency_reparent=False)


def form(view: ShardView, *, limits: DecisionLimits | None = None, bounds: Bounds | None = None) -> ReadinessForm:
    """Return the form of a shard that was just judged."""
    judgement = Judgement(view, policy("semi_sync"), (), None, limits=limits or DecisionLimits())
    made = readiness_form(judgement, bounds or Bounds(), NOW)
    assert made is not None
    return made


def test_a_shard_that_is_ready_names_the_winner_and_the_losses_that_it_does_not_survive() -> None:
    """All that the election says is told in text."""
    made = form(HEALTHY)
    assert (made.ready, made.winner, made.others) == (True, "zone1-0000000101", ["zone2-0000000200"])
    assert (made.rule, made.blocked_by, made.removed) == (None, [], {})
    assert made.sentence.startswith("if zone1-0000000100 died now, zone1-0000000101 (or zone2-0000000200) would become")
    assert made.losses == [
        LossForm(
            what="cell zone1",
            outcome="no_primary",
            sentence="without cell zone1 no other tablet can become primary and take writes",
        )
    ]


def test_a_switch_that_is_off_blocks_a_replacement_that_the_election_would_allow() -> None:
    """The winner of the election is told all the same, for an operator that acts by hand."""
    made = form(HEALTHY, limits=SWITCHED_OFF)
    why = "emergency reparents are disabled (allow-emergency-reparent)"
    assert (made.ready, made.rule, made.blocked_by) == (False, "emergency-reparent-disabled", [why])
    assert made.sentence == (
        f"if zone1-0000000100 died now, vtorc would not replace it: {why}; but for that, zone1-0000000101 (or "
        "zone2-0000000200) would become primary"
    )
    assert made.winner == "zone1-0000000101"


def test_a_refusal_of_the_election_blocks_it() -> None:
    """Its rule and its sentence are told, after those of a switch."""
    silent = shard(primary(), failing(replica(R1), ProbeFailure.TIMEOUT), replica(R2))
    made = form(silent)
    assert (made.ready, made.rule, made.winner) == (False, "ackers-unreached", None)
    assert made.removed == {"zone1-0000000101": "was not reached"}
    assert made.blocked_by[0].startswith("writes can still be committed on zone1-0000000100")
    both = form(silent, limits=SWITCHED_OFF)
    assert both.rule == "emergency-reparent-disabled"
    assert both.blocked_by[1:] == made.blocked_by
    assert f"but for that, no tablet would become primary: {made.blocked_by[0]}" in both.sentence


def test_a_shard_that_could_not_fail_over_has_a_finding_of_its_own() -> None:
    """It gives the rule and all reasons; a shard that is ready, or of which that is not known, has none."""
    unready = form(HEALTHY, limits=SWITCHED_OFF)
    finding = unready_finding("commerce/0", unready)
    assert finding is not None
    assert (finding.code, finding.rule, finding.acts) == ("ShardNotReady", "emergency-reparent-disabled", False)
    assert finding.sentence == (
        "commerce/0: its primary would not be replaced if it died now: emergency reparents are disabled "
        "(allow-emergency-reparent)"
    )
    assert unready_finding("commerce/0", form(HEALTHY)) is None
    assert unready_finding("commerce/0", None) is None


@pytest.mark.parametrize(
    ("bounds", "ready"),
    [
        (Bounds(), True),
        (Bounds(same_cell_only=True), False),
        (Bounds(deadlines=Deadlines(catch_up=5.0)), False),
    ],
    ids=["default", "prevent-cross-cell-failover", "a wait shorter than the delay"],
)
def test_the_settings_of_recoveries_count(bounds: Bounds, ready: bool) -> None:
    """The bounds are those by which the recovery itself would go."""
    late = replica(R2, executed="100:1-40", received="100:1-50")
    assert late.status is not None
    assert late.status.replication is not None
    late = answers(late, replication=replace(late.status.replication, sql_delay=10, lag=10))
    other = replica("zone3-300", executed="100:1-40", received="100:1-50")
    assert other.status is not None
    assert other.status.replication is not None
    other = answers(other, replication=replace(other.status.replication, sql_delay=10, lag=10))
    assert form(shard(primary(), late, other), bounds=bounds).ready is ready


def test_nothing_is_told_without_a_primary_that_answers() -> None:
    """The form is missing then."""
    judgement = Judgement(shard(primary(dead_for=3), replica(R1)), policy("semi_sync"), (), None)
    assert readiness_form(judgement, Bounds(), NOW) is None


def test_readiness_is_part_of_its_shard() -> None:
    """It comes back from a frame as it was."""
    judgement = Judgement(HEALTHY, policy("semi_sync"), (), None)
    ready = readiness_form(judgement, Bounds(), NOW)
    made = shard_form(judgement, Moment(NOW, 1), revision=1, ready=ready)
    frame = decode_frame(encode(ShardFrame(shard=made)))
    assert isinstance(frame, ShardFrame)
    assert frame.shard.ready == ready
