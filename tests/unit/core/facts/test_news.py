"""Which answers of a tablet are news."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import changed
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
RECORD = TabletRecord(alias=TabletAlias("zone1", 100), keyspace="ks", shard="0", type=TabletType.REPLICA)
REPLICATION = ReplicationStatus(
    source_host="a", source_port=3306, io_state=ThreadState.RUNNING, sql_state=ThreadState.RUNNING
)
STATUS = TabletStatus(server_uuid=UUID, replication=REPLICATION)
VIEW = TabletView(record=RECORD, last_probe=LastProbe.answered(STATUS, started=1.0, ended=1.1))


@pytest.mark.parametrize(
    "after",
    [
        changed(VIEW, status_at=2.0, ended_at=2.5),
        changed(VIEW, status=replace(STATUS, executed=GtidSet.of(UUID, 1, 7))),
        changed(VIEW, status=replace(STATUS, purged=GtidSet.of(UUID, 1, 7))),
        changed(VIEW, status=replace(STATUS, binlog_end=("binlog.000001", 7))),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, lag=7, received=GtidSet.of(UUID, 9)))),
    ],
)
def test_positions_and_times_are_no_news(after: TabletView) -> None:
    """An answer that differs by what every write moves calls for no new verdict."""
    assert not after.is_news_after(VIEW)


@pytest.mark.parametrize(
    "after",
    [
        changed(VIEW, failure=ProbeFailure.TIMEOUT),
        replace(VIEW, record=replace(RECORD, type=TabletType.PRIMARY)),
        changed(VIEW, status=replace(STATUS, read_only=True)),
        changed(VIEW, status=replace(STATUS, semi_sync=SemiSyncStatus(primary_clients=1))),
        changed(VIEW, status=replace(STATUS, disk_stalled=True)),
        changed(VIEW, status=replace(STATUS, log_bin=False)),
        changed(VIEW, status=replace(STATUS, log_replica_updates=False)),
        changed(VIEW, status=replace(STATUS, binlog_format="STATEMENT")),
        changed(VIEW, status=replace(STATUS, gtid_mode="OFF")),
        changed(VIEW, status=replace(STATUS, version="8.4.2")),
        changed(VIEW, status=replace(STATUS, server_id=7)),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, has_filters=True))),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, sql_delay=60))),
        changed(VIEW, status=replace(STATUS, replication=None)),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, io_state=ThreadState.CONNECTING))),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, last_sql_error="duplicate key"))),
        changed(VIEW, status=replace(STATUS, replication=replace(REPLICATION, source_host="b"))),
    ],
)
def test_everything_else_is_news(after: TabletView) -> None:
    """An answer that differs in anything that findings are made from calls for a new verdict, and so does its end."""
    assert after.is_news_after(VIEW)
    assert VIEW.is_news_after(after)


def test_a_first_answer_is_news() -> None:
    """Nothing known before is news even if nothing differs."""
    assert VIEW.is_news_after(TabletView(record=RECORD))


@pytest.mark.parametrize(("failures", "is_news"), [(2, True), (3, True), (4, False), (400, False)])
def test_failures_are_news_until_there_are_enough(failures: int, is_news: bool) -> None:
    """A tablet that fails as before is news as long as a verdict may wait for one more failure."""
    before = changed(VIEW, failure=ProbeFailure.REFUSED, failures_in_row=failures - 1)
    assert changed(before, failures_in_row=failures).is_news_after(before) is is_news


def test_another_way_to_fail_is_news() -> None:
    """However long a tablet has failed, that it fails in another way is news."""
    before = changed(VIEW, failure=ProbeFailure.TIMEOUT, failures_in_row=400)
    assert changed(before, failure=ProbeFailure.MYSQL_DOWN, failures_in_row=401).is_news_after(before)
