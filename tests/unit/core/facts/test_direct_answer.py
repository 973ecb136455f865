"""The words for what MySQL itself answered."""

import pytest

from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import TabletStatus


@pytest.mark.parametrize(
    ("outcome", "failure", "clause"),
    [
        (DirectOutcome.ANSWERS, ProbeFailure.TIMEOUT, "its MySQL answers: only its tablet manager fails"),
        (DirectOutcome.ANSWERS, ProbeFailure.HUNG, "its MySQL answers"),
        (DirectOutcome.ANSWERS, ProbeFailure.MYSQL_DOWN, "its MySQL answers: only its tablet manager cannot reach it"),
        (DirectOutcome.REFUSES_LOGIN, ProbeFailure.REFUSED, "its MySQL lives and does not let vtorc in"),
        (DirectOutcome.GREETS, ProbeFailure.HUNG, "its MySQL sends a greeting and no answer"),
        (DirectOutcome.REFUSED, ProbeFailure.REFUSED, "its MySQL refuses connections too"),
        (DirectOutcome.REFUSED, ProbeFailure.MYSQL_DOWN, "its MySQL refuses connections"),
        (DirectOutcome.UNREACHABLE, ProbeFailure.TIMEOUT, "its MySQL cannot be reached either"),
        (DirectOutcome.UNREACHABLE, ProbeFailure.MYSQL_DOWN, "its MySQL cannot be reached"),
        (DirectOutcome.MARIADB, ProbeFailure.ERROR, "MariaDB answers, and vtorc works only with MySQL"),
    ],
)
def test_each_outcome_has_words_beside_each_failure(outcome: DirectOutcome, failure: ProbeFailure, clause: str) -> None:
    """The words say what is down, and compare it with the tablet manager where both fail alike."""
    assert DirectAnswer(outcome=outcome).clause(failure, "a") == clause


def test_another_server_at_the_address_is_told_as_such() -> None:
    """Its life says nothing about the tablet's own server; an unknown UUID contradicts nothing."""
    answer = DirectAnswer(outcome=DirectOutcome.ANSWERS, status=TabletStatus(server_uuid="b"))
    assert answer.clause(ProbeFailure.REFUSED, "a") == "another server than its MySQL answers at its address"
    assert [answer.shows_life(uuid) for uuid in ("a", "b", "")] == [False, True, True]
