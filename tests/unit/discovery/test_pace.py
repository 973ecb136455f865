"""How often a tablet is asked, and how long it may take to answer."""

import asyncio
import itertools
from dataclasses import replace
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
from vtorc.discovery.probe_budget import Lane
from vtorc.discovery.probe_pace import ProbePace
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager


@pytest.mark.parametrize(
    ("hurried_for", "interval"),
    [(None, 5.0), (0.0, 0.15), (0.7, 0.15), (2.0, 0.4), (4.0, 0.8), (5.0, 1.0), (3600.0, 1.0)],
)
def test_hurry_fades_with_the_age_of_the_suspicion(hurried_for: float | None, interval: float) -> None:
    """The interval is the calm one without a suspicion, the hurried one while it is young, then a fifth of its age."""
    assert ProbePace().interval(hurried_for) == pytest.approx(interval)


def test_a_slow_hurried_interval_does_not_fade_into_a_quicker_one() -> None:
    """A hurried interval that is set beyond the fading one holds, whatever the age of the suspicion."""
    assert ProbePace(hurried_interval=3.0).interval(60.0) == 3.0


class Hanging:
    """A tablet that never gives its status; its tablet manager answers a ping after so many seconds, or never."""

    def __init__(self, pings_after: float | None = None) -> None:
        self.pings = 0
        self.pinging = 0
        """How many pings are under way."""
        self._pings_after = pings_after

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def ping(self, tablet: TabletRecord) -> None:
        self.pings += 1
        self.pinging += 1
        try:
            if self._pings_after is None:
                raise TabletUnreachable("no answer", reason="timeout")
            await asyncio.sleep(self._pings_after)
        finally:
            self.pinging -= 1


class Answering(Hanging):
    """A tablet that is well."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        return TabletStatus()


@pytest.mark.parametrize(("suspected_at", "fails_at"), [(None, 5.0), (0.5, 1.5), (2.0, 3.0), (4.5, 5.0)])
def test_a_question_under_way_gets_the_hurried_deadline_once_there_is_a_suspicion(
    suspected_at: float | None, fails_at: float
) -> None:
    """A call that hangs ends with the calm deadline, or the hurried one from the suspicion on, whichever is sooner."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[TabletView] = loop.create_future()
        probe = TabletProbe(
            record(P, TabletType.PRIMARY),
            cast(TabletManager, Hanging()),
            LoopClock(),
            lambda before, after: None if ended.done() else ended.set_result(after),
        )
        probing = asyncio.create_task(probe.run(ProbePace))
        if suspected_at is not None:
            loop.call_later(suspected_at, lambda: probe.hurry(since=suspected_at))
        assert (await ended).failure is ProbeFailure.TIMEOUT
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        return loop.time()

    assert run(main()) == pytest.approx(fails_at)


def probes(tablet: Hanging, count: int) -> tuple[list[TabletView], float]:
    """Return the views of so many probes in a hurry, and when the last one ended."""

    async def main() -> tuple[list[TabletView], float]:
        views: list[TabletView] = []
        done = asyncio.Event()

        def changed(_: TabletView, after: TabletView) -> None:
            assert tablet.pinging == 0
            views.append(after)
            if len(views) == count:
                done.set()

        probe = TabletProbe(record(P, TabletType.PRIMARY), cast(TabletManager, tablet), LoopClock(), changed)
        probe.hurry(since=0.0)
        probing = asyncio.create_task(probe.run(ProbePace))
        await done.wait()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        return views, asyncio.get_running_loop().time()

    return run(main())


@pytest.mark.parametrize(
    ("pings_after", "then"),
    [(0.0, ProbeFailure.HUNG), (0.9, ProbeFailure.HUNG), (1.1, ProbeFailure.TIMEOUT), (None, ProbeFailure.TIMEOUT)],
)
def test_a_tablet_whose_manager_answers_a_ping_hangs(pings_after: float | None, then: ProbeFailure) -> None:
    """From the second question without an answer on, a ping beside it tells a hung MySQL from a silent host."""
    tablet = Hanging(pings_after)
    views, _ = probes(tablet, 3)
    assert [view.failure for view in views] == [ProbeFailure.TIMEOUT, then, then]
    assert views[-1].failing_since == views[0].failing_since
    assert views[-1].last_probe.failure_text == "no answer within 1.0 s"
    assert tablet.pings == 2


