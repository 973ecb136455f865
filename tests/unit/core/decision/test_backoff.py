"""When an earlier replacement of a primary holds back the next one of the same tablet."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import CONNECTING, NOW, P, alias, changed, primary, replica, shard
from vtorc.core.decision.backoff import Attempt, AttemptHistory
from vtorc.core.decision.decisions import Decision, DecisionLimits, decide
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import TabletView

R1, R2 = "zone1-101", "zone2-200"
KNOWS = policy("semi_sync")
AT_WORK_AT = NOW - 4.0
"""When the dead primary of these tests was last seen at work."""


def replaced(ago: float, *, name: str = P, code: Code = Code.DEAD_PRIMARY, load: bool = False) -> Attempt:
    """A tablet that was replaced as primary so many seconds ago."""
    return Attempt(
        code=code,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        alias=alias(name),
        ended_at=NOW - ago,
        succeeded=True,
        may_be_load=load,
    )


def dies_again(*attempts: Attempt, lost: TabletView | None = None) -> Decision:
    """The decision about the primary, which has been dead for 3 s and was at work until 4 s ago."""
    gone = lost if lost is not None else dead()
    view = shard(gone, replica(R1, io=CONNECTING), replica(R2, io=CONNECTING))
    limits = DecisionLimits(block_seconds=30.0, attempts=attempts)
    return decide(view, analyse(view, KNOWS, DetectionThresholds(), NOW), KNOWS, limits, NOW)[0]


def dead(*, at_work_at: float = AT_WORK_AT) -> TabletView:
    gone = primary(dead_for=3.0)
    assert gone.memory.observed_term is not None
    return changed(gone, observed_term=replace(gone.memory.observed_term, seen_at=at_work_at))


def test_a_tablet_that_came_back_sound_is_replaced_at_once() -> None:
    """A tablet that was at work as primary since its replacement has died of something new."""
    assert dies_again(replaced(20.0)).rule is Rule.ACT
    assert dies_again(replaced(20.0), replaced(10.0, name=R1)).rule is Rule.ACT


@pytest.mark.parametrize(
    ("attempts", "lost"),
    [
        ((replaced(20.0),), dead(at_work_at=NOW - 20.5)),
        ((replaced(20.0),), changed(dead(), observed_term=None)),
        ((replaced(29.0), replaced(15.0)), dead()),
        ((replaced(20.0, code=Code.PRIMARY_SEMI_SYNC_BLOCKED),), dead()),
        ((replaced(20.0, code=Code.PRIMARY_DISK_STALLED),), dead()),
        ((replaced(20.0, load=True),), dead()),
    ],
    ids=[
        "it was not seen at work since",
        "it was never seen at work",
        "it has died twice before",
        "it worked badly before",
        "its disk was stalled before",
        "it was overloaded before",
    ],
)
def test_a_cause_that_may_repeat_cools_down(attempts: tuple[Attempt, ...], lost: TabletView) -> None:
    """A tablet without a sound time in between, or one that fails again and again, waits for its cooldown."""
    decision = dies_again(*attempts, lost=lost)
    assert decision.rule is Rule.COOLDOWN
    assert "it was replaced as primary" in decision.sentence


def test_a_death_of_long_ago_does_not_count() -> None:
    """Only deaths within the cooldown make a cause that repeats."""
    assert dies_again(replaced(31.0), replaced(15.0)).rule is Rule.ACT


def test_a_hang_cools_down() -> None:
    """A primary that hangs may be overloaded, which replacing it moves on."""
    hung = primary(dead_for=60.0, failure=ProbeFailure.HUNG)
    assert hung.memory.observed_term is not None
    lost = changed(hung, observed_term=replace(hung.memory.observed_term, seen_at=AT_WORK_AT))
    assert dies_again(replaced(20.0), lost=lost).rule is Rule.COOLDOWN


def test_a_recovery_that_ended_at_a_moment_counts_as_ended_since() -> None:
    """A replica that was made to reconnect as the silence began was made to in that silence."""
    ended = replace(replaced(5.0), recovery=Recovery.RESTART_DIRECT_REPLICA)
    history = AttemptHistory(attempts=(ended, replaced(5.0)), now=NOW, block_seconds=30.0)
    assert history.count_since(Recovery.RESTART_DIRECT_REPLICA, ended.ended_at) == 1
    assert history.count_since(Recovery.RESTART_DIRECT_REPLICA, ended.ended_at + 0.1) == 0


def test_a_reconnect_for_an_earlier_primary_does_not_hold_up_one_for_the_next() -> None:
    """The limit keeps one primary from losing its replicas again and again; a replacement begins it anew."""
    reconnect = Attempt(
        code=Code.UNREACHABLE_PRIMARY,
        recovery=Recovery.RESTART_DIRECT_REPLICA,
        alias=alias(P),
        ended_at=NOW - 20.0,
        succeeded=True,
    )
    for attempts, last in (
        ((), None),
        ((reconnect,), NOW - 20.0),
        ((replaced(30.0), reconnect), NOW - 20.0),
        ((reconnect, replaced(10.0)), None),
        ((reconnect, replace(replaced(10.0), succeeded=False)), NOW - 20.0),
    ):
        history = AttemptHistory(attempts, 0.0, NOW)
        assert history.last_end(Recovery.RESTART_DIRECT_REPLICA) == last
