"""The form of a shard: state, sentence and what its tablets have."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    P,
    answers,
    changed,
    failing,
    gtids,
    primary,
    replica,
    shard,
    unprobed,
    uuid,
)
from vtorc.core.decision.decisions import DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.direct_answer import DirectAnswer, DirectOutcome
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.forms.direct import DirectForm
from vtorc.forms.frames import ShardFrame, decode_frame, encode
from vtorc.forms.shard import ShardForm, lacking, shard_form
from vtorc.forms.tablet import Moment
from vtorc.recovery.runner import Judgement

R1, R2 = "zone1-101", "zone2-102"
SEMI_SYNC = policy("semi_sync")


def form(view: ShardView) -> ShardForm:
    """Return the form of a shard that was just judged."""
    findings = analyse(view, SEMI_SYNC, DetectionThresholds(), NOW)
    decisions = decide(view, findings, SEMI_SYNC, DecisionLimits(), NOW)
    judgement = Judgement(view, SEMI_SYNC, decisions, next_action(decisions))
    return shard_form(judgement, Moment(NOW, 1_700_000_000_000_000_000), revision=3)


@pytest.mark.parametrize(
    ("view", "state", "sentence", "takes_writes"),
    [
        pytest.param(
            shard(primary(), replica(R1), replica(R2)),
            "healthy",
            "commerce/0: zone1-0000000100 takes writes; it has 2 replicas",
            True,
            id="all well",
        ),
        pytest.param(
            shard(primary(dead_for=3), replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)),
            "repairing",
            "replacing the primary",
            None,
            id="a dead primary",
        ),
        pytest.param(
            shard(primary(), replica(R1), failing(replica(R2))),
            "standing_still",
            "zone2-0000000102 answers that its MySQL is down; doing nothing",
            True,
            id="a dead replica",
        ),
        pytest.param(
            shard(failing(primary(), ProbeFailure.REFUSED), replica(R1), replica(R2, of=None)),
            "standing_still",
            "commerce/0: zone1-0000000100 refuses connections, but zone1-0000000101 still receives from it",
            None,
            id="a primary for which a repair waits",
        ),
        pytest.param(
            shard(primary(wait_for=2, clients=1), replica(R1)),
            "standing_still",
            "zone1-0000000100 takes no writes, because its commits wait for 2 acknowledgements",
            False,
            id="commits that wait in vain",
        ),
        pytest.param(
            shard(unprobed(primary()), unprobed(replica(R1))),
            "unknown",
            "commerce/0: none of its 2 tablets has been asked yet",
            None,
            id="nothing heard",
        ),
    ],
)
def test_a_shard_has_a_state_in_one_word_and_in_one_sentence(
    view: ShardView, state: str, sentence: str, takes_writes: bool | None
) -> None:
    """The state says whether vtorc acts, and the sentence says why."""
    made = form(view)
    assert (made.state, made.takes_writes) == (state, takes_writes)
    assert sentence in made.sentence


def test_a_tablet_tells_what_it_lacks_and_what_it_has_yet_to_apply() -> None:
    """Transactions are compared with those that the primary had committed when it answered last."""
    late = replica(R1, executed="100:1-30", received="100:1-40")
    strange = replica(R2, executed="100:1-50,102:1-2")
    made = {tablet.alias: tablet for tablet in form(shard(primary(), late, strange)).tablets}
    gtid = made["zone1-0000000101"].gtid
    assert gtid is not None
    assert (gtid.to_apply, gtid.missing, gtid.not_on_primary) == (
        str(gtids("100:31-40")),
        str(gtids("100:41-50")),
        "",
    )
    gtid = made["zone2-0000000102"].gtid
    assert gtid is not None
    assert (gtid.missing, gtid.not_on_primary) == ("", str(gtids("102:1-2")))


def test_acknowledgements_are_counted_as_the_policy_counts_them() -> None:
    """A replica whose semi-sync is off gives no acknowledgement, and neither does one that only tries to connect."""
    for silent in (replica(R2, semi_sync=False), replica(R2, io=CONNECTING)):
        acks = form(shard(primary(), replica(R1), silent)).acks
        assert acks is not None
        assert (acks.needed, acks.have) == (1, 1)


def test_a_replica_that_tries_to_connect_acknowledges_nothing() -> None:
    """MySQL says of it that it does (Rpl_semi_sync_replica_status)."""
    tries = replica(R2, io=CONNECTING)
    assert tries.status is not None
    tries = changed(tries, status=replace(tries.status, semi_sync=replace(tries.status.semi_sync, replica_active=True)))
    made = {tablet.alias: tablet for tablet in form(shard(primary(), replica(R1), tries)).tablets}
    told = made["zone2-0000000102"]
    assert told.semi_sync is not None
    assert (told.semi_sync.is_acknowledging, told.acknowledges) == (True, False)
    assert [made[each].acknowledges for each in ("zone1-0000000100", "zone1-0000000101")] == [False, True]


def test_a_tablet_that_never_answered_tells_nothing() -> None:
    """Unknown is null, and neither false nor zero."""
    (tablet,) = [t for t in form(shard(primary(), unprobed(replica(R1)))).tablets if not t.is_primary]
    assert (tablet.reach, tablet.read_only, tablet.gtid, tablet.replication, tablet.semi_sync) == (
        "unasked",
        None,
        None,
        None,
        None,
    )


def test_times_are_those_of_the_wall_clock() -> None:
    """The moment of an answer, which is known by the monotonic clock, is told as a time of day."""
    tablet = next(t for t in form(shard(primary(), answers(replica(R1), at=NOW - 2.5))).tablets if not t.is_primary)
    assert tablet.answered_at == "2023-11-14T22:13:17.500Z"


def test_a_frame_comes_back_as_it_was() -> None:
    """What is encoded and decoded again is equal."""
    frame = ShardFrame(shard=form(shard(primary(dead_for=3), replica(R1), replace(replica(R2)))))
    assert decode_frame(encode(frame)) == frame
    assert frame.shard.primary == str(primary(P).alias)


def test_a_tablet_tells_how_its_mysql_is_set_up() -> None:
    """What a stalled disk hides is told as it was before, and the stall as it is now."""
    told = answers(replica(R1), server_id=7, gtid_mode="ON", binlog_end=("bin.000002", 99), log_bin=True)
    stalled = answers(told, server_id=0, gtid_mode="", binlog_end=None, log_bin=None, disk_stalled=True)
    remembered = changed(stalled, before_stall=told.status)
    mysql = form(shard(primary(), remembered)).tablets[1].mysql
    assert mysql is not None
    assert (mysql.server_id, mysql.gtid_mode, mysql.binlog_enabled) == (7, "ON", True)
    assert (mysql.binlog_file, mysql.binlog_position, mysql.disk_stalled) == ("bin.000002", 99, True)
    assert form(shard(primary(), unprobed(replica(R1)))).tablets[1].mysql is None


def test_a_tablet_tells_when_it_was_asked_last_and_how_long_its_answer_took() -> None:
    """The end of the last question moves on while none is answered, and then no answer took any time."""
    well, gone = form(shard(primary(), replica(R1), failing(replica(R2)))).tablets[1:]
    assert (well.asked_at, well.answer_seconds) == ("2023-11-14T22:13:19.910Z", 0.01)
    assert (gone.asked_at, gone.answer_seconds) == ("2023-11-14T22:13:20.000Z", None)
    assert gone.answered_at is not None
    assert gone.answered_at < "2023-11-14T22:13:17"


def test_errant_transactions_are_those_that_the_primary_neither_has_nor_wrote() -> None:
    """Newer transactions of the primary may be on their way to it."""
    view = shard(primary(), replica(R1, executed="100:1-60,101:1-2"))
    gtid = form(view).tablets[1].gtid
    assert gtid is not None
    assert gtid.errant == str(gtids("101:1-2"))


@pytest.mark.parametrize("outcome", DirectOutcome)
def test_what_mysql_told_vtorc_itself_is_part_of_its_tablet(outcome: DirectOutcome) -> None:
    """A program reads how far the connection came, when it began, and what the server has."""
    status = primary(executed="100:1-60", read_only=True).status
    direct = DirectAnswer(outcome=outcome, text="why not", status=status, asked_at=NOW - 1.0)
    found = form(shard(changed(primary(dead_for=3), direct=direct), replica(R1))).tablets[0].direct
    assert found == DirectForm(
        outcome=found.outcome if found is not None else "answers",
        error="why not",
        asked_at="2023-11-14T22:13:19.000Z",
        server_uuid=uuid(P),
        read_only=True,
        executed=str(gtids("100:1-60")),
    )
    assert found.outcome == outcome.name.lower()


def test_what_mysql_did_not_tell_is_no_value() -> None:
    """Without a status nothing is known of the server, and without an answer there is no part."""
    direct = DirectAnswer(outcome=DirectOutcome.REFUSED, text="no listener", asked_at=NOW)
    shown = form(shard(changed(primary(dead_for=3), direct=direct), replica(R1))).tablets
    assert shown[0].direct is not None
    assert (shown[0].direct.server_uuid, shown[0].direct.read_only, shown[0].direct.executed) == ("", None, None)
    assert shown[1].direct is None


@pytest.mark.parametrize(
    ("tablet", "told"),
    [
        pytest.param(replica(R1, executed="100:1-40", received="100:1-40"), "", id="receives"),
        pytest.param(replica(R1, executed="100:1-40", received="100:1-40", io=CONNECTING), "100:41-50", id="connects"),
        pytest.param(failing(replica(R1, executed="100:1-40", received="100:1-40")), "100:41-50", id="does not answer"),
        pytest.param(
            replica(R1, executed="100:1-40", received="100:1-40", of=R2), "100:41-50", id="receives from another tablet"
        ),
    ],
)
def test_a_replica_lacks_what_is_not_on_its_way(tablet: TabletView, told: str) -> None:
    """Under writes each replica is some transactions behind an answer of its primary that came later."""
    made = form(shard(primary(executed="100:1-50"), tablet, replica(R2)))
    behind = next(one for one in made.tablets if one.alias == "zone1-0000000101")
    assert behind.gtid is not None
    assert GtidSet.parse(behind.gtid.missing) == gtids("100:41-50")
    assert GtidSet.parse(lacking(made, behind)) == gtids(told)