def test_the_ping_makes_no_verdict_later() -> None:
    """A silent host is found silent after the same time, whatever becomes of the ping."""
    assert probes(Hanging(60.0), 3)[1] == pytest.approx(probes(Hanging(None), 3)[1])


def test_a_tablet_that_answers_is_not_pinged() -> None:
    """A ping is sent only after a question that was left without an answer."""
    tablet = Answering(0.0)
    probes(tablet, 3)
    assert tablet.pings == 0


@pytest.mark.parametrize(("slowed_by", "interval"), [(1.0, 0.15), (4.0, 0.6), (16.0, 2.4)])
def test_a_busy_vtorc_lengthens_pauses_least_where_a_primary_may_be_lost(slowed_by: float, interval: float) -> None:
    """The calm and the hurried interval grow by the factor, and for a primary that may be lost to a second at most."""
    pace = ProbePace(slowed_by=slowed_by)
    assert pace.interval(None) == slowed_by * 5.0
    assert pace.interval(0.0) == pytest.approx(interval)
    assert pace.interval(0.0, primary_may_be_lost=True) == pytest.approx(min(1.0, interval))
    assert ProbePace(slowed_by=4.0, hurried_interval=2.0).interval(0.0, primary_may_be_lost=True) == 2.0


def pauses(*, suspected_at: float, seconds: float, pace: ProbePace, lane: Lane = Lane.SUSPECTED) -> list[float]:
    """Return the pauses between the questions to a tablet that is well, from a suspicion on for so many seconds."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        asked: list[float] = []
        probe = TabletProbe(
            record(P, TabletType.PRIMARY),
            cast(TabletManager, Answering()),
            LoopClock(),
            lambda before, after: asked.append(loop.time()),
        )
        probe.set_lane(lane)
        await asyncio.sleep(suspected_at)
        probe.hurry(since=suspected_at)
        probing = asyncio.create_task(probe.run(lambda: pace))
        await asyncio.sleep(seconds)
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        return [after - before for before, after in itertools.pairwise(asked)]

    return run(main())


def test_the_hurried_pace_fades_from_the_moment_of_the_suspicion_on() -> None:
    """A vtorc that has run for a minute asks as quickly at first as a new one, and once a second after five."""
    apart = pauses(suspected_at=60.0, seconds=10.0, pace=ProbePace())
    assert apart[0] == pytest.approx(0.15, abs=0.01)
    assert apart[-1] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("lane", "apart"), [(Lane.LOST_PRIMARY, 1.0), (Lane.SUSPECTED, 2.4), (Lane.CALM, 2.4)])
def test_a_busy_vtorc_asks_the_tablets_of_a_lost_primary_once_a_second(lane: Lane, apart: float) -> None:
    """It asks those of other shards less often, so that the verdict on the lost primary does not wait for them."""
    first, *_ = pauses(suspected_at=0.0, seconds=6.0, pace=ProbePace(slowed_by=16.0), lane=lane)
    assert first == pytest.approx(apart, abs=0.01)


@pytest.mark.parametrize(("drag", "deadline"), [(0.0, 1.0), (0.01, 1.3), (0.1, 4.0), (1.0, 5.0)])
def test_a_late_vtorc_gives_hurried_answers_longer(drag: float, deadline: float) -> None:
    """Each round of its loop that a call goes through is late; no answer gets longer than at the calm pace."""
    late = ProbePace().when_late(factor=4.0, drag=drag)
    assert late.hurried_deadline == pytest.approx(deadline)
    assert replace(late, hurried_deadline=1.0) == ProbePace(slowed_by=4.0)


def test_a_hurried_deadline_beyond_the_calm_one_holds_while_vtorc_is_late() -> None:
    """An operator who sets a longer one keeps it."""
    pace = ProbePace(calm_deadline=1.0, hurried_deadline=3.0)
    assert pace.when_late(factor=1.0, drag=1.0) == pace
