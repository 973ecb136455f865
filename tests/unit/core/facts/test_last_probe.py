"""What a failed probe adds to the ones before."""

from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.status import TabletStatus

ANSWERED = LastProbe.answered(TabletStatus(), started=1.0, ended=1.1)


def test_the_time_in_which_a_tablet_was_not_asked_is_no_silence() -> None:
    """What later questions wait until they can be sent shortens the silence, and leaves when the failure began."""
    first = ANSWERED.failed(ProbeFailure.TIMEOUT, "", started=5.0, ended=6.0, unasked=3.0)
    second = first.failed(ProbeFailure.TIMEOUT, "", started=10.0, ended=11.0, unasked=4.0)
    assert (first.failing_since, first.silent_since) == (5.0, 5.0)
    assert (second.failing_since, second.silent_since) == (5.0, 9.0)
    assert second.failures_in_row == 2


def test_lateness_counts_until_the_failure_of_this_kind_began() -> None:
    """How long vtorc was late is kept from the first failure of a kind, and begins anew with another kind."""
    down = ANSWERED.failed(ProbeFailure.MYSQL_DOWN, "", started=5.0, ended=6.0, late=2.0)
    still = down.failed(ProbeFailure.MYSQL_DOWN, "", started=7.0, ended=8.0, late=9.0)
    silent = still.failed(ProbeFailure.TIMEOUT, "", started=9.0, ended=10.0, late=11.0)
    assert [each.late_before_failure for each in (ANSWERED, down, still, silent)] == [0.0, 2.0, 2.0, 11.0]


def test_a_probe_that_was_sent_at_once_shortens_no_silence() -> None:
    """Nor does it say that vtorc was late; its text is told where it says more than the kind of failure."""
    failed = ANSWERED.failed(ProbeFailure.ERROR, "no such method", started=5.0, ended=6.0)
    failed = failed.failed(ProbeFailure.ERROR, "no such table", started=7.0, ended=8.0)
    assert (failed.failing_since, failed.silent_since, failed.late_before_failure) == (5.0, 5.0, 0.0)
    assert failed.failure_phrase.endswith("(no such table)")


def test_since_when_a_tablet_answers_lasts_until_it_answers_again_after_a_failure() -> None:
    """A failure alone does not end it: what the tablet told until then stays evidence."""
    again = LastProbe.answered(TabletStatus(), started=5.0, ended=5.1, before=ANSWERED)
    failed = again.failed(ProbeFailure.TIMEOUT, "", started=9.0, ended=10.0)
    back = LastProbe.answered(TabletStatus(), started=20.0, ended=20.1, before=failed)
    assert [each.answering_since for each in (ANSWERED, again, failed, back)] == [1.0, 1.0, 1.0, 20.0]
