"""What the answers of a replica show of its acknowledgements, and since when."""

import math
from dataclasses import replace

import pytest

from tests.unit.core.builders import CONNECTING, STOPPED, gtids, replica
from vtorc.core.facts.ack_path import AckPath, AckPathState
from vtorc.core.facts.last_probe import LastProbe, ProbeFailure
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus

R1 = "zone1-101"


def status(**changes: object) -> TabletStatus:
    answer = replica(R1, **changes).status  # type: ignore[arg-type]
    assert answer is not None
    return answer


WELL = status()
ANSWERED = LastProbe.answered(WELL, started=0.9, ended=1.0)


def read(to: int | None, received: str = "") -> TabletStatus:
    """Return the answer of a replica that has read up to there in its source's binary log."""
    answer = status(received=received)
    assert answer.replication is not None
    at = None if to is None else ("binlog.000001", to)
    return replace(answer, replication=replace(answer.replication, read_to=at))


def after(*answers: tuple[float, TabletStatus]) -> AckPath | None:
    """What is known after these answers, each with the time when its probe was over."""
    path, before = None, ANSWERED
    for ended, answer in answers:
        path = AckPath.after(path, answer, before, ended=ended)
        before = LastProbe.answered(answer, started=ended - 0.1, ended=ended)
    return path


def test_the_way_is_open_while_the_replica_receives_with_semi_sync_at_work() -> None:
    """A replica that receives acknowledges, one that connects tries to, and any other does neither."""
    off = SemiSyncStatus(replica_enabled=False, timeout=1000)
    late = SemiSyncStatus(replica_enabled=True, replica_active=False, timeout=1000)
    silent = SemiSyncStatus(replica_enabled=True)
    found = [
        path.state if (path := after((1.0, answer))) is not None else None
        for answer in (
            WELL,
            replace(WELL, semi_sync=silent),
            status(io=CONNECTING),
            status(io=STOPPED),
            status(of=None),
            replace(WELL, semi_sync=off),
            replace(WELL, semi_sync=late),
        )
    ]
    assert found == [AckPathState.OPEN, AckPathState.OPEN, AckPathState.TRYING, None, None, None, None]


def test_its_time_begins_when_the_first_answer_came() -> None:
    """The state counts from the end of the first probe that found it, and anew after each change of it."""
    path = after((1.0, WELL), (2.0, WELL), (9.0, WELL))
    assert path is not None
    assert path.since == 1.0
    path = after((1.0, WELL), (2.0, status(io=CONNECTING)), (3.0, status(io=CONNECTING)))
    assert path is not None
    assert (path.state, path.since) == (AckPathState.TRYING, 2.0)
    path = after((1.0, WELL), (2.0, status(of="zone2-200")))
    assert path is not None
    assert path.since == 2.0
    path = after((1.0, WELL), (2.0, status(io=STOPPED)), (3.0, WELL))
    assert path is not None
    assert path.since == 3.0


def test_a_silence_begins_it_anew() -> None:
    """A replica that did not answer may have been cut off meanwhile."""
    known = after((1.0, WELL), (2.0, WELL))
    silent = ANSWERED.failed(ProbeFailure.TIMEOUT, "no answer in time", started=3.0, ended=4.0)
    path = AckPath.after(known, WELL, silent, ended=5.0)
    assert path is not None
    assert (path.since, path.held_at) == (5.0, 5.0)


def test_what_it_held_is_a_second_old() -> None:
    """The transactions that count are those of an answer at least a second before the newest one."""
    first, second, third, fourth = (status(received=f"100:51-{last}") for last in (60, 70, 80, 90))
    path = after((1.0, first), (1.5, second), (2.1, third), (2.9, fourth))
    assert path is not None
    assert (path.held, path.held_at) == (gtids("100:1-60"), 1.0)
    path = after((1.0, first), (1.5, second), (2.1, third), (3.1, fourth))
    assert path is not None
    assert (path.held, path.held_at) == (gtids("100:1-80"), 2.1)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((read(100), read(900)), 1.2),
        ((read(100), read(900), read(900)), 1.2),
        ((read(100), read(900), read(950)), 1.4),
        ((read(100), read(100)), -math.inf),
        ((read(100), read(900, received="100:51-60")), -math.inf),
        ((read(None), read(900)), -math.inf),
        ((read(100), read(None)), -math.inf),
    ],
)
def test_a_replica_that_reads_on_and_receives_no_transaction_is_amid_one(
    answers: tuple[TabletStatus, ...], expected: float
) -> None:
    """The IO thread tells its place after each event, and a transaction counts as received at its end."""
    path = after(*((1.0 + number / 5, answer) for number, answer in enumerate(answers)))
    assert path is not None
    assert path.amid_transaction_at == pytest.approx(expected)
