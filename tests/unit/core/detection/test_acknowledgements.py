"""Whether a primary's commits can be acknowledged, and on how much evidence it counts as blocked."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    STOPPED,
    ack_path_for,
    alias,
    answers,
    changed,
    failing,
    gtids,
    primary,
    replica,
    shard,
)
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import SemiSyncStatus
from vtorc.core.facts.views import ShardView, TabletView

R1, R2 = "zone1-101", "zone2-200"
REFUSED = "error connecting to source: Access denied for user 'vt_repl'"
NO_ROUTE = "error connecting to source: Can't connect to MySQL server on 'mysql-zone1-100' (113)"


def about_writes(view: ShardView, *, heard_since: float = float("-inf")) -> Finding | None:
    """The finding that says whether the primary's commits are acknowledged."""
    findings = analyse(view, policy("semi_sync"), DetectionThresholds(heard_since=heard_since), NOW)
    wanted = (Code.PRIMARY_SEMI_SYNC_BLOCKED, Code.SHARD_TAKES_NO_WRITES)
    found = [finding for finding in findings if finding.code in wanted]
    assert len(found) <= 1, found
    return found[0] if found else None


def verdict(view: ShardView, *, heard_since: float = float("-inf")) -> tuple[Code, bool] | None:
    """Its code, and whether it is confirmed."""
    finding = about_writes(view, heard_since=heard_since)
    return None if finding is None else (finding.code, finding.confirmed)


def blocked(*replicas: TabletView, **changes: Any) -> ShardView:
    """A shard with a primary that says, 0.1 s ago, that its commits wait in vain."""
    return shard(primary(semi_sync_blocked=True, **changes), *replicas)


def cut(name: str, seconds: float, *, error: str = NO_ROUTE, semi_sync: bool = True) -> TabletView:
    """A replica that has tried for so many seconds to reach the primary."""
    tablet = replica(name, io=CONNECTING, io_error=error, semi_sync=semi_sync)
    return changed(ack_path_for(tablet, seconds), not_receiving_since=NOW - seconds)


def down(name: str, seconds: float = 9.0) -> TabletView:
    return failing(replica(name), ProbeFailure.MYSQL_DOWN, for_=seconds)


LOST, NO_WRITES = Code.PRIMARY_SEMI_SYNC_BLOCKED, Code.SHARD_TAKES_NO_WRITES


@pytest.mark.parametrize(
    ("acker", "confirmed"),
    [
        (ack_path_for(replica(R1), 1.2), True),
        (ack_path_for(replica(R1), 1.0), False),
        (ack_path_for(replica(R1), 0.1), False),
        (cut(R1, 10.2), True),
        (cut(R1, 10.0), False),
        (ack_path_for(replica(R1, executed="100:1-49"), 60.0), False),
    ],
    ids=["acknowledges for long", "for a second", "it just came back", "cut off", "may reconnect", "it catches up"],
)
def test_a_block_counts_if_it_was_reported_long_after_the_replica_could_acknowledge(
    acker: TabletView, confirmed: bool
) -> None:
    """A replica that has just come back frees the commits by itself, so the primary is not replaced."""
    assert verdict(blocked(acker, down(R2))) == (LOST, confirmed)


def test_as_many_replicas_count_as_a_commit_waits_for() -> None:
    """With a wait for two acknowledgements one replica that was there all the time proves nothing."""
    for second, expected in ((ack_path_for(replica(R2), 0.5), False), (ack_path_for(replica(R2), 5.0), True)):
        assert verdict(blocked(replica(R1), second, wait_for=2)) == (LOST, expected)


def test_under_the_lock_a_block_is_reported_again() -> None:
    """Answers from before the lock, of the primary or of its replicas, do not confirm a block."""
    assert verdict(blocked(replica(R1)), heard_since=NOW - 0.2) == (LOST, True)
    assert verdict(blocked(replica(R1)), heard_since=NOW - 0.05) == (LOST, False)
    assert verdict(blocked(replica(R1, heard=0.02)), heard_since=NOW - 0.05) == (LOST, False)
    assert verdict(blocked(replica(R1, heard=0.3)), heard_since=NOW - 0.2) == (LOST, False)


