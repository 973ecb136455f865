from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import changed
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.last_probe import NEVER_PROBED, LastProbe, ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.repeats import repeats
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
EXECUTED = GtidSet.of(UUID, 1, 7)
RECORD = TabletRecord(alias=TabletAlias("zone1", 100), keyspace="ks", shard="0", type=TabletType.REPLICA)
PRIMARY = replace(RECORD, type=TabletType.PRIMARY, primary_term_start=5)
SEMI_SYNC = SemiSyncStatus(replica_enabled=True, replica_active=True, timeout=1000, wait_for_replica_count=1)
RECEIVES = ReplicationStatus(
    source_host="a", source_port=3306, io_state=ThreadState.RUNNING, sql_state=ThreadState.RUNNING, received=EXECUTED
)
REPLICA_STATUS = TabletStatus(
    server_uuid=UUID, read_only=True, executed=EXECUTED, replication=RECEIVES, semi_sync=SEMI_SYNC
)
PRIMARY_STATUS = TabletStatus(server_uuid=UUID, executed=EXECUTED, semi_sync=replace(SEMI_SYNC, primary_enabled=True))


def after(view: TabletView, status: TabletStatus, *, at: float) -> TabletView:
    """The tablet after one more answer."""
    memory = view.memory.after_answer(
        status, view.last_probe, started=at, ended=at + 0.1, asked_record=view.record, record=view.record
    )
    return replace(view, last_probe=LastProbe.answered(status, started=at, ended=at + 0.1), memory=memory)


def answered(record: TabletRecord, status: TabletStatus) -> TabletView:
    """A tablet that has given the same answer several times."""
    view = TabletView(record=record, last_probe=NEVER_PROBED)
    for at in (10.0, 15.0, 20.0):
        view = after(view, status, at=at)
    return view


REPLICA_VIEW = answered(RECORD, REPLICA_STATUS)
PRIMARY_VIEW = answered(PRIMARY, PRIMARY_STATUS)


@pytest.mark.parametrize("view", [REPLICA_VIEW, PRIMARY_VIEW], ids=["replica", "primary"])
def test_the_same_answer_is_a_repetition(view: TabletView) -> None:
    """What is remembered moves only in the moments at which the same was seen once more."""
    again = after(view, replace(view.last_probe.status or REPLICA_STATUS), at=25.0)
    assert again.memory != view.memory
    assert repeats(again, view)


@pytest.mark.parametrize("view", [REPLICA_VIEW, PRIMARY_VIEW], ids=["replica", "primary"])
@pytest.mark.parametrize(
    "change",
    [
        {"executed": GtidSet.of(UUID, 1, 8)},
        {"binlog_end": ("binlog.000001", 7)},
        {"version": "9.7.4"},
        {"semi_sync_blocked": True},
        {"disk_stalled": True},
    ],
    ids=str,
)
def test_an_answer_that_differs_is_no_repetition(view: TabletView, change: dict[str, Any]) -> None:
    """Positions count too, as errant transactions are found by them."""
    status = view.current_status
    assert status is not None
    assert not repeats(after(view, replace(status, **change), at=25.0), view)


@pytest.mark.parametrize(
    "change",
    [
        {"failed_at": (9.0,)},
        {"lost_after_receipt": EXECUTED},
        {"own_missing": EXECUTED},
        {"record_confirmed": True},
        {"filtered_server": UUID},
        {"client_span": None},
        {"ack_path": None},
    ],
    ids=str,
)
def test_another_memory_is_no_repetition(change: dict[str, Any]) -> None:
    """The answer may be the same, and what is made of it another, by what other tablets have told."""
    other = replace(REPLICA_VIEW, memory=replace(REPLICA_VIEW.memory, **change))
    assert not repeats(other, REPLICA_VIEW)
    assert not repeats(REPLICA_VIEW, other)


def test_a_way_that_began_later_is_no_repetition() -> None:
    """A replica that was away meanwhile acknowledges since another moment."""
    path = REPLICA_VIEW.memory.ack_path
    assert path is not None
    later = replace(REPLICA_VIEW.memory, ack_path=replace(path, since=path.since + 1.0))
    assert not repeats(replace(REPLICA_VIEW, memory=later), REPLICA_VIEW)


def test_a_failure_and_a_changed_record_are_no_repetition() -> None:
    """Only an answer after an answer repeats anything, and only of a tablet with the same record."""
    failed = changed(REPLICA_VIEW, failure=ProbeFailure.TIMEOUT)
    assert not repeats(failed, REPLICA_VIEW)
    assert not repeats(REPLICA_VIEW, failed)
    assert not repeats(failed, failed)
    assert not repeats(replace(REPLICA_VIEW, record=replace(RECORD, type=TabletType.SPARE)), REPLICA_VIEW)
