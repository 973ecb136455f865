"""The tasks by which a shard's watch asks its tablets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

from tests.unit.core.builders import primary, replica, shard
from tests.unit.discovery.test_view_evidence import LoopClock
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockLost
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager
from vtorc.tablet.sending import about_to_send, checked_before_sending

SHARD = shard(primary(), replica("zone1-101"), replica("zone2-200"))
TOPOLOGY = ShardTopology(
    read_at=0.0,
    cells=frozenset({"zone1", "zone2"}),
    keyspace_record=SHARD.keyspace_record,
    shard_record=SHARD.shard_record,
    tablets=tuple(tablet.record for tablet in SHARD.tablets),
)


class Tablets:
    """Tablets that all answer; each call is checked before it is sent, as those of the real client are."""

    def __init__(self) -> None:
        self.streams = 0

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        about_to_send()
        status = next(each.status for each in SHARD.tablets if each.alias == tablet.alias)
        assert status is not None
        return status

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        about_to_send()
        self.streams += 1
        await asyncio.get_running_loop().create_future()
        yield HealthReport(alias=tablet.alias, type=tablet.type, serving=True)


def test_a_tablet_that_is_first_seen_under_a_lock_is_asked_after_the_lock_was_lost() -> None:
    """The lock of one recovery is no matter of the questions that go on for ever."""

    async def main() -> None:
        lost = False
        tablets = Tablets()

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
        assert tablets.streams == 3
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    run(main())


def test_a_watch_that_has_ended_asks_no_more() -> None:
    """A reading or a hint that comes later starts nothing."""

    async def main() -> None:
        tablets = Tablets()
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
