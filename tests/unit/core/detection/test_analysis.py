"""Which findings the analysis makes, in which order, and on how much evidence.

Cases with a Vitess name are those of `go/vt/vtorc/inst/analysis_dao_test.go`, built as shards here; there they are rows
of counters.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.builders import (
    CONNECTING,
    NO_ACK_TIMEOUT,
    NOW,
    STOPPED,
    P,
    alias,
    answers,
    asked_after_others,
    changed,
    client_count,
    failing,
    filtering,
    fresh_shard,
    gtids,
    new,
    of_old_version,
    primary,
    replica,
    shard,
    unprobed,
    uuid,
)
from vtorc.core.detection.analysis import analyse, may_change_with_time
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import CUT_OFF_AFTER, DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import KeyspaceType
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import UnknownDurabilityPolicy

R1, R2, D = "zone1-101", "zone2-200", "zone1-112"


OF_SHARD = (
    Code.CLUSTER_HAS_NO_PRIMARY,
    Code.PRIMARY_TABLET_DELETED,
    Code.NO_DURABILITY_POLICY,
    Code.UNKNOWN_DURABILITY_POLICY,
    Code.UNREACHABLE_CELL,
)
"""The problems that the shard has as a whole."""


def found(view: ShardView, *, thresholds: DetectionThresholds | None = None, now: float = NOW) -> tuple[Finding, ...]:
    """Return all findings; each names its tablet, unless the shard has the problem as a whole."""
    try:
        chosen = policy(view.keyspace_record.durability_policy)
    except UnknownDurabilityPolicy:
        chosen = None
    findings = analyse(view, chosen, thresholds or DetectionThresholds(), now)
    assert all((finding.alias is None) is (finding.code in OF_SHARD) for finding in findings), findings
    return findings


def codes(view: ShardView) -> list[Code]:
    return [finding.code for finding in found(view)]


def only(view: ShardView) -> Finding:
    findings = found(view)
    assert len(findings) == 1, findings
    return findings[0]


def healthy(*more: TabletView) -> ShardView:
    return shard(primary(), replica(R1), replica(R2), *more)


def blocked(*replicas: TabletView) -> ShardView:
    return shard(primary(semi_sync_blocked=True, clients=0), *replicas)


def idle(name: str, **changes: object) -> TabletView:
    """A tablet that has no replication source."""
    return replica(name, of=None, **changes)  # type: ignore[arg-type]


def dead(*replicas: TabletView, **changes: object) -> ShardView:
    return shard(primary(dead_for=3.0, **changes), *replicas)  # type: ignore[arg-type]


def lone_heir(silent_for: float, *, heard: float = 0.1, never_heard: bool = False) -> ShardView:
    """A primary that has been silent for so many seconds, and two tablets without a replication source."""
    gone = primary(dead_for=silent_for, failure=ProbeFailure.TIMEOUT, never_heard=never_heard)
    return shard(gone, idle(R1), idle(R2, heard=heard))


WAITING_1, WAITING_2 = replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)
LOST_1 = failing(replica(R1), ProbeFailure.TIMEOUT)
LOST_2 = failing(replica(R2), ProbeFailure.TIMEOUT)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param(healthy(), [], id="healthy"),
        pytest.param(fresh_shard(new(R1), policy_name="none"), [Code.CLUSTER_HAS_NO_PRIMARY], id="ClusterHasNoPrimary"),
        pytest.param(shard(replica(R1), replica(R2)), [Code.PRIMARY_TABLET_DELETED], id="PrimaryTabletDeleted"),
        pytest.param(
            shard(primary(disk_stalled=True), WAITING_1, WAITING_2),
            [Code.PRIMARY_DISK_STALLED],
            id="StalledDiskPrimary",
        ),
        pytest.param(blocked(replica(R1), replica(R2)), [Code.PRIMARY_SEMI_SYNC_BLOCKED], id="PrimarySemiSyncBlocked"),
        pytest.param(dead(WAITING_1, WAITING_2), [Code.DEAD_PRIMARY], id="DeadPrimary"),
        pytest.param(
            dead(idle(R1)),
            [Code.DEAD_PRIMARY_WITHOUT_REPLICAS, Code.NOT_CONNECTED_TO_PRIMARY],
            id="DeadPrimaryWithoutReplicas",
        ),
        pytest.param(
            dead(LOST_1, LOST_2),
            [Code.DEAD_PRIMARY_AND_REPLICAS, Code.INVALID_REPLICA, Code.INVALID_REPLICA],
            id="DeadPrimaryAndReplicas",
        ),
        pytest.param(
            dead(LOST_1, WAITING_2),
            [Code.DEAD_PRIMARY_AND_SOME_REPLICAS, Code.INVALID_REPLICA],
            id="DeadPrimaryAndSomeReplicas",
        ),
        pytest.param(
            shard(primary(source="zone9-900"), replica(R1), replica(R2)),
            [Code.PRIMARY_HAS_PRIMARY],
            id="PrimaryHasPrimary",
        ),
        pytest.param(
            shard(primary(read_only=True), WAITING_1, WAITING_2), [Code.PRIMARY_IS_READ_ONLY], id="PrimaryIsReadOnly"
        ),
        pytest.param(
            shard(primary(tablet_type=TabletType.REPLICA), replica(R1)),
            [Code.PRIMARY_CURRENT_TYPE_MISMATCH],
            id="PrimaryCurrentTypeMismatch",
        ),
        pytest.param(shard(primary(tablet_type=TabletType.UNKNOWN), replica(R1)), [], id="Unknown running type"),
        pytest.param(
            shard(primary(), replica(R1, semi_sync=False), policy_name="none"),
            [Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET],
            id="PrimarySemiSyncMustNotBeSet",
        ),
        pytest.param(
            shard(primary(semi_sync=False), replica(R1)),
            [Code.PRIMARY_SEMI_SYNC_MUST_BE_SET],
            id="PrimarySemiSyncMustBeSet",
        ),
        pytest.param(shard(primary(), idle(R1)), [Code.NOT_CONNECTED_TO_PRIMARY], id="NotConnectedToPrimary"),
        pytest.param(
            shard(primary(), replica(R1, read_only=False)), [Code.REPLICA_IS_WRITABLE], id="ReplicaIsWritable"
        ),
        pytest.param(
            healthy(replica("zone1-103", of=R2)), [Code.CONNECTED_TO_WRONG_PRIMARY], id="ConnectedToWrongPrimary"
        ),
        pytest.param(
            shard(primary(), replica(R1, io=STOPPED)), [Code.REPLICATION_STOPPED], id="ReplicationStopped by IO"
        ),
        pytest.param(
            shard(primary(), replica(R1, sql=STOPPED)), [Code.REPLICATION_STOPPED], id="ReplicationStopped by SQL"
        ),
        pytest.param(healthy(replica(D, TabletType.DRAINED, io=STOPPED)), [], id="Drained"),
        pytest.param(
            shard(primary(), replica(R1, replica_net_timeout=30, heartbeat_interval=30.0)),
            [Code.REPLICA_MISCONFIGURED],
            id="ReplicaMisconfigured",
        ),
        pytest.param(
            shard(primary(), replica(R1, semi_sync=False)),
            [Code.REPLICA_SEMI_SYNC_MUST_BE_SET],
            id="ReplicaSemiSyncMustBeSet",
        ),
        pytest.param(
            shard(primary(semi_sync=False), replica(R1), policy_name="none"),
            [Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET],
            id="ReplicaSemiSyncMustNotBeSet",
        ),
        pytest.param(fresh_shard(new(R1), kind=KeyspaceType.SNAPSHOT), [], id="SnapshotKeyspace"),
        pytest.param(
            shard(primary(dead_for=3, never_heard=True), replica(R1, io=STOPPED), replica(R2, io=CONNECTING)),
            [Code.DEAD_PRIMARY, Code.REPLICATION_STOPPED],
            id="DeadPrimary when VTOrc is starting up",
        ),
        pytest.param(shard(primary(dead_for=3, never_heard=True)), [Code.INVALID_PRIMARY], id="Invalid Primary"),
        pytest.param(
            healthy(replica("zone1-103", executed="100:1-50,103:1")), [Code.ERRANT_GTID_DETECTED], id="ErrantGTID"
        ),
        pytest.param(
            healthy(primary("zone1-103", term=9, tablet_type=TabletType.REPLICA)),
            [Code.STALE_TOPO_PRIMARY],
            id="TestStalePrimary",
        ),
    ],
)
def test_finds_what_vitess_finds(view: ShardView, expected: list[Code]) -> None:
    """Each situation of Vitess' own detection tests gets the same code."""
    assert codes(view) == expected


