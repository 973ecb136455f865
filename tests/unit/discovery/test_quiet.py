"""Since when a replica does not receive, as its probe remembers it."""

import asyncio
from typing import cast

from tests.unit.core.builders import CONNECTING, STOPPED, P, record, replica
from tests.unit.discovery.clocks import LoopClock
from tests.unit.discovery.test_lost import Answering
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.views import TabletView
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager


def answer(io: ThreadState, *, of: str = P) -> TabletStatus:
    status = replica("zone1-101", io=io, of=of).status
    assert status is not None
    return status


def first_quiet(*answers: TabletStatus | None) -> list[int | None]:
    """Return for each answer which one began the time without receiving that lasts now."""

    async def main() -> list[int | None]:
        views: list[TabletView] = []
        begun: list[float] = []
        enough = asyncio.Event()

        def changed(before: TabletView, after: TabletView) -> None:
            views.append(after)
            if after.status_at is not None:
                begun.append(after.status_at)
            if len(views) == len(answers):
                enough.set()

        tablets = cast(TabletManager, Answering(*answers))
        probe = TabletProbe(record(P, TabletType.REPLICA), tablets, LoopClock(), changed)
        probing = asyncio.create_task(probe.run(ProbePace))
        await enough.wait()
        probing.cancel()
        return [
            None if view.memory.not_receiving_since is None else begun.index(view.memory.not_receiving_since)
            for view in views
        ]

    return run(main(), seed=1)


def test_it_begins_with_the_first_answer_that_does_not_receive() -> None:
    """The time is one, whatever the state of the IO thread, and even if the tablet fails to answer in between."""
    running, connecting, stopped = answer(ThreadState.RUNNING), answer(CONNECTING), answer(STOPPED)
    assert first_quiet(running, stopped, connecting, None, connecting) == [None, 1, 1, 1, 1]
    assert first_quiet(connecting, running, connecting) == [0, None, 2]


def test_another_source_begins_it_anew() -> None:
    """Failing to receive from a former source says nothing about the present one."""
    assert first_quiet(answer(CONNECTING), answer(CONNECTING, of="zone2-200")) == [0, 1]
