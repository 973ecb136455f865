"""The transactions that a tablet once had, as its probe remembers them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import P, gtids, record, replica
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import TabletView
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager


class Answering:
    """A tablet that gives these answers one after the other; None is a failure."""

    def __init__(self, *answers: TabletStatus | None) -> None:
        self._answers: Iterator[TabletStatus | None] = iter(answers)

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        answer = next(self._answers, None)
        if answer is None:
            raise TabletUnreachable("gone", reason="refused")
        return answer


def holding(executed: str, received: str = "") -> TabletStatus:
    status = replica("zone1-101", executed=executed, received=received).status
    assert status is not None
    return status


def lost_after(*answers: TabletStatus | None) -> list[str]:
    """Return what is lost after each answer."""

    async def main() -> list[str]:
        views: list[TabletView] = []
        enough = asyncio.Event()

        def changed(before: TabletView, after: TabletView) -> None:
            views.append(after)
            if len(views) == len(answers):
                enough.set()

        tablets = cast(TabletManager, Answering(*answers))
        probe = TabletProbe(record(P, TabletType.REPLICA), tablets, LoopClock(), changed)
        probing = asyncio.create_task(probe.run(ProbePace))
        await enough.wait()
        probing.cancel()
        return [str(view.memory.lost_after_receipt) for view in views]

    return run(main(), seed=1)


def test_a_relay_log_that_is_gone_is_missed_until_it_is_fetched_again() -> None:
    """Transactions are lost that were received, and are now neither applied nor in the relay log; fetching ends the
    loss.
    """
    lost = lost_after(
        holding("100:1-5", "100:1-9"), None, holding("100:1-6"), holding("100:1-6", "100:1-8"), holding("100:1-9")
    )
    assert lost == ["", "", str(gtids("100:7-9")), str(gtids("100:9")), ""]


def test_an_answer_that_tells_nothing_is_no_loss() -> None:
    """A stalled disk hides what a server holds; the probe neither counts it as lost nor forgets what it held."""
    stalled = replace(holding(""), disk_stalled=True)
    assert lost_after(holding("100:1-5", "100:1-9"), stalled, holding("100:1-5")) == ["", "", str(gtids("100:6-9"))]
