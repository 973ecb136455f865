"""What the answer of MySQL itself changes about a primary with a tablet manager that fails."""

from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    RUNNING,
    P,
    changed,
    client_count,
    failing,
    primary,
    replica,
    shard,
    uuid,
)
from tests.unit.core.decision.test_decisions import decided
from tests.unit.core.detection.test_analysis import R1, R2, WAITING_1, WAITING_2, found, quiet, shut_out
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import SHOWS_LIFE_FOR
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import ShardView, TabletView

GONE = DirectAnswer(outcome=DirectOutcome.REFUSED, asked_at=NOW - 1.0)
FULL = DirectAnswer(outcome=DirectOutcome.REFUSES_LOGIN, asked_at=NOW - 1.0)
SILENT = DirectAnswer(outcome=DirectOutcome.NO_GREETING, asked_at=NOW - 1.0)
LIVES = "its MySQL lives, as its replicas still receive from it; only its tablet manager fails"


def lives(*, server: str = P, ago: float = 1.0) -> DirectAnswer:
    """The answer of that tablet's server, asked so many seconds ago."""
    return DirectAnswer(
        outcome=DirectOutcome.ANSWERS, status=TabletStatus(server_uuid=uuid(server)), asked_at=NOW - ago
    )


def lost(direct: DirectAnswer | None, *replicas: TabletView, failure: ProbeFailure, for_: float = 3.0) -> ShardView:
    """A primary that fails in that way, with this answer of its MySQL."""
    gone = changed(primary(dead_for=for_, failure=failure), server_uuid=uuid(P), direct=direct)
    return shard(gone, *replicas)


WITNESSED = [
    (ProbeFailure.MYSQL_DOWN, (WAITING_1, WAITING_2)),
    (ProbeFailure.REFUSED, (shut_out(R1, since=6.0), quiet(WAITING_2, 6.0))),
]


@pytest.mark.parametrize(("failure", "replicas"), WITNESSED, ids=["its own tablet", "a replica"])
@pytest.mark.parametrize(
    ("direct", "for_", "confirmed"),
    [(None, 3.0, True), (GONE, 3.0, True), (lives(), 3.0, False), (lives(), 5.0, True)],
    ids=["not asked", "refuses", "lives", "lives, and the tablet manager fails for long"],
)
def test_no_witness_counts_while_mysql_takes_connections(
    failure: ProbeFailure, replicas: tuple[TabletView, ...], direct: DirectAnswer | None, for_: float, confirmed: bool
) -> None:
    """The word of a witness of its death is contradicted, so the failover waits for the long silence."""
    finding = found(lost(direct, *replicas, failure=failure, for_=for_))[0]
    assert (finding.code, finding.confirmed) == (Code.DEAD_PRIMARY, confirmed)


@pytest.mark.parametrize("direct", [GONE, SILENT, FULL, lives(), lives(server=R1)], ids=lambda each: each.outcome.value)
@pytest.mark.parametrize("failure", [each for each in ProbeFailure if each is not ProbeFailure.SHUT_DOWN])
@pytest.mark.parametrize(
    "replicas",
    [(), (WAITING_1, WAITING_2), (replica(R1), WAITING_2), (failing(replica(R1), ProbeFailure.TIMEOUT),)],
    ids=["alone", "cannot connect", "receives", "silent"],
)
@pytest.mark.parametrize("for_", [1.0, 3.0, 20.0])
def test_an_answer_alone_never_makes_vtorc_act(
    direct: DirectAnswer, failure: ProbeFailure, replicas: tuple[TabletView, ...], for_: float
) -> None:
    """All findings have the codes that they have without it, and none is confirmed that would not be."""
    without = found(lost(None, *replicas, failure=failure, for_=for_))
    having = found(lost(direct, *replicas, failure=failure, for_=for_))
    assert [(each.code, each.alias) for each in having] == [(each.code, each.alias) for each in without]
    assert all(before.confirmed or not after.confirmed for before, after in zip(without, having, strict=True))


@pytest.mark.parametrize(
    ("failure", "direct", "says"),
    [
        (
            ProbeFailure.REFUSED,
            lives(),
            "refuses connections (asked directly, its MySQL answers: only its tablet manager fails), but "
            "zone1-0000000101 still receives from it",
        ),
        (
            ProbeFailure.MYSQL_DOWN,
            lives(),
            "answers that its MySQL is down (asked directly, its MySQL answers: only its tablet manager cannot reach "
            "it), but zone1-0000000101 still receives from it",
        ),
        (
            ProbeFailure.HUNG,
            SILENT,
            "hangs (its tablet manager answers, its MySQL does not; asked directly, its MySQL accepts connections and "
            "sends no greeting), but zone1-0000000101 still receives from it",
        ),
    ],
)
def test_the_sentence_tells_what_is_down(failure: ProbeFailure, direct: DirectAnswer, says: str) -> None:
    """An operator reads whether vttablet, MySQL or both fail."""
    finding = found(lost(direct, replica(R1), failure=failure))[0]
    assert finding.sentence.endswith(says)
    assert finding.evidence["asked_directly"] == direct.outcome.value


