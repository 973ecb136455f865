"""A primary whose answer is late has its whole shard asked, long before the deadline of the call."""

import asyncio
from typing import cast

import pytest

from tests.unit.core.builders import P, record
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import TabletView
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import PRIMARIES_A_SECOND, ProbePace
from vtorc.discovery.slow_answer import SLOW_AFTER
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager


class Slowing:
    """A tablet that answers as quickly as it is told, and from the last of these times on never again."""

    def __init__(self, *takes: float) -> None:
        self._takes = iter(takes)
        self.asked_at: list[float] = []

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        self.asked_at.append(asyncio.get_running_loop().time())
        takes = next(self._takes, None)
        if takes is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError
        await asyncio.sleep(takes)
        return TabletStatus()


def watched(tablet: Slowing, kind: TabletType = TabletType.PRIMARY) -> tuple[list[float], TabletView, float]:
    """Return when the tablet was told to be slow, and its first failure with the moment of that.

    The moments are seconds after the question that it does not answer.
    """

    async def main() -> tuple[list[float], TabletView, float]:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[TabletView] = loop.create_future()
        slow_at: list[float] = []
        probe = TabletProbe(
            record(P, kind),
            cast(TabletManager, tablet),
            LoopClock(),
            lambda _, after: failed.set_result(after) if after.failure is not None and not failed.done() else None,
            is_slow=lambda: slow_at.append(loop.time()),
        )
        probing = asyncio.create_task(probe.run(ProbePace))
        view, at = await failed, loop.time()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        asked = tablet.asked_at[-1]
        return [each - asked for each in slow_at], view, at - asked

    return run(main())


def test_a_quick_primary_is_slow_after_half_a_second_and_fails_after_one() -> None:
    """The call that hangs gets no longer than one that began in a hurry."""
    slow_at, view, failed_at = watched(Slowing(0.01, 0.01))
    assert slow_at == [pytest.approx(SLOW_AFTER)]
    assert view.failure is ProbeFailure.TIMEOUT
    assert failed_at == pytest.approx(ProbePace().hurried_deadline)


@pytest.mark.parametrize(
    ("takes", "slow_after"),
    [((0.3,), 1.2), ((0.3, 0.01), 0.96), ((2.0,), None), ((), None)],
    ids=["busy", "busy before", "far too busy", "never heard"],
)
def test_a_primary_is_slow_only_against_its_own_answers(takes: tuple[float, ...], slow_after: float | None) -> None:
    """One that always takes long keeps no shard in a hurry."""
    slow_at, _, failed_at = watched(Slowing(*takes))
    assert slow_at == ([pytest.approx(slow_after)] if slow_after is not None else [])
    pace = ProbePace()
    assert failed_at == pytest.approx(
        max(pace.hurried_deadline, slow_after) if slow_after is not None else pace.calm_deadline
    )


def test_the_slowness_of_a_replica_tells_nothing() -> None:
    """It is asked again at the calm pace."""
    slow_at, _, failed_at = watched(Slowing(0.01), TabletType.REPLICA)
    assert slow_at == []
    assert failed_at == pytest.approx(ProbePace().calm_deadline)


def test_a_primary_is_asked_more_often_than_a_replica() -> None:
    """Only short pauses show that it commits all the time."""
    quick = [0.01] * 20
    primary, replica = Slowing(*quick), Slowing(*quick)
    watched(primary)
    watched(replica, TabletType.REPLICA)
    assert primary.asked_at[-1] - primary.asked_at[-2] == pytest.approx(1.01)
    assert replica.asked_at[-1] - replica.asked_at[-2] == pytest.approx(5.01)


@pytest.mark.parametrize(
    ("primaries", "interval"),
    [(1, 1.0), (PRIMARIES_A_SECOND, 1.0), (3 * PRIMARIES_A_SECOND, 3.0), (40 * PRIMARIES_A_SECOND, 5.0)],
)
def test_the_primaries_of_a_large_fleet_are_asked_less_often(primaries: int, interval: float) -> None:
    """All primaries together bring no more than so many questions a second, unless the calm pace does."""
    assert ProbePace().for_primaries(primaries).interval(None, is_primary=True) == interval
