"""Failed probes of a vtorc that was late meanwhile: which count, and which are void."""

import asyncio
from collections.abc import Callable
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
from vtorc.discovery.probe_budget import DIALS, ProbeBudget
from vtorc.discovery.probe_pace import ProbePace
from vtorc.errors import TabletCallFailed, TabletError, TabletUnreachable
from vtorc.sim.engine.loop import current_loop, forever, run
from vtorc.tablet.api import TabletManager

BROKEN = TabletUnreachable("the connection was lost", reason="unreachable")
TIMED_OUT = TabletUnreachable("no answer within 15 s", reason="timeout")
REFUSED = TabletUnreachable("refused", reason="refused")
MYSQL_DOWN = TabletCallFailed("no connection to mysqld", errno=2002)


class Failing:
    """A tablet whose status call fails after so many seconds in which vtorc stands still; None is an answer."""

    def __init__(self, error: TabletError | None, still: float) -> None:
        self.error = error
        self.asked = 0
        self.still = still
        self.hangs = False
        """Whether the call does not end by itself."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        self.asked += 1
        await asyncio.sleep(0.01)
        current_loop().stand_still(self.still)
        if self.hangs:
            await forever()
        if self.error is not None:
            raise self.error
        return TabletStatus()

    async def ping(self, tablet: TabletRecord) -> None:
        raise TIMED_OUT


def first_views(tablet: Failing, count: int, then: Callable[[], None] = lambda: None) -> list[TabletView]:
    """Return the first views that a probe tells of."""

    async def main() -> list[TabletView]:
        clock, views, enough = LoopClock(), list[TabletView](), asyncio.Event()

        def changed(_: TabletView, after: TabletView) -> None:
            views.append(after)
            then()
            if len(views) == count:
                enough.set()

        probe = TabletProbe(record(P, TabletType.PRIMARY), cast(TabletManager, tablet), clock, changed)
        tasks = [asyncio.create_task(clock.run(lambda took: None)), asyncio.create_task(probe.run(ProbePace))]
        await enough.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return views

    return run(main())


@pytest.mark.parametrize("error", [BROKEN, TIMED_OUT])
def test_silence_while_vtorc_was_late_is_void_three_times(error: TabletError) -> None:
    """It is not told at all, the tablet is asked again, and only the fourth in a row counts, as one failure."""
    tablet = Failing(error, still=3.0)
    (view,) = first_views(tablet, 1)
    assert tablet.asked == 4
    assert view.failures_in_row == 1


def test_a_missing_answer_is_void_as_well() -> None:
    """The deadline passed while vtorc was late."""
    tablet = Failing(None, still=3.0)
    tablet.hangs = True
    (view,) = first_views(tablet, 1)
    assert (tablet.asked, view.failure) == (4, ProbeFailure.TIMEOUT)


@pytest.mark.parametrize("hangs", [True, False])
def test_lateness_of_before_makes_no_failure_void(hangs: bool) -> None:
    """Only what was late during the question counts."""
    tablet = Failing(None, still=3.0)

    def end_in_time() -> None:
        tablet.still, tablet.hangs, tablet.error = 0.0, hangs, BROKEN

    _, failed = first_views(tablet, 2, end_in_time)
    assert tablet.asked == 2
    assert failed.failure is (ProbeFailure.TIMEOUT if hangs else ProbeFailure.UNREACHABLE)


def test_a_void_failure_is_followed_by_another_question_at_once() -> None:
    """The calm interval is for tablets of which something was heard, or which were silent while vtorc was on time."""
    (view,) = first_views(Failing(BROKEN, still=3.0), 1)
    assert view.last_probe.ended_at is not None
    assert view.last_probe.ended_at < ProbePace().calm_interval


def test_a_failure_that_counts_does_not_end_the_row() -> None:
    """A vtorc that is late for ever must not be blind, so all further ones count until the tablet answers."""
    tablet = Failing(BROKEN, still=3.0)
    first_views(tablet, 3)
    assert tablet.asked == 4 + 1 + 1


def test_an_answer_ends_the_row() -> None:
    """After an answer, three more failures are void before one counts."""
    tablet = Failing(BROKEN, still=3.0)

    def answer_next() -> None:
        tablet.error = None if tablet.error is not None else BROKEN

    views = first_views(tablet, 3, answer_next)
    assert [view.failure for view in views] == [ProbeFailure.UNREACHABLE, None, ProbeFailure.UNREACHABLE]
    assert tablet.asked == 4 + 1 + 4


@pytest.mark.parametrize(("error", "failure"), [(REFUSED, ProbeFailure.REFUSED), (MYSQL_DOWN, ProbeFailure.MYSQL_DOWN)])
def test_what_the_other_host_said_counts_however_late_it_is_read(error: TabletError, failure: ProbeFailure) -> None:
    """A refused connection and an error of the tablet are evidence, although vtorc was late."""
    tablet = Failing(error, still=3.0)
    (view,) = first_views(tablet, 1)
    assert (tablet.asked, view.failure) == (1, failure)


def test_silence_counts_while_vtorc_is_nearly_on_time() -> None:
    """Lateness of less than a fifth of the deadline makes nothing void."""
    tablet = Failing(BROKEN, still=0.9)
    (view,) = first_views(tablet, 1)
    assert (tablet.asked, view.failure) == (1, ProbeFailure.UNREACHABLE)


def test_a_failure_after_lateness_tells_how_long_vtorc_was_late_since_the_status() -> None:
    """The seconds count from the beginning of the probe that brought the status to the end of the failed one."""
    for answers in (1, 2):
        tablet = Failing(None, still=3.0)

        def fail_next(tablet: Failing = tablet, answers: int = answers) -> None:
            if tablet.asked == answers:
                tablet.error = MYSQL_DOWN

        failed = first_views(tablet, answers + 1, fail_next)[-1]
        assert failed.last_probe.late_before_failure == pytest.approx(6.0, abs=0.3)


def test_a_question_that_waits_for_its_slot_is_one_question() -> None:
    """Hints that come while it waits are answered by it, and the wait counts neither as silence nor as deadline."""

    async def main() -> None:
        clock, views = LoopClock(), list[TabletView]()
        budget = ProbeBudget(lambda: 0.0)  # no slot is ever taken back
        held = [budget.new_slot() for _ in range(DIALS)]
        for slot in held:
            await slot.take(dial=True)
        tablet = Failing(REFUSED, still=0.0)
        probe = TabletProbe(
            record(P, TabletType.PRIMARY),
            cast(TabletManager, tablet),
            clock,
            lambda _, after: views.append(after),
            slot=budget.new_slot(),
        )
        probing = asyncio.create_task(probe.run(ProbePace))
        await asyncio.sleep(10.0)
        probe.ask_now()
        assert tablet.asked == 0
        held.pop().free()
        await asyncio.sleep(0.1)
        assert tablet.asked == 1
        assert (views[0].failing_since, views[0].last_probe.ended_at) == (10.0, 10.01)
        next_slot = budget.new_slot()
        await next_slot.take(dial=True)
        await asyncio.sleep(20.0)
        assert tablet.asked == 1
        next_slot.free()
        await asyncio.sleep(0.1)
        assert views[1].failing_since == 10.0
        assert views[1].silent_since is not None
        assert views[1].silent_since > 22.0
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)

    run(main())