def test_a_cell_that_cannot_be_read_hides_no_primary_of_another_cell() -> None:
    """The record of the primary that the shard names was read, and is gone."""
    view = shard(replica(R1), replica(R2), unreachable_cells={"zone9": "no route"})
    assert Code.PRIMARY_TABLET_DELETED in codes(view)


@pytest.mark.parametrize(
    ("view", "expected", "theirs"),
    [
        pytest.param(
            fresh_shard(new(R1), policy_name=""),
            [Code.NO_DURABILITY_POLICY, Code.CLUSTER_HAS_NO_PRIMARY],
            "nothing, silently",
            id="a keyspace without policy",
        ),
        pytest.param(
            fresh_shard(new(R1), policy_name="own"),
            [Code.UNKNOWN_DURABILITY_POLICY, Code.CLUSTER_HAS_NO_PRIMARY],
            "nothing, silently",
            id="a policy that is not known",
        ),
        pytest.param(
            blocked(LOST_1, LOST_2),
            [Code.SHARD_TAKES_NO_WRITES, Code.INVALID_REPLICA, Code.INVALID_REPLICA],
            "PrimarySemiSyncBlocked, though another primary would have as few ackers",
            id="blocked because all ackers are gone",
        ),
        pytest.param(
            blocked(replica(R1, io=STOPPED)),
            [Code.SHARD_TAKES_NO_WRITES, Code.REPLICATION_STOPPED],
            "PrimarySemiSyncBlocked, though starting replication is all it takes",
            id="blocked because the acker was stopped",
        ),
        pytest.param(
            shard(primary(semi_sync=False), replica(R1, TabletType.RDONLY), replica(R2, io=CONNECTING)),
            [Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET],
            "PrimarySemiSyncMustBeSet at once, counting an RDONLY that must not acknowledge",
            id="no replica that may acknowledge does",
        ),
        pytest.param(
            shard(replica(R1), replica(R2), unreachable_cells={"zone1": "no route"}),
            [Code.UNREACHABLE_CELL, Code.UNREACHABLE_CELL],
            "PrimaryTabletDeleted",
            id="the primary's cell cannot be read",
        ),
        pytest.param(
            shard(replica(R1), replica(R2), bad_records={alias(P): "truncated"}),
            [Code.BAD_TABLET_RECORD, Code.UNREACHABLE_CELL],
            "PrimaryTabletDeleted",
            id="the primary's record cannot be read",
        ),
        *(
            pytest.param(
                healthy(replica(D, type_, io=STOPPED, read_only=False, executed="100:1-50,112:1")),
                [Code.ERRANT_GTID_DETECTED],
                "nothing: no operator hears of a tablet again that was drained because of errant transactions",
                id=f"errant transactions of a {type_.name} tablet",
            )
            for type_ in (TabletType.DRAINED, TabletType.BACKUP, TabletType.RESTORE)
        ),
    ],
)
def test_is_stricter_or_louder_than_vitess(view: ShardView, expected: list[Code], theirs: str) -> None:
    """The finding differs on purpose where Vitess acts on too little evidence, or reports too little."""
    assert theirs
    assert codes(view) == expected


def test_most_urgent_comes_first() -> None:
    """Findings are ordered by priority, then as in the catalogue, then by tablet."""
    view = shard(
        primary(semi_sync=False, read_only=True),
        failing(replica("zone1-109"), ProbeFailure.REFUSED),
        replica(R2, semi_sync=False),
        replica(R1, semi_sync=False, read_only=False, io=STOPPED),
        replica(D, TabletType.RDONLY),
        unreachable_cells={"zone3": "no route"},
    )
    assert [(finding.code, str(finding.alias or "")) for finding in found(view)] == [
        (Code.UNREACHABLE_CELL, ""),
        (Code.PRIMARY_IS_READ_ONLY, "zone1-0000000100"),
        (Code.REPLICA_IS_WRITABLE, "zone1-0000000101"),
        (Code.REPLICA_SEMI_SYNC_MUST_BE_SET, "zone1-0000000101"),
        (Code.REPLICA_SEMI_SYNC_MUST_BE_SET, "zone2-0000000200"),
        (Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, "zone1-0000000100"),
        (Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, "zone1-0000000112"),
        (Code.REPLICATION_STOPPED, "zone1-0000000101"),
        (Code.INVALID_REPLICA, "zone1-0000000109"),
    ]


def test_only_a_lost_primary_leads_to_a_replacement() -> None:
    """Only a lost primary leads to a replacement."""
    replacing = {code for code in Code if code.problem.recovery and code.problem.recovery.replaces_primary}
    assert replacing == {
        Code.PRIMARY_ROLLED_BACK,
        Code.PRIMARY_DISK_STALLED,
        Code.DEAD_PRIMARY,
        Code.DEAD_PRIMARY_AND_SOME_REPLICAS,
        Code.PRIMARY_SEMI_SYNC_BLOCKED,
        Code.PRIMARY_TABLET_DELETED,
    }
    assert Code.CLUSTER_HAS_NO_PRIMARY.problem.recovery is Recovery.ELECT_NEW_PRIMARY


# How much evidence confirms that a primary is lost


def test_a_hang_is_called_one() -> None:
    """The sentence says that the tablet manager answers and MySQL does not, and how long the primary is left alone."""
    finding = found(shard(primary(dead_for=3.0, failure=ProbeFailure.HUNG), WAITING_1, WAITING_2))[0]
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 hangs (its tablet manager answers, its MySQL does not) and none of its 2 "
        "replicas receives from it; it gets 10 s to recover"
    )


def quiet(tablet: TabletView, seconds: float) -> TabletView:
    """The same tablet, with an IO thread that was connected so many seconds ago."""
    return changed(tablet, not_receiving_since=NOW - seconds)


def test_under_the_lock_only_answers_since_then_count() -> None:
    """A replica that was last heard before the lock was taken is no witness against the primary."""
    view = shard(primary(dead_for=60.0, failure=ProbeFailure.TIMEOUT), WAITING_1, replica(R2, io=CONNECTING, heard=1.0))
    assert found(view, thresholds=DetectionThresholds(heard_since=NOW - 2.0))[0].confirmed
    assert not found(view, thresholds=DetectionThresholds(heard_since=NOW - 0.5))[0].confirmed


