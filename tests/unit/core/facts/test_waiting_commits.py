"""Since when the commits of a primary wait, by its binary log and by what it has executed."""

from dataclasses import replace
from typing import Any

from tests.unit.core.builders import gtids, primary, replica
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import TabletMemory

TABLET = primary()


def answer(end: int | None, executed: str = "100:1-50", *, file: str = "binlog.000001", **changes: Any) -> TabletStatus:
    """An answer of the primary, with a binary log that ends there."""
    assert TABLET.status is not None
    ends = None if end is None else (file, end)
    return replace(TABLET.status, executed=gtids(executed), binlog_end=ends, **changes)


def remembered(*answers: TabletStatus) -> TabletMemory:
    """What is remembered after these answers, of which each was asked for a second after the one before."""
    memory, before = TabletMemory(), LastProbe()
    for number, status in enumerate(answers):
        started = float(number)
        memory = memory.after_answer(
            status, before, started=started, ended=started + 0.1, asked_record=TABLET.record, record=TABLET.record
        )
        before = LastProbe.answered(status, started=started, ended=started + 0.1)
    return memory


def test_commits_wait_while_the_binary_log_grows_and_nothing_is_executed() -> None:
    """The time begins with the answer that shows the growth, and stays until a transaction is executed."""
    assert remembered(answer(100)).commits_wait_since is None
    assert remembered(answer(100), answer(100)).commits_wait_since is None
    assert remembered(answer(100), answer(200)).commits_wait_since == 1.0
    assert remembered(answer(100), answer(200), answer(200), answer(300)).commits_wait_since == 1.0
    assert remembered(answer(100), answer(200), answer(300, "100:1-51")).commits_wait_since is None


def test_a_binary_log_that_grows_by_what_is_executed_shows_nothing() -> None:
    """A server at work executes as much as it logs; one that does not tell the end of its log shows nothing."""
    assert remembered(answer(100), answer(200, "100:1-51"), answer(300, "100:1-52")).commits_wait_since is None
    assert remembered(answer(None), answer(200), answer(None)).commits_wait_since is None


def test_a_new_file_is_no_growth() -> None:
    """FLUSH BINARY LOGS begins another file, which has another end."""
    assert remembered(answer(100), answer(200, file="binlog.000002")).commits_wait_since is None


def test_a_replica_has_no_waiting_commits() -> None:
    """A server with a source commits what it applies."""
    source = replica("zone2-200").status
    assert source is not None
    assert remembered(answer(100), answer(200), answer(300, replication=source.replication)).commits_wait_since is None


def test_a_stalled_disk_tells_nothing() -> None:
    """After an answer with a stalled disk, which may hide a commit, the time begins anew."""
    stalled = TabletStatus(disk_stalled=True)
    assert remembered(answer(100), answer(200), stalled, answer(200)).commits_wait_since is None
    assert remembered(answer(100), answer(200), stalled, answer(200), answer(300)).commits_wait_since == 4.0
    assert remembered(answer(100), stalled, answer(200)).commits_wait_since is None


def test_the_last_commit_is_when_other_transactions_were_executed() -> None:
    """The answer counts that first brought other executed transactions than the one before."""
    assert remembered(answer(100)).last_commit_at is None
    assert remembered(answer(100), answer(200, "100:1-51"), answer(300, "100:1-51")).last_commit_at == 1.0
    assert remembered(answer(100), TabletStatus(disk_stalled=True), answer(100)).last_commit_at is None
