"""Findings that turn on one moment or one word: when evidence is enough, and which evidence a sentence names."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import (
    CONNECTING,
    NOW,
    STOPPED,
    ack_path_for,
    answers,
    changed,
    client_count,
    failing,
    primary,
    replica,
    shard,
)
from tests.unit.core.detection.test_acknowledgements import LOST, R1, R2, blocked, cut, down, verdict
from tests.unit.core.detection.test_replication_errors import PURGED, broken
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery, Reparent
from vtorc.core.detection.replica_evidence import ReplicaEvidence, declared_primaries
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.tablet_change import COMMANDS

AT = NOW - 0.5
"""When the tablets of these tests told their status; such times add up without a remainder."""


def told(tablet: TabletView, at: float = AT) -> TabletView:
    """The same tablet with a status that was asked for at that time."""
    return changed(tablet, status_at=at)


def all_told(view: ShardView) -> ShardView:
    """The same shard with the status of each tablet that answers asked for at that time."""
    return replace(view, tablets=tuple(told(t) if t.failure is None else t for t in view.tablets))


def about(view: ShardView, code: Code) -> Finding:
    """The finding with that code in a shard under semi_sync."""
    (found,) = [each for each in analyse(view, policy("semi_sync"), DetectionThresholds(), NOW) if each.code is code]
    return found


def test_an_answer_that_was_asked_for_at_the_moment_of_the_lock_counts() -> None:
    """The questions under the lock may be sent within the tick of the clock in which it was taken."""
    reported = blocked(replica(R1), down(R2))
    tried = shard(primary(), cut(R1, 20.0), cut(R2, 20.0))
    for view in (reported, tried):
        assert verdict(all_told(view), heard_since=AT) == (LOST, True)
        assert verdict(all_told(view), heard_since=AT + 0.25) == (LOST, False)


def test_a_replica_that_was_asked_as_the_primary_began_to_fail_is_a_witness() -> None:
    """Its answer came after that moment; one from before says nothing about now."""
    gone = primary(dead_for=3.0)
    for at, outdated in ((NOW - 3.0, 0), (NOW - 3.25, 1)):
        evidence = ReplicaEvidence.of(shard(gone, told(replica(R1, io=CONNECTING), at)), gone)
        assert (len(evidence.outdated), len(evidence.reconnecting)) == (outdated, 1 - outdated)


def test_the_evidence_of_a_block_is_enough_once_its_time_is_over() -> None:
    """One second of acknowledging, ten of trying to connect, and five without a commit: that long and no longer."""
    for ago, expected in ((1.5, True), (1.25, False)):
        view = blocked(ack_path_for(replica(R1), ago), down(R2))
        assert verdict(all_told(view)) == (LOST, expected)
    for tried, idle, expected in ((10.5, 9.0, True), (10.25, 9.0, False), (11.0, 5.5, True), (11.0, 5.25, False)):
        view = shard(changed(primary(), last_commit_at=NOW - idle), cut(R1, tried), cut(R2, tried))
        assert verdict(all_told(view)) == (LOST, expected)


def test_attempts_to_connect_are_in_vain_once_their_time_is_over() -> None:
    """A replica that was made to reconnect has tried for long enough at that very moment, unless one received since."""
    lost = told(changed(replica(R1, io=CONNECTING), not_receiving_since=NOW - 8.0))
    gone = primary(dead_for=9.0, failure=ProbeFailure.TIMEOUT)
    since = AT - 5.0
    for advance, within, expected in ((since, 5.0, 1), (since, 5.25, 0), (since + 0.25, 5.0, 0)):
        other = told(changed(replica(R2), last_advance_at=advance))
        evidence = ReplicaEvidence.of(shard(gone, lost, other), gone)
        assert len(evidence.tried_in_vain(since, within=within)) == expected


def test_one_tablet_or_several_are_said_to_declare_themselves_primary() -> None:
    """One that has failed since declared it once."""
    one, both = (replica(R1),), (replica(R1), replica(R2))
    assert declared_primaries(one) == "zone1-0000000101 declares itself primary, so its record may be late"
    assert declared_primaries(one, answer=False) == (
        "zone1-0000000101 declared itself primary when it last answered, so its record may be late"
    )
    names = "zone1-0000000101, zone2-0000000200"
    assert declared_primaries(both) == f"{names} declare themselves primary, so their records may be late"
    assert declared_primaries(both, answer=False) == (
        f"{names} declared themselves primary when they last answered, so their records may be late"
    )


def test_a_primary_with_a_source_is_told_with_what_makes_its_record_late() -> None:
    """Only a tablet that declares itself primary, or a source that does not answer, leaves it open."""
    follows = primary(source=R1)
    heir = replica(R1, of=None, tablet_type=TabletType.PRIMARY, read_only=False)
    stem = "commerce/0: zone1-0000000100 is the primary and replicates from mysql-zone1-101:3306"
    for source, end, confirmed in (
        (heir, ", and zone1-0000000101 declares itself primary, so the records may be late", False),
        (
            failing(replica(R1), ProbeFailure.TIMEOUT),
            ", and its tablet zone1-0000000101 does not tell whether it is primary by now",
            False,
        ),
        (replica(R1), "", True),
    ):
        finding = about(shard(follows, source, replica(R2)), Code.PRIMARY_HAS_PRIMARY)
        assert (finding.sentence, finding.confirmed) == (stem + end, confirmed)


def test_a_replica_of_another_server_is_told_with_both_its_sources() -> None:
    """The sentence names the present source and the right one, and says so where the records may be late."""
    stem = "commerce/0: zone2-0000000200 replicates from zone1-0000000101; it should replicate from zone1-0000000100"
    heir = replica(R1, of=None, tablet_type=TabletType.PRIMARY, read_only=False)
    for source, end, confirmed in (
        (replica(R1), "", True),
        (heir, ", but zone1-0000000101 declares itself primary, so the records may be late", False),
    ):
        finding = about(shard(primary(), source, replica(R2, of=R1)), Code.CONNECTED_TO_WRONG_PRIMARY)
        assert (finding.sentence, finding.confirmed) == (stem + end, confirmed)


def test_unknown_clients_are_told_of_a_primary_that_is_to_wait_and_does_not_yet() -> None:
    """The policy asks for acknowledgements, and a server without a record will give them."""
    count = client_count(3, unknown=1, certain_since=0.0)
    view = shard(primary(semi_sync=False, clients=3), replica(R1), replica(R2), client_count=count)
    assert about(view, Code.UNKNOWN_SEMI_SYNC_CLIENTS).confirmed


def test_the_receiver_s_error_is_quoted_where_the_applier_s_may_pass() -> None:
    """The sentence quotes the error that it names, and the evidence has its number and the states of both threads."""
    behind = replica(R1, io=STOPPED, io_error=PURGED)
    assert behind.status is not None
    assert behind.status.replication is not None
    passing = replace(behind.status.replication, sql_state=STOPPED, last_sql_error="Relay log write failure: errno 28")
    (finding,) = broken(shard(primary(), answers(behind, replication=passing), replica(R2)))
    assert "(MySQL error 1236: Got fatal error 1236 from source" in finding.sentence
    assert "zone2-0000000200 could feed it as primary" in finding.sentence
    assert finding.evidence == {"error": "1236", "io": "STOPPED", "sql": "STOPPED"}


@pytest.mark.parametrize(
    ("io_error", "sql_error", "end"),
    [
        ("", "", "has stopped replicating"),
        ("Lost connection", "", "has stopped replicating: Lost connection"),
        ("Lost connection", "errno: 28", "has stopped replicating: errno: 28"),
    ],
)
def test_replication_that_has_stopped_is_told_with_its_error_and_its_threads(
    io_error: str, sql_error: str, end: str
) -> None:
    """The applier's error counts first, and the evidence tells which of the two threads stands."""
    stopped = replica(R1, sql=STOPPED, io_error=io_error)
    assert stopped.status is not None
    assert stopped.status.replication is not None
    threads = replace(stopped.status.replication, last_sql_error=sql_error)
    view = shard(primary(), answers(stopped, replication=threads), replica(R2))
    finding = about(view, Code.REPLICATION_STOPPED)
    assert finding.sentence.endswith(end)
    assert finding.evidence == {"io": "RUNNING", "sql": "STOPPED"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_operators_on_a_tablet_gives_way_to_a_lost_primary(command: Recovery) -> None:
    """It never replaces the primary, sees to one finding, and heeds an external source as each change of a tablet."""
    traits = command.traits
    assert traits.may_be_outranked
    assert traits.changes_tablet
    assert not traits.replaces_primary
    assert not traits.batches


def test_what_replaces_a_lost_primary_is_an_emergency_reparent_in_the_words_of_vitess() -> None:
    """Metrics, the log and the hooks name it so, as Vitess does."""
    replacing = [recovery for recovery in Recovery if recovery.replaces_primary]
    assert {recovery.traits.reparent for recovery in replacing} == {Reparent.EMERGENCY}