def test_replicas_that_cannot_reach_the_primary_are_evidence_without_its_word() -> None:
    """A semi-sync monitor that fails says nothing, so the replicas' own attempts count: for ten seconds."""
    for monitor in (None, False):
        for seconds, expected in ((2.9, None), (3.0, (LOST, False)), (9.9, (LOST, False)), (10.5, (LOST, True))):
            view = shard(primary(semi_sync_blocked=monitor), cut(R1, seconds), cut(R2, seconds))
            assert verdict(view) == expected, (monitor, seconds)
    finding = about_writes(shard(primary(), cut(R1, 12.0), cut(R2, 12.0)))
    assert finding is not None
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 gets no acknowledgements: zone1-0000000101, zone2-0000000200 cannot connect to it"
    )


@pytest.mark.parametrize(
    ("first", "second", "changes", "expected"),
    [
        pytest.param(cut(R1, 12.0), replica(R2), {}, None, id="another replica acknowledges"),
        pytest.param(cut(R1, 12.0), failing(replica(R2), ProbeFailure.TIMEOUT), {}, None, id="another may"),
        pytest.param(cut(R1, 12.0), cut(R2, 12.0), {"read_only": True}, None, id="it is read-only"),
        pytest.param(cut(R1, 12.0), cut(R2, 12.0), {"semi_sync": False}, None, id="it waits for none"),
        pytest.param(cut(R1, 12.0), cut(R2, 12.0), {"clients": 3}, None, id="an unknown server may acknowledge"),
        pytest.param(cut(R1, 12.0), down(R2), {}, (NO_WRITES, True), id="the other is down, so no heir has an acker"),
        pytest.param(
            cut(R1, 12.0, error=REFUSED), cut(R2, 12.0, error=REFUSED), {}, (NO_WRITES, True), id="the primary refuses"
        ),
    ],
)
def test_the_replicas_prove_it_alone_only_if_none_may_acknowledge(
    first: TabletView, second: TabletView, changes: dict[str, Any], expected: tuple[Code, bool] | None
) -> None:
    """Unknown is not no: while any server may acknowledge, a primary that reports no block counts as well."""
    assert verdict(shard(primary(**changes), first, second)) == expected


def test_a_primary_that_commits_is_not_cut_off() -> None:
    """A commit since then was acknowledged by some server, so the primary is left alone."""
    for ago, confirmed in ((4.0, False), (6.0, True)):
        works = changed(primary(), last_commit_at=NOW - 0.1 - ago)
        assert verdict(shard(works, cut(R1, 12.0), cut(R2, 12.0))) == (LOST, confirmed)


def test_under_the_lock_the_replicas_are_asked_again() -> None:
    """Replicas that were not heard since then may be connected by now."""
    view = shard(primary(), cut(R1, 12.0), cut(R2, 12.0))
    assert verdict(view, heard_since=NOW - 0.2) == (LOST, True)
    assert verdict(view, heard_since=NOW - 0.05) == (LOST, False)
    before = changed(cut(R2, 12.0), status_at=NOW - 0.3)
    assert verdict(shard(primary(), cut(R1, 12.0), before), heard_since=NOW - 0.2) == (LOST, False)
    just_now = [changed(cut(name, 12.0), status_at=NOW - 0.02) for name in (R1, R2)]
    assert verdict(shard(primary(), *just_now), heard_since=NOW - 0.05) == (LOST, False)


def test_replicas_that_tried_for_long_count_although_another_one_has_just_gone() -> None:
    """The attempts of each replica count, not how long the shard has been without acknowledgements."""
    for seconds, expected in ((12.0, True), (9.0, False)):
        view = shard(primary(), cut(R1, seconds), cut(R2, seconds), down("zone1-103", 4.0))
        assert verdict(view) == (LOST, expected)