@pytest.mark.parametrize(
    ("view", "confirmed"),
    [
        pytest.param(dead(WAITING_1, WAITING_2), True, id="its own tablet says so"),
        pytest.param(dead(WAITING_1, WAITING_2, failures=1), False, id="one failed probe"),
        pytest.param(dead(replica(R1, io=CONNECTING, heard=4.0), WAITING_2), False, id="a replica not heard since"),
        pytest.param(dead(WAITING_1, unprobed(replica(R2))), False, id="a tablet not asked yet"),
        pytest.param(
            dead(WAITING_1, replica(R2, io=STOPPED), failure=ProbeFailure.TIMEOUT),
            True,
            id="silent, and a replica cannot reconnect",
        ),
        pytest.param(
            dead(replica(R1, io=STOPPED), replica(R2, io=STOPPED), failure=ProbeFailure.TIMEOUT),
            False,
            id="silent, and no replica has tried",
        ),
        pytest.param(
            dead(
                replica(R1, io=STOPPED, io_error="error connecting"),
                replica(R2, io=STOPPED),
                failure=ProbeFailure.TIMEOUT,
            ),
            False,
            id="silent, and an old error of a stopped thread",
        ),
        pytest.param(
            shard(
                primary(dead_for=5.0, failure=ProbeFailure.TIMEOUT), replica(R1, io=STOPPED), replica(R2, io=STOPPED)
            ),
            True,
            id="silent for long, and no replica has tried",
        ),
        pytest.param(
            shard(primary(dead_for=9.9, failure=ProbeFailure.HUNG), WAITING_1, WAITING_2), False, id="hung for a while"
        ),
        pytest.param(
            shard(primary(dead_for=10.0, failure=ProbeFailure.HUNG), WAITING_1, WAITING_2), True, id="hung for long"
        ),
        pytest.param(
            dead(quiet(WAITING_1, 4.9), WAITING_2, failure=ProbeFailure.TIMEOUT),
            False,
            id="silent, and a replica received a moment ago",
        ),
        pytest.param(
            shard(
                primary(dead_for=60.0, failure=ProbeFailure.TIMEOUT),
                quiet(replica(R1, io=STOPPED), 1.0),
                replica(R2, io=CONNECTING, io_error="Can't connect"),
            ),
            False,
            id="silent for long, and a replica was stopped a moment ago",
        ),
        pytest.param(
            dead(quiet(WAITING_1, 5.0), WAITING_2, failure=ProbeFailure.TIMEOUT),
            True,
            id="silent, and the last replica received a while ago",
        ),
        pytest.param(
            dead(
                quiet(replica(R1, io=CONNECTING, io_error="Can't connect"), 0.1),
                WAITING_2,
                failure=ProbeFailure.REFUSED,
            ),
            True,
            id="refused, as the replica is that received a moment ago",
        ),
        pytest.param(dead(quiet(WAITING_1, 0.1), WAITING_2), True, id="its own tablet says so, a moment after"),
        pytest.param(
            shard(
                primary(dead_for=60.0, failure=ProbeFailure.SHUT_DOWN),
                WAITING_1,
                WAITING_2,
            ),
            True,
            id="shut down by its owner",
        ),
        pytest.param(
            dead(WAITING_1, WAITING_2, replica("zone1-103", of=None, tablet_type=TabletType.PRIMARY)),
            False,
            id="another one is primary by its own account",
        ),
    ],
)
def test_a_dead_primary_is_confirmed_by_fresh_evidence_of_its_replicas(view: ShardView, confirmed: bool) -> None:
    """Two failed probes suffice if all were probed, all answering replicas were heard since, and one saw it too."""
    finding = found(view)[0]
    assert finding.code is Code.DEAD_PRIMARY
    assert finding.confirmed is confirmed


@pytest.mark.parametrize("failure", [failure for failure in ProbeFailure if failure is not ProbeFailure.SHUT_DOWN])
def test_a_primary_that_still_feeds_a_replica_is_not_dead(failure: ProbeFailure) -> None:
    """A primary is not dead while one replica receives from it, however its probes fail."""
    view = shard(primary(dead_for=60.0, failure=failure), WAITING_1, replica(R2))
    finding = found(view)[0]
    assert finding.code is Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS
    assert finding.confirmed
    assert codes(shard(primary(dead_for=60.0, failure=failure), replica(R2)))[0] is Code.UNREACHABLE_PRIMARY


def shut_out(name: str, *, since: float = 1.0, error: str = "Can't connect to MySQL server") -> TabletView:
    """A replica that lost the primary so many seconds ago and cannot connect again."""
    return quiet(replica(name, io=CONNECTING, io_error=error), since)


@pytest.mark.parametrize(
    ("first", "second", "changes", "expected"),
    [
        pytest.param(shut_out(R1), replica(R2), {}, (Code.DEAD_PRIMARY, True), id="one cannot connect again"),
        pytest.param(shut_out(R1), replica(R2), {"failures": 1}, (Code.DEAD_PRIMARY, False), id="one failed probe"),
        pytest.param(
            shut_out(R1),
            replica(R2, heard=5.0),
            {},
            (Code.DEAD_PRIMARY, False),
            id="the other was not heard since",
        ),
        pytest.param(
            shut_out(R1), changed(replica(R2), last_advance_at=NOW - 0.5), {}, None, id="the other received since"
        ),
        pytest.param(
            shut_out(R1),
            changed(replica(R2), last_advance_at=NOW - 2.0),
            {},
            (Code.DEAD_PRIMARY, True),
            id="the other received before",
        ),
        pytest.param(
            shut_out(R1),
            changed(replica(R2), last_advance_at=NOW - 1.0),
            {},
            (Code.DEAD_PRIMARY, True),
            id="the other received at that moment",
        ),
        pytest.param(shut_out(R1, since=4.0), replica(R2), {}, None, id="it lost the primary before that failed"),
        pytest.param(shut_out(R1, since=3.0), replica(R2), {}, None, id="it lost the primary as that failed"),
        pytest.param(shut_out(R1, error="Too many connections"), replica(R2), {}, None, id="the server refuses it"),
        pytest.param(shut_out(R1, error=""), replica(R2), {}, None, id="it has not failed yet"),
        pytest.param(shut_out(R1), replica(R2), {"failure": ProbeFailure.TIMEOUT}, None, id="its tablet is silent"),
    ],
)
def test_a_mysql_that_shuts_down_is_dead_once_a_replica_cannot_connect(
    first: TabletView, second: TabletView, changes: dict[str, object], expected: tuple[Code, bool] | None
) -> None:
    """A shutdown closes the connections of replicas last, so one that cannot connect again proves it."""
    finding = found(dead(first, second, **changes))[0]
    if expected is None:
        assert finding.code is Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS
        return
    assert (finding.code, finding.confirmed) == expected
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 answers that its MySQL is down, and zone1-0000000101 cannot connect to it any "
        "more"
    )


def test_a_replica_that_was_receiving_before_is_asked_again() -> None:
    """A replica that was last heard before the failure leaves the finding unconfirmed."""
    finding = found(dead(replica(R1, heard=4.0), WAITING_2))[0]
    assert finding.code is Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS
    assert not finding.confirmed
    assert finding.evidence["replicas_to_hear_again"] == "zone1-0000000101"


def test_when_no_tablet_answers_vtorc_may_be_cut_off() -> None:
    """With the primary and all replicas silent no recovery is asked for, and the sentence says what may be cut off."""
    finding = found(dead(LOST_1, LOST_2, failure=ProbeFailure.TIMEOUT))[0]
    assert finding.sentence == (
        "commerce/0: zone1-0000000100 does not answer, nor does any of its 2 replicas: vtorc itself may be cut off"
    )
    assert finding.problem.recovery is None


def test_a_drained_replica_is_a_witness() -> None:
    """A tablet that replicates from the primary is evidence for it, whatever its type."""
    view = dead(WAITING_1, replica(D, TabletType.DRAINED))
    assert codes(view)[0] is Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS


def test_replicas_of_a_cleanly_stopped_primary_are_known_by_its_uuid() -> None:
    """A tablet that was shut down has no address in its record; its UUID still tells which replicas are its own."""
    blank = {"mysql_hostname": "", "mysql_port": 0, "hostname": "", "shutdown_time": 5}
    gone = primary(dead_for=3, failure=ProbeFailure.SHUT_DOWN, record_changes=blank)
    assert codes(shard(gone, WAITING_1, WAITING_2)) == [Code.DEAD_PRIMARY]
    elsewhere = replica(R1, of="zone9-900", io=CONNECTING)
    assert codes(shard(gone, elsewhere))[0] is Code.DEAD_PRIMARY_WITHOUT_REPLICAS
    never_heard = changed(gone, status=None, status_at=None)
    assert codes(shard(never_heard, WAITING_1, WAITING_2)) == [Code.DEAD_PRIMARY]


