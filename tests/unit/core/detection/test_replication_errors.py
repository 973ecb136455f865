"""Errors of replication that a restart cannot change: how they are recognised and told, and start no failover."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import CONNECTING, NOW, RUNNING, STOPPED, changed, primary, replica, shard
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replication_errors import ERRORS, Culprit, brief_error, error_of, lasting_error
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"

LOCKED = (
    "Error connecting to source 'vt_repl@127.0.0.1:27522'. This was attempt 4/10, with a delay of 10 seconds between "
    "attempts. Message: Access denied for user 'vt_repl'@'127.0.0.1'. Account is locked."
)
PASSWORD = (
    "error connecting to master 'vt_repl@a:3306' - retry-time: 10 retries: 3 message: Access denied for user "
    "'vt_repl'@'b' (using password: YES)"
)
PURGED = (
    "Got fatal error 1236 from source when reading data from binary log: 'Cannot replicate because the source purged "
    "required binary logs. Replicate the missing transactions from elsewhere, or provision a new replica from backup.'"
)
AHEAD = (
    "Got fatal error 1236 from source when reading data from binary log: 'Replica has more GTIDs than the source has, "
    "using the source's SERVER_UUID. This may indicate that the end of the binary log was truncated.'"
)
TWINS = (
    "Got fatal error 1236 from source when reading data from binary log: 'A replica with the same "
    "server_uuid/server_id as this replica has connected to the source; the first event '' at 4.'"
)
NO_FILE = (
    "Got fatal error 1236 from master when reading data from binary log: 'Could not find first log file name in binary "
    "log index file'"
)
DUPLICATE = (
    "Could not execute Write_rows event on table t.t; Duplicate entry '1' for key 't.PRIMARY', Error_code: 1062; "
    "handler error HA_ERR_FOUND_DUPP_KEY; the event's source log binlog.000001, end_log_pos 777"
)


@pytest.mark.parametrize(
    ("text", "number", "culprit"),
    [
        (LOCKED, 3118, Culprit.ACCOUNT),
        (PASSWORD, 1045, Culprit.ACCOUNT),
        ("Message: Your password has expired. To log in you must change it", 1862, Culprit.ACCOUNT),
        ("Message: Host 'b' is not allowed to connect to this MySQL server", 1130, Culprit.ACCOUNT),
        (
            "Message: Authentication plugin 'caching_sha2_password' reported error: Authentication requires secure "
            "connection.",
            2061,
            Culprit.ACCOUNT,
        ),
        ("Message: Plugin 'mysql_native_password' is not loaded", 1524, Culprit.ACCOUNT),
        (
            "Message: Connections using insecure transport are prohibited while --require_secure_transport=ON.",
            3159,
            Culprit.ACCOUNT,
        ),
        ("Message: SSL connection error: certificate verify failed", 2026, Culprit.ACCOUNT),
        ("Message: Host 'b' is blocked because of many connection errors; unblock with", 1129, Culprit.SOURCE),
        (PURGED, 1236, Culprit.SOURCE),
        (AHEAD, 1236, Culprit.SOURCE),
        (TWINS, 1236, Culprit.REPLICA),
        (NO_FILE, 1236, Culprit.SOURCE),
        ("Fatal error: … because source and replica have equal MySQL server UUIDs", 13117, Culprit.REPLICA),
        (DUPLICATE, 1062, Culprit.REPLICA),
        ("… Can't find record in 't', Error_code: 1032; handler error HA_ERR_KEY_NOT_FOUND", 1032, Culprit.REPLICA),
        ("Relay log read failure: Could not parse relay log event entry.", 13121, Culprit.REPLICA),
    ],
)
def test_an_error_is_recognised_by_its_text(text: str, number: int, culprit: Culprit) -> None:
    """Tablets pass on the text of an error without its number."""
    error = error_of(text)
    assert error is not None
    assert (error.number, error.culprit) == (number, culprit)
    assert error.follows is (culprit is Culprit.ACCOUNT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Error connecting to source 'vt_repl@a:3306'. Message: Can't connect to MySQL server on 'a:3306' (111)",
        "Message: Too many connections",
        "Message: Lost connection to MySQL server at 'reading initial communication packet'",
        "Relay log write failure: could not queue event from source (errno: 28 - No space left on device)",
        "Coordinator stopped because there were error(s) in the worker(s). The most recent failure being: Worker 1",
    ],
)
def test_an_error_that_may_pass_is_not_among_them(text: str) -> None:
    """A server that is gone, full or slow may be back, and a worker's error is not told."""
    assert error_of(text) is None


def test_the_four_errors_1236_have_different_advice() -> None:
    """A replica that is ahead of its source must not be rebuilt as one that is behind must."""
    advice = {error_of(text).advice for text in (PURGED, AHEAD, TWINS, NO_FILE) if error_of(text) is not None}  # type: ignore[union-attr]
    assert len(advice) == 4
    assert all(error.meaning and error.advice and error.phrases for error in ERRORS)


