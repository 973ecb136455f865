"""Which tablets an election stops, and whether they apply what they have received."""

import pytest

from tests.unit.core.builders import RUNNING, STOPPED, P, alias, changed, failing, gtids, primary, replica, shard
from vtorc.core.election.stop_targets import tablets_to_stop, why_not_applied
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import ReplicationStatus, ThreadState
from vtorc.core.facts.views import TabletView

FIRST, SECOND, THIRD = "zone1-101", "zone1-102", "zone1-103"
DEAD = primary(dead_for=3.0)


def busy(type_: TabletType, *, acked: bool = True, semi_sync: bool = True, of: str | None = P) -> TabletView:
    """A tablet in a backup or restore, after it was an ordinary acker."""
    tablet = replica(THIRD, of=of, semi_sync=semi_sync, record_changes={"type": type_})
    return changed(tablet, may_ack_until=2000.0 if acked else None)


@pytest.mark.parametrize(
    ("tablet", "stops"),
    [
        (replica(THIRD), True),
        (replica(THIRD, TabletType.RDONLY, semi_sync=False), True),
        (failing(replica(THIRD)), False),
        (replica(THIRD, TabletType.SPARE), True),
        (replica(THIRD, TabletType.SPARE, of="zone9-900", executed="900:1-9"), False),
        (replica(THIRD, TabletType.REPLICA, of="zone9-900", executed="900:1-9"), True),
    ],
    ids=["replica", "rdonly", "silent", "spare", "external spare", "external replica"],
)
def test_tablets_that_answer_are_stopped_but_those_of_an_external_source(tablet: TabletView, stops: bool) -> None:
    """A tablet that may acknowledge is stopped whatever its source; any other follows its external source on."""
    view = shard(DEAD, replica(FIRST), replica(SECOND), tablet)
    assert (alias(THIRD) in tablets_to_stop(view, policy("semi_sync"))) is stops


@pytest.mark.parametrize(
    ("tablet", "stops"),
    [
        (busy(TabletType.BACKUP), True),
        (busy(TabletType.BACKUP, acked=False, semi_sync=False), False),
        (busy(TabletType.BACKUP, of=None), False),
        (busy(TabletType.RESTORE), True),
        (busy(TabletType.RESTORE, semi_sync=False), False),
        (busy(TabletType.BACKUP, semi_sync=False), True),
    ],
    ids=["backup acked", "backup never", "backup without source", "restore acks", "restore does not", "backup ended"],
)
def test_a_busy_tablet_is_stopped_only_if_it_may_have_acknowledged(tablet: TabletView, stops: bool) -> None:
    """A backup or restore sees to its own replication; a tablet under restore holds nothing from before."""
    view = shard(DEAD, replica(FIRST), replica(SECOND), tablet)
    assert (alias(THIRD) in tablets_to_stop(view, policy("semi_sync"))) is stops


@pytest.mark.parametrize(
    ("executed", "sql", "error", "delay", "why"),
    [
        ("100:1-60", STOPPED, "duplicate key", 3600, ""),
        ("100:1-50", RUNNING, "", None, ""),
        ("100:1-50", STOPPED, "duplicate key", 0, "duplicate key"),
        ("100:1-50", STOPPED, "", 0, "its SQL thread is stopped"),
        ("100:1-50", RUNNING, "", 30, ""),
        (
            "100:1-50",
            RUNNING,
            "",
            31,
            "applies each transaction 31 s late on purpose (SOURCE_DELAY); to end that:",
        ),
    ],
    ids=["all applied", "applies", "failed", "stopped", "late and in time", "too late"],
)
def test_a_relay_log_is_applied_unless_its_thread_is_stopped_or_late(
    executed: str, sql: ThreadState, error: str, delay: int | None, why: str
) -> None:
    """A delay counts only if it is longer than the wait, and nothing does where no transaction is left to apply."""
    status = ReplicationStatus(
        sql_state=sql, last_sql_error=error, sql_delay=delay, executed=gtids(executed), received=gtids("100:1-60")
    )
    found = why_not_applied(status, within=30.0)
    assert found.startswith(why)
    assert bool(found) is bool(why)


@pytest.mark.parametrize("delay", [None, 0])
def test_a_relay_log_without_a_delay_is_applied_however_short_the_wait(delay: int | None) -> None:
    """A wait of less than a second is no reason to take a replica for late on purpose."""
    status = ReplicationStatus(
        sql_state=RUNNING, sql_delay=delay, executed=gtids("100:1-50"), received=gtids("100:1-60")
    )
    assert why_not_applied(status, within=0.5) == ""