@pytest.mark.parametrize(
    ("what", "view", "code", "confirmed"),
    [
        ("its MySQL is down", dead(idle(R1), idle(R2)), Code.DEAD_PRIMARY, True),
        ("silent for long", lone_heir(6), Code.DEAD_PRIMARY, True),
        ("silent for a moment", lone_heir(3), Code.DEAD_PRIMARY, False),
        ("never heard", lone_heir(6, never_heard=True), Code.DEAD_PRIMARY, True),
        ("one of them not heard since", lone_heir(6, heard=7.0), Code.DEAD_PRIMARY, False),
        (
            "down, under a policy that asks for no acknowledgements",
            shard(primary(dead_for=3, never_heard=True), idle(R1), idle(R2), policy_name="none"),
            Code.DEAD_PRIMARY,
            True,
        ),
        (
            "silent under such a policy, so that it may take writes",
            shard(primary(dead_for=60, failure=ProbeFailure.TIMEOUT), idle(R1), idle(R2), policy_name="none"),
            Code.DEAD_PRIMARY_WITHOUT_REPLICAS,
            True,
        ),
        ("no tablet would be left to acknowledge", dead(idle(R1)), Code.DEAD_PRIMARY_WITHOUT_REPLICAS, True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_heir_that_died_before_it_had_replicas_is_lost(
    what: str, view: ShardView, code: Code, confirmed: bool
) -> None:
    """A primary without replicas is dead once MySQL is down or long silent, if other tablets can go on without it."""
    del what
    finding = found(view)[0]
    assert (finding.code, finding.confirmed) == (code, confirmed)


def test_a_tablet_that_was_not_probed_yet_has_no_problem() -> None:
    """No finding is made about a tablet before its first probe has ended."""
    assert codes(shard(unprobed(primary()), unprobed(replica(R1)))) == []


# No primary


@pytest.mark.parametrize(
    ("view", "code", "confirmed"),
    [
        pytest.param(fresh_shard(new(R1), new(R2)), Code.CLUSTER_HAS_NO_PRIMARY, True, id="fresh"),
        pytest.param(
            fresh_shard(new(R1), unprobed(new(R2))), Code.CLUSTER_HAS_NO_PRIMARY, False, id="fresh, not all asked"
        ),
        pytest.param(
            fresh_shard(new(R1, tablet_type=TabletType.PRIMARY), new(R2)),
            Code.PRIMARY_TABLET_DELETED,
            False,
            id="fresh, but one was just promoted",
        ),
        pytest.param(
            shard(idle(R1), term=0), Code.PRIMARY_TABLET_DELETED, True, id="a primary is named, though without a time"
        ),
        pytest.param(shard(replica(R1), unprobed(replica(R2))), Code.PRIMARY_TABLET_DELETED, False, id="not all asked"),
        pytest.param(
            shard(idle(P), replica(R1, io=STOPPED)),
            Code.PRIMARY_TABLET_DELETED,
            True,
            id="the primary changed its type",
        ),
        pytest.param(
            shard(idle(P, tablet_type=TabletType.PRIMARY, read_only=False), replica(R1)),
            Code.PRIMARY_TABLET_DELETED,
            False,
            id="the primary's record is late",
        ),
        pytest.param(
            shard(of_old_version(idle(P, read_only=False)), replica(R1)),
            Code.PRIMARY_TABLET_DELETED,
            False,
            id="the record of a primary of an old version is late",
        ),
        pytest.param(
            shard(failing(idle(P)), replica(R1)),
            Code.PRIMARY_TABLET_DELETED,
            False,
            id="it changed its type, does not answer and is replicated from",
        ),
        pytest.param(
            shard(failing(idle(P)), replica(R1, io=STOPPED)),
            Code.PRIMARY_TABLET_DELETED,
            True,
            id="it changed its type and does not answer, and no replica receives from it",
        ),
        pytest.param(
            shard(idle(P), replica(R1)),
            Code.PRIMARY_TABLET_DELETED,
            True,
            id="it says itself that it changed its type, although it is replicated from",
        ),
        pytest.param(
            shard(primary("zone1-105", term=5, dead_for=9), replica(R1), replica(R2)),
            Code.PRIMARY_TABLET_DELETED,
            True,
            id="only a former primary has a record",
        ),
    ],
)
def test_a_missing_primary_is_told_from_one_that_never_was(view: ShardView, code: Code, confirmed: bool) -> None:
    """The shard record tells whether there was a primary; the finding is confirmed once none can still turn up.

    It is never put down to load, which would make a replacement wait.
    """
    finding = found(view)[0]
    assert finding.code is code
    assert not finding.may_be_load
    assert finding.confirmed is confirmed


@pytest.mark.parametrize(
    ("tablet", "proof"),
    [
        (replica(R1, executed=""), "zone1-0000000101 replicates from mysql-zone1-100:3306"),
        (failing(replica(R1, executed=""), ProbeFailure.TIMEOUT), "zone1-0000000101 replicates from"),
        (new(R1, read_only=False), "zone1-0000000101 is writable"),
        (new(R1, tablet_type=TabletType.PRIMARY), "zone1-0000000101 declares itself primary"),
        (idle(R1), "zone1-0000000101 has 50 transactions: 00000100…:1-50 in its logs"),
        (idle(R1, purged=gtids("100:1-49")), "has 1 transaction: 00000100…:50 in its logs"),
        (new(R1), ""),
        (new(R1, disk_stalled=True, read_only=False), ""),
        (unprobed(new(R1)), ""),
        (idle(R1, purged=gtids("100:1-50")), ""),
    ],
)
def test_servers_prove_a_past_that_no_record_tells_of(tablet: TabletView, proof: str) -> None:
    """Where no record ever named a primary, a tablet that is not as a new or a restored one is shows that one was."""
    finding = found(fresh_shard(tablet, new(R2)))[0]
    assert finding.code is (Code.PRIMARY_TABLET_DELETED if proof else Code.CLUSTER_HAS_NO_PRIMARY)
    assert proof in finding.sentence


@pytest.mark.parametrize(("seconds", "confirmed"), [(9.9, False), (10.0, True)])
def test_a_first_election_under_way_is_no_past(seconds: float, confirmed: bool) -> None:
    """A tablet that began to replicate a moment ago may follow a primary that no record names yet."""
    elected, following = new(R1), changed(replica(R2), proves_past_since=NOW - seconds)
    finding = found(fresh_shard(elected, following))[0]
    assert (finding.code, finding.confirmed) == (Code.PRIMARY_TABLET_DELETED, confirmed)


@pytest.mark.parametrize(
    ("then", "since"),
    [
        (new(R1), None),
        (new(R1, read_only=False), NOW),
        (new(R1, disk_stalled=True), None),
    ],
)
def test_a_past_is_proved_from_the_first_answer_on_that_shows_it(then: TabletView, since: float | None) -> None:
    """Until then it is None; a stalled disk tells nothing."""
    assert then.status is not None
    memory = then.memory
    for at in (NOW, NOW + 1.0):
        memory = memory.after_answer(
            then.status, then.last_probe, started=at, ended=at, asked_record=then.record, record=then.record
        )
    assert memory.proves_past_since == since
    stalled = replace(then.status, disk_stalled=True)
    again = memory.after_answer(
        stalled, then.last_probe, started=NOW + 2.0, ended=NOW + 2.0, asked_record=then.record, record=then.record
    )
    assert again.proves_past_since == since


WENT_BACK: dict[str, Any] = {"executed": "100:1-40", "read_only": True, "super_read_only": True}


@pytest.mark.parametrize(
    ("view", "code", "confirmed", "lost"),
    [
        pytest.param(
            shard(primary(**WENT_BACK), replica(R1)), Code.PRIMARY_ROLLED_BACK, True, "100:41-50", id="the primary"
        ),
        pytest.param(
            shard(primary(**WENT_BACK), replica(R1), idle(R2, tablet_type=TabletType.PRIMARY, read_only=False)),
            Code.PRIMARY_ROLLED_BACK,
            False,
            "100:41-50",
            id="the primary, but another says that it is primary",
        ),
        pytest.param(
            shard(primary(executed="100:1-50,101:1-9"), replica(R1, executed="100:1-50,101:1-5"), replica(R2)),
            Code.REPLICA_ROLLED_BACK,
            True,
            "101:6-9",
            id="a replica that was primary before",
        ),
        pytest.param(
            shard(
                primary(term=11),
                primary(R1, term=5, **{**WENT_BACK, "executed": "101:1"}),
                replica(R2, executed="101:1-2"),
            ),
            Code.REPLICA_ROLLED_BACK,
            True,
            "101:2",
            id="a tablet that still has the record of a primary",
        ),
        pytest.param(
            shard(
                primary(executed="100:1-50,112:1-9"),
                replica(D, TabletType.DRAINED, executed="100:1-50,112:1-5"),
            ),
            Code.REPLICA_ROLLED_BACK,
            True,
            "112:6-9",
            id="a drained tablet",
        ),
    ],
)
def test_a_server_that_went_back_in_time_is_found(view: ShardView, code: Code, confirmed: bool, lost: str) -> None:
    """Of a server that lacks transactions of its own, the finding names those, whatever the type of its tablet."""
    (finding,) = (
        each
        for each in found(asked_after_others(view))
        if each.code in (Code.PRIMARY_ROLLED_BACK, Code.REPLICA_ROLLED_BACK)
    )
    assert (finding.code, finding.confirmed) == (code, confirmed)
    assert finding.evidence == {"lost": str(gtids(lost))}
    assert "which it wrote itself" in finding.sentence


@pytest.mark.parametrize(("heard_since", "confirmed"), [(NOW - 0.2, True), (NOW - 0.1, True), (NOW - 0.05, False)])
def test_a_primary_that_went_back_in_time_is_asked_again_before_it_is_replaced(
    heard_since: float, confirmed: bool
) -> None:
    """An answer from before the lock may be older than a promotion by others."""
    view = asked_after_others(shard(primary(**WENT_BACK), replica(R1)))
    findings = found(view, thresholds=DetectionThresholds(heard_since=heard_since))
    (finding,) = (each for each in findings if each.code is Code.PRIMARY_ROLLED_BACK)
    assert finding.confirmed is confirmed
    assert finding.evidence == {"lost": str(gtids("100:41-50"))}


def record_confirmed(tablet: TabletView) -> TabletView:
    """The same tablet after a reading of the topology that would have found a late record."""
    return changed(tablet, acts_as_primary_since=NOW - 90.0, record_confirmed=True)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (record_confirmed(idle(P, tablet_type=TabletType.PRIMARY, read_only=False)), Code.PRIMARY_RECORD_OUTDATED),
        (record_confirmed(idle(P, tablet_type=TabletType.PRIMARY)), Code.PRIMARY_RECORD_OUTDATED),
        (idle(P, tablet_type=TabletType.PRIMARY, read_only=False), Code.PRIMARY_TABLET_DELETED),
        (record_confirmed(of_old_version(idle(P, read_only=False))), Code.PRIMARY_TABLET_DELETED),
        (
            failing(record_confirmed(idle(P, tablet_type=TabletType.PRIMARY, read_only=False))),
            Code.PRIMARY_TABLET_DELETED,
        ),
    ],
)
def test_a_primary_whose_record_went_back_in_time_is_told_from_one_that_is_late(
    named: TabletView, expected: Code
) -> None:
    """The tablet that the shard record names says that it is primary, and a minute later its record does not yet."""
    finding = found(shard(named, replica(R1), replica(R2)))[0]
    assert finding.code is expected
    assert finding.alias == (alias(P) if expected is Code.PRIMARY_RECORD_OUTDATED else None)


def test_a_record_is_not_corrected_beside_another_primary() -> None:
    """Of two tablets that declare themselves primary, neither is written into the records."""
    two = [record_confirmed(idle(each, tablet_type=TabletType.PRIMARY, read_only=False)) for each in (P, R1)]
    finding = found(shard(*two, replica(R2)))[0]
    assert (finding.code, finding.confirmed) == (Code.PRIMARY_TABLET_DELETED, False)


def follower(**changes: object) -> TabletView:
    """The tablet that the records call primary, as a replica of zone1-101."""
    values: dict[str, object] = {"read_only": True, "source": R1, "tablet_type": TabletType.REPLICA, **changes}
    return primary(**values)  # type: ignore[arg-type]


HEIR_LOST = failing(replica(R1, of=None), ProbeFailure.UNREACHABLE)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param(shard(follower(), HEIR_LOST, replica(R2, of=R1)), R1, id="all follow it"),
        pytest.param(shard(follower(), unprobed(HEIR_LOST), replica(R2, of=R1)), P, id="it was not asked yet"),
        pytest.param(shard(follower(), replica(R1, of=None), replica(R2, of=R1)), P, id="it answers"),
        pytest.param(shard(follower(), HEIR_LOST, replica(R2)), P, id="another follows the recorded one"),
        pytest.param(shard(follower(), HEIR_LOST, failing(replica(R2))), R1, id="one followed it and does not answer"),
        pytest.param(
            shard(follower(tablet_type=TabletType.PRIMARY), HEIR_LOST, replica(R2, of=R1)), P, id="it was pointed there"
        ),
        pytest.param(shard(follower(tablet_type=None), HEIR_LOST, replica(R2, of=R1)), P, id="its type is not known"),
        pytest.param(shard(follower(read_only=False), HEIR_LOST, replica(R2, of=R1)), P, id="it is writable"),
        pytest.param(shard(follower(source=None), HEIR_LOST, replica(R2, of=R1)), P, id="it has no source"),
        pytest.param(shard(follower(source="zone9-900"), HEIR_LOST), P, id="it follows a server without a record"),
        pytest.param(shard(failing(follower()), HEIR_LOST, replica(R2, of=R1)), P, id="it does not answer"),
    ],
)
def test_the_primary_is_the_lost_one_that_all_follow(view: ShardView, expected: str) -> None:
    """A record that calls a former primary primary is older than the servers, which all wait for the one after it."""
    assert view.primary is not None
    assert view.primary.alias == alias(expected)