def test_a_shard_that_takes_no_writes_is_told_with_the_reason_of_each_replica() -> None:
    """The sentence names how many acknowledgements are missing, which replicas cannot give them, and why."""
    off = SemiSyncStatus(replica_enabled=False, timeout=1000)
    unset = changed(replica("zone1-103"), status=replace(_status(replica("zone1-103")), semi_sync=off))
    view = shard(
        primary(),
        down(R1),
        changed(replica(R2, io=STOPPED), not_receiving_since=NOW - 5.0),
        replica("zone1-102", of=None),
        unset,
        replica("zone1-104", of=R2),
    )
    finding = about_writes(view)
    assert finding is not None
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 takes no writes, because its commits wait for 1 acknowledgement and no replica "
        "gives any: zone1-0000000101 answers that its MySQL is down; zone1-0000000102 has no replication source; "
        "zone1-0000000103 has semi-sync off; zone1-0000000104 replicates from another server; zone2-0000000200 has "
        "stopped receiving"
    )
    assert finding.alias == alias("zone1-100")


def test_a_replica_that_cannot_connect_is_named_among_those_that_are_missing() -> None:
    """It is no reason for another primary while no heir would have an acker, and the operator still looks for it."""
    finding = about_writes(shard(primary(), cut(R1, 12.0), down(R2)))
    assert finding is not None
    assert finding.sentence.endswith(
        "no replica gives any: zone2-0000000200 answers that its MySQL is down; zone1-0000000101 cannot connect to it"
    )


def test_a_wait_for_more_acknowledgements_than_there_are_replicas_is_told() -> None:
    """MySQL's own count is what commits wait for."""
    rdonly = replica("zone1-112", TabletType.RDONLY, of=None)
    finding = about_writes(shard(primary(wait_for=2, clients=1), replica(R1), rdonly))
    assert finding is not None
    assert "wait for 2 acknowledgements and only zone1-0000000101 gives any: there is no other" in finding.sentence
    finding = about_writes(shard(primary(wait_for=3, clients=2), replica(R1), replica(R2), rdonly))
    assert finding is not None
    assert "and only zone1-0000000101, zone2-0000000200 give any: there is no other" in finding.sentence


def test_a_replica_that_is_away_for_a_moment_is_no_problem() -> None:
    """A replica that restarts, or is made to reconnect, is back within three seconds."""
    for seconds, expected in ((2.5, None), (3.5, (NO_WRITES, True))):
        assert verdict(shard(primary(), down(R1, seconds), down(R2, 60.0))) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(2.5, None), (3.5, (NO_WRITES, True))])
def test_a_replica_that_was_pointed_elsewhere_or_set_otherwise_just_now_is_no_problem(
    seconds: float, expected: tuple[Code, bool] | None
) -> None:
    """Amid a planned reparent all replicas are, and the old primary still counts as the primary for a moment."""
    off = SemiSyncStatus(replica_enabled=False, timeout=1000)
    unset = changed(replica(R1), status=replace(_status(replica(R1)), semi_sync=off))
    unset = changed(unset, ack_path=None, may_ack_until=NOW - seconds)
    halted = changed(replica(R1, io=STOPPED), not_receiving_since=NOW - seconds)
    for replica_ in (ack_path_for(replica(R1, of=R2), seconds), unset, halted):
        assert verdict(shard(primary(), replica_, down(R2, 60.0))) == expected


def test_with_two_ackers_the_last_one_that_goes_counts() -> None:
    """The shard takes writes until fewer replicas are left than a commit waits for."""
    assert verdict(shard(primary(wait_for=2), replica(R1), down(R2, 2.0))) is None
    assert verdict(shard(primary(wait_for=2), replica(R1), down(R2, 4.0))) == (NO_WRITES, True)
    gone = (down(R1, 4.0), down(R2, 2.0), down("zone1-103", 60.0))
    assert verdict(shard(primary(wait_for=2, clients=0), *gone)) == (NO_WRITES, True)
    assert verdict(shard(primary(wait_for=1, clients=0), *gone)) is None
    three = (replica(R1), down(R2, 2.0), down("zone1-103", 60.0))
    assert verdict(shard(primary(wait_for=2), *three)) is None
    assert verdict(shard(primary(wait_for=1), *three)) is None


