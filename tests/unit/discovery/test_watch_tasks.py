"""The tasks by which a shard's watch asks its tablets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import replica
from tests.unit.discovery.clocks import LoopClock
from tests.unit.discovery.watched_shard import SHARD, TOPOLOGY, Tablets
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockLost
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager
from vtorc.tablet.sending import about_to_send, checked_before_sending


class CheckedTablets(Tablets):
    """Tablets that all answer; each call is checked before it is sent, as those of the real client are."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        about_to_send()
        return await super().full_status(tablet)

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        about_to_send()
        async for report in super().stream_health(tablet):
            yield report


def test_a_tablet_that_is_first_seen_under_a_lock_is_asked_after_the_lock_was_lost() -> None:
    """The lock of one recovery is no matter of the questions that go on for ever."""

    async def main() -> None:
        lost = False
        tablets = CheckedTablets()

        def check() -> None:
            if lost:
                raise LockLost("lost")

        async def read_again() -> None:
            watch.update(TOPOLOGY)

        fewer = replace(TOPOLOGY, tablets=TOPOLOGY.tablets[:2])
        watch = ShardWatch(SHARD.shard, fewer, cast(TabletManager, tablets), LoopClock(), ProbePace)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(1.0)
        with checked_before_sending(check):
            await asyncio.create_task(read_again())
        lost = True
        moment = asyncio.get_running_loop().time()
        await asyncio.sleep(30.0)
        assert not watching.done()
        assert len(watch.view().tablets) == 3
        assert all(each.status_at is not None and each.status_at > moment for each in watch.view().tablets)
        assert len(tablets.streams) == 3
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())


def test_a_watch_that_has_ended_asks_no_more() -> None:
    """A reading or a hint that comes later starts nothing."""

    async def main() -> None:
        tablets = CheckedTablets()
        watch = ShardWatch(SHARD.shard, TOPOLOGY, cast(TabletManager, tablets), LoopClock(), ProbePace)
        watching = asyncio.create_task(watch.run())
        await asyncio.sleep(1.0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        before = len(asyncio.all_tasks())
        watch.update(replace(TOPOLOGY, read_at=1.0, tablets=(*TOPOLOGY.tablets, replica("zone3-300").record)))
        watch.suspect()
        assert len(asyncio.all_tasks()) == before == 1

    run(main())