def test_the_loss_of_a_primary_that_no_record_names_is_found() -> None:
    """All wait in vain for the tablet that took the place of the recorded primary: it is dead."""
    waiting = replace(follower().status or TabletStatus())  # narrowed for mypy
    assert waiting.replication is not None
    threads = replace(waiting.replication, io_state=CONNECTING, last_io_error="cannot connect")
    recorded = changed(follower(), status=replace(waiting, replication=threads))
    lost = failing(replica(R1, of=None), ProbeFailure.UNREACHABLE, for_=9.0)
    view = shard(recorded, lost, replica(R2, of=R1, io=CONNECTING, io_error="cannot connect"))
    finding = found(view)[0]
    assert (finding.code, finding.alias) == (Code.DEAD_PRIMARY, alias(R1))


def test_a_shard_without_replicas_is_left_alone() -> None:
    """Without a tablet to elect, the absence of a primary is no finding."""
    assert codes(fresh_shard()) == []
    assert codes(shard(replica(D, TabletType.DRAINED))) == []


def test_a_former_primary_does_not_stand_in_for_a_hidden_one() -> None:
    """No replica is re-pointed to a former primary while a later one lives in a cell that cannot be read."""
    view = shard(
        primary("zone1-105", term=5),
        replica(R1, of="zone3-300"),
        named="zone3-300",
        unreachable_cells={"zone3": "no route"},
    )
    assert view.primary is None
    assert codes(view) == [Code.UNREACHABLE_CELL, Code.UNREACHABLE_CELL]


def test_the_newest_term_wins_over_the_shard_record() -> None:
    """A primary that was promoted after the shard record was written is the primary."""
    view = shard(primary(term=10), primary("zone1-105", term=11), replica(R1, of="zone1-105"))
    assert view.primary is not None
    assert view.primary.alias == alias("zone1-105")


def test_two_primaries_of_the_same_time_are_not_touched() -> None:
    """Of two primaries with the same term none is taken for the stale one."""
    finding = next(f for f in found(healthy(primary("zone1-099"))) if f.code is Code.STALE_TOPO_PRIMARY)
    assert not finding.confirmed
    assert finding.sentence.endswith("has a record as primary, and the term of zone1-0000000100 began at the same time")


def test_a_record_as_primary_of_an_earlier_term_is_stale() -> None:
    """The sentence names the tablet whose term began later."""
    finding = next(f for f in found(healthy(primary("zone1-099", term=9))) if f.code is Code.STALE_TOPO_PRIMARY)
    assert (finding.alias, finding.confirmed) == (alias("zone1-099"), True)
    assert finding.sentence.endswith("has a record as primary, but the term of zone1-0000000100 began later")


# Replicas


