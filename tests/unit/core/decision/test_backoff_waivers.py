"""When a tablet that answers again, or has applied its relay log, lets a failed replacement be tried at once."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, failing, gtids, primary, replica, shard
from vtorc.core.decision.backoff import Attempt
from vtorc.core.decision.backoff_waivers import BackoffWaivers, waive_applied
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery

R1, R2 = alias("zone1-101"), alias("zone2-200")


def tried(*, succeeded: bool = False, recovery: Recovery = Recovery.RECOVER_DEAD_PRIMARY) -> Attempt:
    return Attempt(code=Code.DEAD_PRIMARY, recovery=recovery, alias=None, ended_at=0.0, succeeded=succeeded)


def test_a_tablet_that_answers_again_waives_the_pause_of_failed_replacements_only() -> None:
    """A tablet that answers again waives no pause of repairs, nor of replacements that succeeded."""
    waivers = BackoffWaivers()
    attempts = [tried(), tried(succeeded=True), tried(recovery=Recovery.FIX_REPLICA)]
    assert waivers.waive([R1], [], now=0.0) == []
    assert waivers.waive([R1], attempts, now=1.0) == attempts
    assert [attempt.waived for attempt in waivers.waive([R1, R2], attempts, now=2.0)] == [True, False, False]


def test_a_tablet_with_answers_that_come_and_go_waives_less_and_less() -> None:
    """Each waiver that a tablet brings about doubles the time to its next one; other tablets have their own."""
    waivers = BackoffWaivers()
    at = []
    for now in range(100):
        waivers.waive([], [tried()], now=now)
        if waivers.waive([R1], [tried()], now=now)[0].waived:
            at.append(now)
    assert at == [0, 2, 6, 14, 30, 62]
    assert waivers.waive([R1, R2], [tried()], now=100)[0].waived


def test_waivers_are_forgotten_once_no_replacement_has_failed() -> None:
    """The next failed replacement begins with the shortest gap."""
    waivers = BackoffWaivers()
    for now in range(9):
        waivers.waive([], [tried()], now=now)
        waivers.waive([R1], [tried()], now=now)
    waivers.waive([], [], now=9)
    assert waivers.waive([R1], [tried()], now=9)[0].waived


@pytest.mark.parametrize(
    ("executed", "waived"), [("100:1-60", True), ("100:1-61", True), ("100:1-59", False)], ids=["all", "more", "less"]
)
def test_a_relay_log_that_is_applied_by_now_waives_the_pause(executed: str, waived: bool) -> None:
    """The next attempt begins as soon as one tablet has applied what the last one waited for in vain."""
    waits_for = {R1: gtids("100:1-60"), R2: gtids("100:1-60")}
    failed = replace(tried(), waits_for=waits_for)
    view = shard(primary(), replica("zone1-101", executed=executed), replica("zone2-200", executed="100:1-50"))
    assert [each.waived for each in waive_applied(view, [failed, tried()])] == [waived, False]


def test_a_tablet_that_does_not_answer_waives_nothing_by_an_old_answer() -> None:
    """What it had applied when it last answered may be gone with its relay log."""
    failed = replace(tried(), waits_for={R1: gtids("100:1-50")})
    view = shard(primary(), failing(replica("zone1-101", executed="100:1-50")))
    assert [each.waived for each in waive_applied(view, [failed])] == [False]