def test_a_silent_replica_tells_it_as_well() -> None:
    """The sentence about a replica that does not answer has what its MySQL said."""
    gone: Any = changed(failing(replica(R1, io=RUNNING), ProbeFailure.REFUSED), direct=GONE)
    (finding,) = (each for each in found(shard(primary(), gone, replica(R2))) if each.code is Code.INVALID_REPLICA)
    assert finding.sentence == (
        "commerce/0: zone1-0000000101 refuses connections (asked directly, its MySQL refuses connections too)"
    )


def test_a_tablet_that_answers_has_no_words_of_its_mysql() -> None:
    """The answers of MySQL itself are of a time in which the tablet manager failed."""
    tablet = changed(primary(), direct=lives())
    assert tablet.failure_phrase == "answers"
    assert tablet.record.type is TabletType.PRIMARY


@pytest.mark.parametrize(
    ("direct", "rule"),
    [
        (None, Rule.ACT),
        (lives(), Rule.NO_REMEDY),
        (FULL, Rule.NO_REMEDY),
        (lives(ago=SHOWS_LIFE_FOR), Rule.NO_REMEDY),
        (lives(ago=SHOWS_LIFE_FOR + 0.1), Rule.ACT),
        (lives(server=R1), Rule.ACT),
        (GONE, Rule.ACT),
        (SILENT, Rule.ACT),
    ],
    ids=["not asked", "lives", "is full", "just so long ago", "long ago", "another server", "refuses", "hangs"],
)
def test_no_replica_is_made_to_reconnect_to_a_mysql_that_just_took_a_connection(
    direct: DirectAnswer | None, rule: Rule
) -> None:
    """The test would tell no more than vtorc knows, and takes a replica away for a while."""
    decision = decided(lost(direct, replica(R1), replica(R2), failure=ProbeFailure.TIMEOUT))[0]
    assert (decision.finding.code, decision.rule) == (Code.UNREACHABLE_PRIMARY, rule)
    if rule is Rule.NO_REMEDY:
        assert "its MySQL takes connections of vtorc" in decision.sentence


@pytest.mark.parametrize(
    ("direct", "why"),
    [
        (None, f"{LIVES}: start that, as vtgate sends it no query meanwhile"),
        (lives(), f"{LIVES}: start that, as vtgate sends it no query meanwhile"),
        (SILENT, "and what vtorc alone sees proves no death"),
        (GONE, "and what vtorc alone sees proves no death"),
    ],
    ids=["not asked", "lives", "hangs", "refuses"],
)
def test_a_primary_that_streams_is_not_said_to_live_if_its_mysql_shows_no_life(
    direct: DirectAnswer | None, why: str
) -> None:
    """The reason to do nothing does not contradict what MySQL itself told."""
    decision = decided(lost(direct, replica(R1), replica(R2), failure=ProbeFailure.REFUSED))[0]
    assert decision.rule is Rule.NO_REMEDY
    assert decision.sentence.endswith(why)


def test_a_tablet_manager_that_answers_with_an_error_is_not_to_be_started() -> None:
    """It runs, so that a start would change nothing."""
    decision = decided(lost(None, replica(R1), replica(R2), failure=ProbeFailure.ERROR))[0]
    assert decision.sentence.endswith(LIVES)
    assert "zone1-0000000101, zone2-0000000200 still receive from it" in decision.sentence


RECEIVES = replica(R2)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (RECEIVES.status, "; asked directly, the MySQL of zone2-0000000200 tells that it acknowledges"),
        (replica(R2, semi_sync=False).status, "it may be the MySQL that the tablet manager of"),
        (replica(R2, io=CONNECTING).status, "it may be the MySQL that the tablet manager of"),
        (replica(R2, of=None).status, "it may be the MySQL that the tablet manager of"),
        (replica(R1).status, "it may be the MySQL that the tablet manager of"),
        (None, "it may be the MySQL that the tablet manager of"),
    ],
    ids=["acknowledges", "does not acknowledge", "does not receive", "has no source", "another server", "no status"],
)
def test_an_acker_that_only_its_tablet_manager_cannot_reach_is_named(status: TabletStatus | None, says: str) -> None:
    """An unknown client of the primary is found if MySQL itself tells that it acknowledges."""
    direct = DirectAnswer(outcome=DirectOutcome.ANSWERS, status=status, asked_at=NOW - 1.0)
    gone = changed(failing(RECEIVES), server_uuid=uuid(R2), direct=direct)
    count = client_count(3, unknown=1, certain_since=NOW - 60.0)
    (finding,) = (
        each
        for each in found(shard(primary(), replica(R1), gone, client_count=count))
        if each.code is Code.UNKNOWN_SEMI_SYNC_CLIENTS
    )
    assert says in finding.sentence