def test_the_primary_is_believed_that_reports_a_block_while_replicas_do_not_tell() -> None:
    """With replicas that do not answer the shard may take writes, unless its primary says otherwise."""
    silent = (failing(replica(R1), ProbeFailure.TIMEOUT), failing(replica(R2), ProbeFailure.TIMEOUT))
    assert verdict(shard(primary(), *silent)) is None
    finding = about_writes(blocked(*silent))
    assert finding is not None
    assert finding.code is NO_WRITES
    assert "zone1-0000000101 does not answer; zone2-0000000200 does not answer" in finding.sentence


def test_the_acknowledgements_of_a_drained_tablet_count() -> None:
    """MySQL counts acknowledgements by the settings of the replica, whatever type its record has."""
    drained = replica(R2, TabletType.DRAINED)
    assert verdict(shard(primary(), down(R1, 60.0), drained)) is None
    assert verdict(blocked(down(R1, 60.0), drained)) == (LOST, True)


def test_a_replica_that_lags_counts_once_it_has_what_the_primary_has_committed() -> None:
    """What the replica held a second ago must contain all that the primary has committed."""
    path = ack_path_for(replica(R1), 60.0).memory.ack_path
    assert path is not None
    for held, held_ago, expected in (("100:1-50", 1.2, True), ("100:1-49", 1.2, False), ("100:1-50", 0.8, False)):
        known = replace(path, held=gtids(held), held_at=NOW - held_ago)
        assert verdict(blocked(changed(replica(R1), ack_path=known))) == (LOST, expected)


def test_a_replica_amid_a_long_transaction_counts_ten_seconds_after_it_last_read_more() -> None:
    """All commits wait behind a huge transaction, and the replica acknowledges it once it has all of it."""
    path = ack_path_for(replica(R1), 60.0).memory.ack_path
    assert path is not None
    for read_ago, expected in ((2.0, False), (9.8, False), (10.2, True)):
        known = replace(path, amid_transaction_at=NOW - read_ago)
        assert verdict(blocked(changed(replica(R1), ack_path=known))) == (LOST, expected)


@pytest.mark.parametrize(
    ("waits_for", "replicas", "expected"),
    [
        (10.2, (replica(R1), replica(R2)), (LOST, True)),
        (9.8, (replica(R1), replica(R2)), None),
        (10.2, (ack_path_for(replica(R1), 0.5), down(R2, 60.0)), (LOST, False)),
        (10.2, (replica(R1, of=None), failing(replica(R2), ProbeFailure.TIMEOUT)), (NO_WRITES, True)),
    ],
    ids=["for long", "not for long", "its acker just came back", "another may acknowledge, but does not"],
)
def test_a_binary_log_that_grows_while_nothing_is_committed_shows_a_block(
    waits_for: float, replicas: tuple[TabletView, ...], expected: tuple[Code, bool] | None
) -> None:
    """Without a word of the semi-sync monitor, a commit that has waited for ten seconds makes a blocked primary."""
    for monitor in (None, False):
        waits = changed(primary(semi_sync_blocked=monitor), commits_wait_since=NOW - 0.1 - waits_for)
        finding = about_writes(shard(waits, *replicas))
        assert (None if finding is None else (finding.code, finding.confirmed)) == expected
        if expected is not None and expected[0] is LOST:
            assert finding is not None
            assert finding.sentence.endswith("zone1-0000000100 has commits that wait for acknowledgements and get none")


def test_a_primary_that_waits_for_no_acknowledgement_is_not_blocked() -> None:
    """Commits that take long without semi-sync wait for something else, and MySQL may have fallen back to that."""
    waits = changed(primary(semi_sync=False), commits_wait_since=NOW - 60.0)
    assert verdict(shard(waits, replica(R1), replica(R2))) is None
    fallen_back = replace(_status(primary()).semi_sync, primary_active=False)
    assert verdict(shard(answers(primary(), semi_sync=fallen_back), down(R1), down(R2))) is None


def _status(tablet: TabletView) -> Any:
    assert tablet.status is not None
    return tablet.status