@pytest.mark.parametrize(
    ("of", "seconds", "error", "sentence"),
    [
        (primary(), CUT_OFF_AFTER, "", "cannot connect to zone1-0000000100, which answers vtorc"),
        (
            primary(),
            CUT_OFF_AFTER,
            "Error connecting to source. Message: Can't connect to MySQL server (110).",
            "cannot connect to zone1-0000000100, which answers vtorc (Can't connect to MySQL server (110))",
        ),
        (primary(), CUT_OFF_AFTER - 0.1, "", None),
        (primary(dead_for=3), CUT_OFF_AFTER, "", None),
    ],
    ids=["for long", "with MySQL's word", "for two tries only", "the primary may be lost"],
)
def test_a_replica_that_does_not_get_to_a_primary_at_work_is_told(
    of: TabletView, seconds: float, error: str, sentence: str | None
) -> None:
    """Such a shard counted as healthy; while the primary does not answer, the replica tells of that one instead."""
    lost = changed(replica(R1, io=CONNECTING, io_error=error), not_receiving_since=NOW - seconds)
    told = [finding.sentence for finding in found(shard(of, lost, replica(R2))) if finding.code is Code.REPLICA_CUT_OFF]
    assert told == ([f"commerce/0: zone1-0000000101 {sentence}"] if sentence is not None else [])


def test_a_rival_is_not_repaired() -> None:
    """A replica that declares itself primary is reported, unconfirmed, and not repaired."""
    rival = replica(R1, of=None, tablet_type=TabletType.PRIMARY, read_only=False, executed="100:1-50,101:1-9")
    finding = only(shard(primary(), rival))
    assert (finding.code, finding.confirmed) == (Code.NOT_CONNECTED_TO_PRIMARY, False)


@pytest.mark.parametrize(
    ("io", "expected"),
    [
        (ThreadState.RUNNING, []),
        (CONNECTING, [Code.CONNECTED_TO_WRONG_PRIMARY]),
        (STOPPED, [Code.REPLICATION_STOPPED]),
    ],
)
def test_a_replica_that_looks_for_the_primary_at_its_old_address_is_pointed_to_the_new(
    io: ThreadState, expected: list[Code]
) -> None:
    """The primary moved and kept its UUID; a replica that still reaches it under another address is left alone."""
    moved = primary(record_changes={"mysql_hostname": "10.0.9.9"})
    findings = found(shard(moved, replica(R1, io=io), replica(R2)))
    assert [finding.code for finding in findings] == expected
    if io is CONNECTING:
        assert findings[0].sentence == (
            "commerce/0: zone1-0000000101 tries to reach zone1-0000000100 at mysql-zone1-100:3306, but it is at "
            "10.0.9.9:3306"
        )


def test_a_connecting_replica_is_not_stopped() -> None:
    """Neither a connecting IO thread nor one with an unknown state counts as stopped."""
    assert codes(shard(primary(), WAITING_1)) == []
    assert codes(shard(primary(), replica(R1, io=ThreadState.UNKNOWN, sql=ThreadState.UNKNOWN))) == []


@pytest.mark.parametrize(
    "tablets",
    [
        (of_old_version(primary()), of_old_version(replica(R1))),
        (of_old_version(primary(semi_sync_blocked=True)), of_old_version(replica(R1))),
        (of_old_version(primary()), of_old_version(replica(R1, replica_net_timeout=30))),
    ],
)
def test_a_field_that_an_older_tablet_lacks_is_no_problem(tablets: tuple[TabletView, ...]) -> None:
    """An absent field never makes a finding."""
    assert codes(shard(*tablets)) == []


@pytest.mark.parametrize(
    ("interval", "timeout", "wrong"),
    [(2.0, 4, False), (2.25, 5, False), (2.2, 4, False), (2.5, 4, True), (0.0, 4, True), (5.0, 0, False)],
)
def test_the_heartbeat_is_half_the_net_timeout(interval: float, timeout: int, wrong: bool) -> None:
    """Twice the heartbeat interval, rounded half up as SQL does, is the net timeout; a heartbeat of 0 is wrong too."""
    view = shard(primary(), replica(R1, heartbeat_interval=interval, replica_net_timeout=timeout))
    assert (codes(view) == [Code.REPLICA_MISCONFIGURED]) is wrong


@pytest.mark.parametrize(
    ("view", "errant"),
    [
        pytest.param(shard(primary(), replica(R1, executed="100:1-60")), "", id="newer than the primary's answer"),
        pytest.param(shard(primary(), replica(R1, executed="100:1-50,101:7")), "101:7", id="written on the replica"),
        pytest.param(
            shard(primary(), replica(R1, executed="100:1-50,99:342")), "99:342", id="left over from an older primary"
        ),
        pytest.param(
            shard(primary(source="zone9-900", executed="100:1-50"), replica(R1, executed="100:1-50,99:342")),
            "",
            id="the primary may be about to receive it",
        ),
        pytest.param(
            shard(primary(), replica(R1, of=R2, executed="100:1-50,101:1-5"), replica(R2)),
            "101:1-5",
            id="attached to a wrong source",
        ),
        pytest.param(dead(replica(R1, io=CONNECTING, executed="100:1-50,101:7")), "", id="the primary does not answer"),
        pytest.param(
            shard(primary(), failing(replica(D, TabletType.DRAINED, executed="100:1-50,112:7"))),
            "",
            id="a drained tablet that does not answer",
        ),
    ],
)
def test_errant_transactions_are_what_the_primary_lacks_and_did_not_write(view: ShardView, errant: str) -> None:
    """They are reported only while the primary answers, and its own transactions never count."""
    reported = [finding.evidence["errant"] for finding in found(view) if finding.code is Code.ERRANT_GTID_DETECTED]
    assert reported == ([str(gtids(errant))] if errant else [])


def test_a_replica_of_another_cell_acknowledges_under_cross_cell() -> None:
    """The policy and the cell of the primary decide which replicas must acknowledge."""
    view = shard(primary(), replica(R1), replica(R2, semi_sync=False), policy_name="cross_cell")
    assert [(finding.code, str(finding.alias)) for finding in found(view)] == [
        (Code.REPLICA_SEMI_SYNC_MUST_BE_SET, "zone2-0000000200"),
        (Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, "zone1-0000000101"),
    ]


@pytest.mark.parametrize(
    ("acker", "ready"),
    [
        (replica(R2), True),
        (replica(R2, sql=STOPPED), True),
        (replica(R2, io=CONNECTING), False),
        (replica(R2, semi_sync=False), False),
        (failing(replica(R2)), False),
        (replica(R2, TabletType.RDONLY), False),
    ],
)
def test_acks_are_demanded_once_they_would_come(acker: TabletView, ready: bool) -> None:
    """The primary is made to wait for acknowledgements once enough replicas are connected and would give them."""
    view = shard(primary(semi_sync=False), acker)
    finding = next(f for f in found(view) if f.code is Code.PRIMARY_SEMI_SYNC_MUST_BE_SET)
    assert finding.confirmed is ready


def acking(name: str, *, active: bool, told: bool = True) -> TabletView:
    """A replica that has its side of semi-sync on."""
    semi_sync = SemiSyncStatus(replica_enabled=True, replica_active=active, timeout=NO_ACK_TIMEOUT if told else 0)
    tablet = replica(name)
    assert tablet.status is not None
    return changed(tablet, status=replace(tablet.status, semi_sync=semi_sync))


def test_acks_are_not_demanded_while_mysql_waits_for_more_than_come() -> None:
    """MySQL may wait for more acknowledgements than the policy asks for, and that number counts."""
    few = shard(primary(semi_sync=False, wait_for=2), replica(R1), replica(R2, TabletType.RDONLY, semi_sync=False))
    enough = shard(primary(semi_sync=False, wait_for=2), replica(R1), replica(R2))
    assert [(finding.code, finding.confirmed) for finding in found(few)] == [
        (Code.PRIMARY_SEMI_SYNC_MUST_BE_SET, False)
    ]
    assert "asks for 1, its MySQL would wait for 2, 1 replica can give them" in found(few)[0].sentence
    assert only(enough).confirmed
    assert only(shard(primary(semi_sync=False), replica(R1), replica(R2))).sentence.endswith(
        "does not wait for acknowledgements; the policy semi_sync asks for 1, 2 replicas can give them"
    )


