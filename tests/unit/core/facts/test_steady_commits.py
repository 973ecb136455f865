"""The memory of steady commits, and of what a replica has read."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import P, gtids, primary, replica
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.remembered import RememberedTablet
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.tablet_memory import STEADY_GAP, TabletMemory
from vtorc.core.facts.views import TabletView

RECORD = primary().record


def remember(*answers: tuple[float, TabletStatus], late: float = 0.0) -> TabletMemory:
    """Return the memory after these answers, each asked for at its moment; vtorc was late before each of them."""
    memory, probe = TabletMemory(), LastProbe()
    for at, status in answers:
        memory = memory.after_answer(
            status, probe, started=at, ended=at + 0.01, asked_record=RECORD, record=RECORD, late=late
        )
        probe = LastProbe.answered(status, started=at, ended=at + 0.01)
    return memory


def committed(count: int) -> TabletStatus:
    """Return an answer of a primary with so many transactions."""
    return _status(primary(executed=f"100:1-{count}"))


def read(count: int, position: int) -> TabletStatus:
    """Return an answer of a replica that has received so many transactions, and read up to there."""
    status = _status(replica("zone1-101", of=P, received=f"100:1-{count}"))
    assert status.replication is not None
    return replace(status, replication=replace(status.replication, read_to=("binlog.1", position)))


def _status(tablet: TabletView) -> TabletStatus:
    assert tablet.status is not None
    return tablet.status


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        ([(0.0, 50)], None),
        ([(0.0, 50), (1.0, 60)], 1.0),
        ([(0.0, 50), (1.0, 60), (2.0, 70), (3.0, 80)], 1.0),
        ([(0.0, 50), (1.0, 60), (1.2, 60), (2.0, 70)], 1.0),
        ([(0.0, 50), (1.0, 60), (2.0, 60), (2.5, 60)], None),
        ([(0.0, 50), (1.0, 60), (1.0 + STEADY_GAP, 70)], 1.0),
        ([(0.0, 50), (1.0, 60), (1.0 + STEADY_GAP + 0.1, 70)], 1.0 + STEADY_GAP + 0.1),
    ],
    ids=["one", "two", "steady", "asked twice", "paused", "asked as rarely as may be", "not asked for long"],
)
def test_commits_are_steady_for_as_long_as_answers_bring_some(
    answers: list[tuple[float, int]], since: float | None
) -> None:
    """One answer without any is no pause yet; too long between two with some may have been one."""
    assert remember(*((at, committed(count)) for at, count in answers)).commits_steadily_since == since


def test_time_in_which_vtorc_was_late_counts_as_a_pause() -> None:
    """The clock of evidence stood then, and the servers went on."""
    answers = [(float(at), committed(50 + at)) for at in range(4)]
    assert remember(*answers, late=0.3).commits_steadily_since == 1.3
    assert remember(*answers, late=0.8).commits_steadily_since == 3.8


def test_a_part_of_a_transaction_is_something_read() -> None:
    """A long one is no silence, although it brings no further transaction until its end."""
    assert remember((0.0, read(60, 4)), (1.0, read(60, 4))).last_read_at is None
    assert remember((0.0, read(60, 4)), (1.0, read(60, 9)), (2.0, read(60, 9))).last_read_at == 1.0
    assert remember((0.0, read(60, 4)), (1.0, read(61, 4))).last_read_at == 1.0
    assert gtids("100:1-61") == read(61, 4).received


def test_neither_outlives_a_restart() -> None:
    """Both are evidence only while they are seen again and again."""
    memory = replace(remember((0.0, committed(50)), (1.0, committed(60))), last_read_at=1.0)
    kept = RememberedTablet.of(RECORD.type, 0.0, memory).memory
    assert (memory.commits_steadily_since, kept.commits_steadily_since, kept.last_read_at) == (1.0, None, None)
