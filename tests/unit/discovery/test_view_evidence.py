"""Times and gaps that the views keep because elections depend on them."""

import asyncio
from typing import cast

from tests.unit.core.builders import P, record, shard
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.core.facts.views import TabletView
from vtorc.discovery.probe import TabletProbe
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletCallFailed, TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import TabletManager

MYSQL_DOWN = TabletCallFailed("no MySQL", errno=2002)
SILENT = TabletUnreachable("silent", reason="timeout")


class Tablet:
    """A tablet that gives one of these answers per probe, and the last one for ever."""

    def __init__(self, *answers: TabletStatus | Exception) -> None:
        self._answers = list(answers)

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ping(self, tablet: TabletRecord) -> None:
        raise SILENT


def probed(*answers: TabletStatus | Exception) -> list[TabletView]:
    """Return the views after that many probes, one second apart."""

    async def main() -> list[TabletView]:
        views: list[TabletView] = []
        all_seen = asyncio.Event()

        def changed(before: TabletView, after: TabletView) -> None:
            views.append(after)
            if len(views) == len(answers):
                all_seen.set()

        probe = TabletProbe(record(P, TabletType.PRIMARY), cast(TabletManager, Tablet(*answers)), LoopClock(), changed)
        probe.hurry(since=0.0)
        probing = asyncio.create_task(probe.run(lambda: ProbePace(hurried_interval=1.0)))
        await all_seen.wait()
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
        return views

    return run(main())


def test_a_series_of_failures_of_one_kind_has_its_own_beginning() -> None:
    """`failing_since` is when the tablet began to fail, `failure_since` when it began to fail as it does now."""
    views = probed(SILENT, MYSQL_DOWN, MYSQL_DOWN, TabletStatus(), MYSQL_DOWN)
    began = views[0].failing_since
    assert began is not None
    seconds = [
        tuple(
            None if each is None else round(each - began)
            for each in (view.failing_since, view.last_probe.same_failure_since)
        )
        for view in views
    ]
    assert seconds == [(0, 0), (0, 1), (0, 1), (None, None), (4, 4)]
    assert views[2].failure is ProbeFailure.MYSQL_DOWN


def test_a_cell_counts_as_never_read_until_it_was_read_once() -> None:
    """A cell that was unreachable from the start, or since it was added, hides tablets that vtorc does not know.

    A cell that was read before hides none, unless it was removed meanwhile.
    """

    async def main() -> list[frozenset[str]]:
        view = shard()

        def reading(at: float, cells: str, *blind: str) -> ShardTopology:
            return ShardTopology(
                read_at=at,
                cells=frozenset(cells.split()),
                keyspace_record=view.keyspace_record,
                shard_record=view.shard_record,
                tablets=(),
                unreachable_cells=dict.fromkeys(blind, "no route"),
            )

        watch = ShardWatch(
            view.shard,
            reading(0, "zone1 zone2", "zone1", "zone2"),
            cast(TabletManager, Tablet()),
            LoopClock(),
            lambda: ProbePace(),
        )
        seen = [watch.view().never_read_cells]
        for each in (
            reading(1, "zone1 zone2", "zone2"),
            reading(2, "zone1 zone2 zone3", "zone1", "zone2", "zone3"),
            reading(3, "zone1 zone2 zone3"),
            reading(4, "zone1 zone2 zone3", "zone3"),
            reading(5, "zone1 zone2"),
            reading(6, "zone1 zone2 zone3", "zone3"),
        ):
            watch.update(each)
            seen.append(watch.view().never_read_cells)
        return seen

    assert run(main()) == [{"zone1", "zone2"}, {"zone2"}, {"zone2", "zone3"}, set(), set(), set(), {"zone3"}]