def test_an_io_thread_that_connected_before_semi_sync_was_on_is_made_to_connect_again() -> None:
    """A replica that receives and does not acknowledge is repaired first, and the primary does not wait for it.

    A replica that does not tell is believed.
    """
    waits_not = [primary(semi_sync=False), replica(R2, TabletType.RDONLY, semi_sync=False)]
    both = [Code.REPLICA_SEMI_SYNC_MUST_BE_SET, Code.PRIMARY_SEMI_SYNC_MUST_BE_SET]
    assert [(finding.code, finding.confirmed) for finding in found(shard(*waits_not, acking(R1, active=False)))] == [
        (both[0], True),
        (both[1], False),
    ]
    assert codes(shard(primary(), acking(R1, active=False))) == both[:1]
    for fine in (acking(R1, active=True), acking(R1, active=False, told=False)):
        assert only(shard(*waits_not, fine)).confirmed
    assert codes(blocked(acking(R1, active=False))) == [Code.SHARD_TAKES_NO_WRITES, both[0]]


def test_a_stalled_disk_says_nothing_else() -> None:
    """All other fields of a tablet with a stalled disk are void, so no finding rests on them."""
    void = replica(R1)
    assert void.status is not None
    stalled = changed(void, status=type(void.status)(disk_stalled=True))
    assert codes(shard(primary(), stalled, replica(R2))) == []


@pytest.mark.parametrize(
    ("failure", "text", "sentence"),
    [
        (ProbeFailure.REFUSED, "ignored", "commerce/0: zone1-0000000101 refuses connections"),
        (ProbeFailure.ERROR, "errno 1045", "commerce/0: zone1-0000000101 answers with an error (errno 1045)"),
    ],
)
def test_a_replica_that_fails_is_reported_in_words(failure: ProbeFailure, text: str, sentence: str) -> None:
    """The sentence says how the probe failed, and quotes the error that the tablet itself reported."""
    assert only(shard(primary(), failing(replica(R1), failure, text=text))).sentence == sentence


def test_a_tablet_stopped_by_its_owner_is_no_problem() -> None:
    """A replica that was shut down on purpose is not reported."""
    assert codes(shard(primary(), replica(R2), failing(replica(R1), ProbeFailure.SHUT_DOWN))) == []


TABLETS = st.sampled_from(
    [
        replica(R1),
        WAITING_1,
        LOST_1,
        idle(R1),
        replica(R1, read_only=False, semi_sync=False),
        replica(R1, of=R2, executed="100:1-50,101:3"),
        replica(R1, TabletType.BACKUP, io=STOPPED),
        of_old_version(idle(R1, read_only=False)),
        idle(R1, tablet_type=TabletType.PRIMARY),
        unprobed(replica(R1)),
        primary(R1, term=9),
        primary(R1, term=11),
        primary(R1, dead_for=8, failure=ProbeFailure.TIMEOUT),
        failing(replica(R1), ProbeFailure.BAD_ANSWER, never_heard=True),
    ]
)


def _renamed(tablet: TabletView, number: int) -> TabletView:
    name = f"zone{number % 3 + 1}-{100 + number}"
    status = None if tablet.status is None else replace(tablet.status, server_uuid=uuid(name))
    changes = {"alias": alias(name), "mysql_hostname": f"mysql-{name}"}
    return changed(tablet, record=replace(tablet.record, **changes), status=status)  # type: ignore[arg-type]


@given(
    st.lists(TABLETS, max_size=5), st.sampled_from(["none", "semi_sync", "cross_cell", ""]), st.sampled_from([0, 10])
)
def test_findings_are_ordered_and_unique_whatever_the_shard(
    drawn: list[TabletView], policy_name: str, term: int
) -> None:
    """Any shard can be analysed: one finding per code and tablet, in order, with a sentence about the shard."""
    view = shard(*(_renamed(tablet, number) for number, tablet in enumerate(drawn)), policy_name=policy_name, term=term)
    findings = found(view)
    assert list(findings) == sorted(findings, key=lambda finding: finding.sort_key)
    keys = [(finding.code, finding.alias) for finding in findings if finding.code is not Code.UNREACHABLE_CELL]
    assert len(keys) == len(set(keys))
    assert all(finding.sentence.startswith("commerce/0: ") for finding in findings)
    dead_or_alive = [
        finding for finding in findings if finding.code.value.startswith(("DeadPrimary", "UnreachablePrimary"))
    ]
    assert len(dead_or_alive) <= 1


def stalled(*replicas: TabletView, for_: float = 60.0) -> ShardView:
    """A shard with a primary that has reported a stalled disk for so many seconds, and nothing else."""
    told = changed(primary(), status=TabletStatus(disk_stalled=True), disk_stalled_since=NOW - for_)
    return shard(told, *replicas)


REFUSED = "Error connecting to source 'vt_repl@a:3306'. Message: Can't connect to MySQL server on 'a:3306' (111)"
SHUT_OUT = quiet(replica(R1, io=CONNECTING, io_error=REFUSED), 20)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param(
            stalled(SHUT_OUT, quiet(WAITING_2, 20)), Code.DEAD_PRIMARY, id="no replica receives or can connect"
        ),
        pytest.param(stalled(SHUT_OUT, LOST_2), Code.DEAD_PRIMARY_AND_SOME_REPLICAS, id="one replica is silent"),
        pytest.param(stalled(SHUT_OUT, replica(R2)), Code.PRIMARY_DISK_STALLED, id="one receives"),
        pytest.param(stalled(SHUT_OUT, quiet(WAITING_2, 1)), Code.PRIMARY_DISK_STALLED, id="one may still connect"),
        pytest.param(stalled(SHUT_OUT, for_=3), Code.PRIMARY_DISK_STALLED, id="it has only begun"),
        pytest.param(
            stalled(replica(R1, io=STOPPED, sql=STOPPED)), Code.PRIMARY_DISK_STALLED, id="no replica tries to connect"
        ),
        pytest.param(stalled(LOST_1, LOST_2), Code.PRIMARY_DISK_STALLED, id="no replica answers"),
        pytest.param(
            stalled(SHUT_OUT, quiet(replica(R2, io=CONNECTING, io_error="Message: Too many connections"), 20)),
            Code.PRIMARY_DISK_STALLED,
            id="its server refuses one",
        ),
    ],
)
def test_a_stalled_disk_does_not_hide_a_mysql_that_ended(view: ShardView, expected: Code) -> None:
    """A tablet manager with a stalled disk does not ask its MySQL, but the replicas tell whether MySQL is alive."""
    assert codes(view)[0] is expected


def haunted(*replicas: TabletView, certain_for: float | None = 10.0, **changes: object) -> ShardView:
    """A primary that has counted one semi-sync client more than its tablets explain, for so many seconds."""
    count = client_count(3, unknown=1)
    count = replace(count, certain_since=None if certain_for is None else count.asked_at - certain_for)
    tablets = (primary(clients=3), *(replicas or (replica(R1), replica(R2))))
    return replace(shard(*tablets, client_count=count), **changes)  # type: ignore[arg-type]


def test_a_semi_sync_client_that_no_tablet_explains_is_told_while_all_is_well() -> None:
    """The sentence names the count and where to look."""
    finding = only(haunted())
    assert (finding.code, finding.alias, finding.confirmed) == (Code.UNKNOWN_SEMI_SYNC_CLIENTS, alias(P), True)
    assert finding.problem.recovery is None
    assert "counts 3 semi-sync clients, and known tablets explain 2: a server acknowledges" in finding.sentence
    assert "SHOW REPLICAS" in finding.sentence
    assert "performance_schema.processlist" in finding.sentence
    assert finding.evidence == {"clients": "3", "unknown": "1"}
    more = haunted(client_count=client_count(4, unknown=2, certain_since=0.0))
    assert "2 servers acknowledge its writes" in only(more).sentence