@pytest.mark.parametrize(
    ("io", "sql", "io_error", "sql_error", "number"),
    [
        (CONNECTING, RUNNING, LOCKED, "", 3118),
        (STOPPED, RUNNING, LOCKED, "", 3118),
        (RUNNING, RUNNING, LOCKED, "", None),
        (RUNNING, STOPPED, "", DUPLICATE, 1062),
        (RUNNING, RUNNING, "", DUPLICATE, None),
        (STOPPED, STOPPED, PURGED, DUPLICATE, 1062),
        (STOPPED, STOPPED, PURGED, "", 1236),
        (STOPPED, STOPPED, "", "", None),
    ],
)
def test_only_a_thread_that_does_not_run_has_its_error_now(
    io: ThreadState, sql: ThreadState, io_error: str, sql_error: str, number: int | None
) -> None:
    """A thread that runs again keeps the text of its last error for a while."""
    error = lasting_error(
        ReplicationStatus(io_state=io, sql_state=sql, last_io_error=io_error, last_sql_error=sql_error)
    )
    assert (error.number if error is not None else None) == number
    assert lasting_error(None) is None


def test_a_long_error_is_shortened_to_what_the_server_said() -> None:
    """How often MySQL has tried says nothing, and a GTID set of a thousand ranges hides the rest."""
    assert brief_error(LOCKED) == "Access denied for user 'vt_repl'@'127.0.0.1'. Account is locked"
    assert brief_error("x" * 300) == "x" * 300
    assert brief_error("x" * 301) == "x" * 300 + "…"


def broken(view: ShardView) -> list[Finding]:
    """Return all that is found in a shard under semi_sync."""
    return list(analyse(view, policy("semi_sync"), DetectionThresholds(), NOW))


def refused(name: str = R1, io: ThreadState = CONNECTING, text: str = LOCKED) -> TabletView:
    """A replica with that error of its IO thread."""
    return replica(name, io=io, io_error=text)


@pytest.mark.parametrize("io", [CONNECTING, STOPPED])
def test_an_account_that_is_refused_is_told_at_once_with_its_number(io: ThreadState) -> None:
    """A connecting thread that can never connect had been passed over in silence for 40 s."""
    (finding,) = broken(shard(primary(), refused(io=io), replica(R2)))
    assert finding.code is Code.REPLICATION_BROKEN
    assert finding.confirmed
    assert "because the replication account is locked (MySQL error 3118: Access denied" in finding.sentence
    assert finding.sentence.endswith("ALTER USER … ACCOUNT UNLOCK on the primary")


def test_the_applier_s_error_is_quoted_where_both_threads_have_one() -> None:
    """The sentence quotes the error that it names."""
    status = refused(io=STOPPED, text=PURGED).status
    assert status is not None
    assert status.replication is not None
    both = replace(status, replication=replace(status.replication, sql_state=STOPPED, last_sql_error=DUPLICATE))
    (finding,) = broken(shard(primary(), changed(replica(R1), status=both), replica(R2)))
    assert "(MySQL error 1062: Could not execute" in finding.sentence


def test_tablets_that_could_feed_a_replica_are_named() -> None:
    """Only replicas that have, and have not purged, all that the replica lacks could feed it."""
    lacking = replica(R1, io=STOPPED, io_error=PURGED, executed="100:1-40")
    purged = replace(primary().status, purged=primary().status.executed)  # type: ignore[union-attr,type-var]
    view = shard(
        changed(primary(), status=purged),
        lacking,
        replica(R2),
        replica(R3, executed="100:1-50", purged=replica(R3, executed="100:1-45").status.executed),  # type: ignore[union-attr]
        replica("zone3-301", executed="100:1-39"),
    )
    (finding,) = broken(view)
    assert "zone2-0000000200 could feed it as primary" in finding.sentence
    assert "zone3" not in finding.sentence


def test_the_cause_changes_with_what_the_replica_has_applied() -> None:
    """A replica that came further, or has another error, is worth another try."""
    causes = [
        broken(shard(primary(), tablet, replica(R2)))[0].cause
        for tablet in (
            refused(io=STOPPED),
            replica(R1, io=STOPPED, io_error=LOCKED, executed="100:1-49"),
            refused(io=STOPPED, text=PURGED),
        )
    ]
    assert len(set(causes)) == 3
    assert all(causes)


@pytest.mark.parametrize(("text", "confirmed"), [(LOCKED, False), ("Message: Can't connect to MySQL server", True)])
def test_a_replica_that_was_refused_is_no_witness_of_a_death(text: str, confirmed: bool) -> None:
    """A server that refuses an account lives; without another witness it takes a longer silence."""
    waiting = [changed(refused(name, text=text), not_receiving_since=NOW - 60.0) for name in (R1, R2)]
    view = shard(primary(dead_for=3.0, failure=ProbeFailure.TIMEOUT), *waiting)
    (finding,) = [each for each in broken(view) if each.code is Code.DEAD_PRIMARY]
    assert finding.confirmed is confirmed