def test_a_mysql_that_is_said_to_be_down_may_be_the_client_that_no_tablet_explains() -> None:
    """Its tablet manager cannot reach it, and a count that the others do not explain says that it lives."""
    view = haunted(replica(R1), failing(replica(R2), for_=90.0))
    sentences = {finding.code: finding.sentence for finding in found(view)}
    assert "tablet manager of zone2-0000000200 cannot reach" in sentences[Code.UNKNOWN_SEMI_SYNC_CLIENTS]
    assert "counts 3 semi-sync clients" in sentences[Code.UNKNOWN_SEMI_SYNC_CLIENTS]
    silent = haunted(replica(R1), failing(replica(R2), ProbeFailure.TIMEOUT))
    assert all("cannot reach" not in finding.sentence for finding in found(silent) if finding.alias == alias(P))


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(haunted(certain_for=9.9), id="not for long enough"),
        pytest.param(haunted(certain_for=None), id="a tablet that does not answer may be the client"),
        pytest.param(haunted(client_count=None), id="the clients were not counted"),
        pytest.param(
            haunted(client_count=client_count(3, certain_since=0.0, primary=alias(R1))), id="not this primary"
        ),
        pytest.param(
            replace(
                shard(primary(semi_sync=False), replica(R1, semi_sync=False), policy_name="none"),
                client_count=client_count(3, unknown=1, certain_since=0.0),
            ),
            id="its writes wait for no acknowledgement",
        ),
    ],
)
def test_no_unknown_client_is_told_without_need(view: ShardView) -> None:
    """A count that passes, or that harms nothing, is no finding."""
    assert found(view) == ()


def test_a_primary_that_waits_against_the_policy_has_unknown_clients_all_the_same() -> None:
    """It goes by its own setting until that is put right."""
    view = haunted(keyspace_record=replace(haunted().keyspace_record, durability_policy="none"))
    assert Code.UNKNOWN_SEMI_SYNC_CLIENTS in codes(view)


def test_the_count_of_a_primary_that_does_not_answer_is_no_finding() -> None:
    """What it means for a failover, the refusal tells."""
    view = replace(haunted(), tablets=dead(WAITING_1, WAITING_2).tablets)
    assert Code.UNKNOWN_SEMI_SYNC_CLIENTS not in codes(view)


def test_an_unfit_tablet_is_told_while_all_is_well() -> None:
    """A filtered replica is found before the primary is lost: what it is not used for, and what to do."""
    finding = only(shard(primary(), filtering(R1, semi_sync=False), replica(R2)))
    assert (finding.code, finding.alias, finding.confirmed) == (Code.TABLET_UNFIT, alias(R1), True)
    assert finding.sentence == (
        "commerce/0: zone1-0000000101 leaves out transactions by replication filters, and its GTIDs name them all the "
        "same: it is no copy of the data, cannot give others what it received, does not become primary, acknowledges "
        "only while others are too few; remove its filters (CHANGE REPLICATION FILTER) and rebuild it from another "
        "tablet"
    )
    assert "gtid_mode" in finding.evidence["unknown"]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param(shard(primary(log_bin=False), replica(R1)), [Code.TABLET_UNFIT], id="a primary"),
        pytest.param(
            shard(primary(), replica(R1), replica(D, TabletType.RDONLY, semi_sync=False, log_bin=False)),
            [Code.TABLET_UNFIT],
            id="an RDONLY that feeds no other",
        ),
        pytest.param(
            shard(primary(), replica(R1), replica(D, TabletType.RDONLY, semi_sync=False, binlog_format="MIXED")),
            [],
            id="an RDONLY that would be no good primary",
        ),
        pytest.param(
            shard(primary(), replica(R1), answers(replica(D, TabletType.RDONLY), semi_sync=SemiSyncStatus())),
            [],
            id="an RDONLY without semi-sync",
        ),
        pytest.param(
            shard(primary(), replica(R1), replica(D, TabletType.DRAINED, semi_sync=False, log_bin=False)),
            [],
            id="a drained tablet",
        ),
        pytest.param(shard(primary(), replica(R1), failing(filtering(R2))), [Code.INVALID_REPLICA], id="a silent one"),
        pytest.param(
            shard(primary(), failing(replica(R1)), filtering(R2, semi_sync=False), replica("zone3-300")),
            [Code.TABLET_UNFIT, Code.INVALID_REPLICA],
            id="one beside a silent one",
        ),
        pytest.param(
            shard(primary(version="8.0.36"), replica(R1), replica(R2, version="8.4.2")), [], id="an upgrade under way"
        ),
        pytest.param(
            shard(primary(), filtering(R1), replica(R2), policy_name="unheard-of"),
            [Code.UNKNOWN_DURABILITY_POLICY, Code.TABLET_UNFIT],
            id="no policy",
        ),
    ],
)
def test_only_what_bears_on_a_tablets_part_is_told(view: ShardView, expected: list[Code]) -> None:
    """What a tablet is never used for, what passes by itself, and old answers make no finding."""
    assert codes(view) == expected


@pytest.mark.parametrize("semi_sync", [{"replica_enabled": False}, {"replica_active": False}])
def test_a_tablet_with_another_source_is_not_made_to_acknowledge_to_it(semi_sync: dict[str, bool]) -> None:
    """A tablet that follows a former primary is to be pointed at the new one, which sets its semi-sync as well."""
    stray = replica(R2, of="zone1-105")
    assert stray.status is not None
    stray = answers(stray, semi_sync=replace(stray.status.semi_sync, **semi_sync))
    assert codes(shard(primary(), replica(R1), replica("zone1-105"), stray)) == [Code.CONNECTED_TO_WRONG_PRIMARY]


def test_a_primary_that_does_not_tell_its_port_yet_keeps_its_replicas() -> None:
    """A vttablet that starts has a record without the port of its mysqld, and its replicas are no strays then."""
    starting = primary(dead_for=3, record_changes={"mysql_port": 0})
    found = codes(shard(starting, replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)))
    assert Code.CONNECTED_TO_WRONG_PRIMARY not in found


UNSET, SET = Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET, Code.REPLICA_SEMI_SYNC_MUST_BE_SET


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        pytest.param(shard(primary(), filtering(R1), replica(R2)), [UNSET], id="a fit one acknowledges"),
        pytest.param(shard(primary(), filtering(R1, semi_sync=False), replica(R2)), [], id="it is off already"),
        pytest.param(
            shard(primary(), filtering(R1), replica(R2, io=CONNECTING)), [], id="the fit one does not receive"
        ),
        pytest.param(
            shard(primary(), filtering(R1, semi_sync=False), replica(R2, io=CONNECTING)), [SET], id="writes would stop"
        ),
        pytest.param(shard(primary(wait_for=2), filtering(R1), replica(R2)), [], id="MySQL waits for two"),
        pytest.param(shard(primary(), filtering(R1), filtering(R2)), [], id="no fit one"),
        pytest.param(
            shard(primary(), filtering(R1), replica(R2, TabletType.RDONLY, semi_sync=False)), [], id="an RDONLY"
        ),
        pytest.param(
            shard(primary(), answers(replica(R1), semi_sync=SemiSyncStatus()), replica(R2, io=CONNECTING)),
            [],
            id="it cannot acknowledge",
        ),
    ],
)
def test_a_hollow_acker_acknowledges_only_for_want_of_others(view: ShardView, expected: list[Code]) -> None:
    """A filtered replica is made to stop acknowledging while fit ones can, and to begin where writes would stop."""
    assert [code for code in codes(view) if code in (SET, UNSET)] == expected


def remembering(tablet: TabletView, **changes: Any) -> TabletView:
    return replace(tablet, memory=replace(tablet.memory, **changes))


def test_time_alone_makes_no_problem_of_a_healthy_shard() -> None:
    """However late the same is looked at, nothing is found, and so it need not be looked at again."""
    view = healthy()
    assert not may_change_with_time(view, policy("semi_sync"))
    assert not found(view, now=NOW + 1e6)


@pytest.mark.parametrize(
    "view",
    [
        shard(replica(R1), replica(R2)),
        replace(healthy(), client_count=client_count(certain_since=NOW - 1.0, unknown=1)),
        shard(remembering(primary(), commits_wait_since=NOW - 1.0), replica(R1), replica(R2)),
        shard(primary(), failing(replica(R1)), replica(R2)),
        shard(primary(), replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)),
        shard(primary(), changed(replica(R1, io=CONNECTING), not_receiving_since=NOW), replica(R2)),
    ],
    ids=["no primary", "unknown clients", "commits wait", "a silent replica", "no ackers", "a replica connects"],
)
def test_what_has_to_last_to_be_a_problem_is_looked_at_again(view: ShardView) -> None:
    """Each of these may be found later although all answers stay the same, or is no answer."""
    assert may_change_with_time(view, policy("semi_sync"))
