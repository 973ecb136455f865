"""In which order tablets are asked when a cell is lost and questions have to wait."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from tests.unit.core.builders import record, shard
from tests.unit.discovery.clocks import LoopClock
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import TabletStatus
from vtorc.discovery.probe_budget import CALLS, ProbeBudget
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletUnreachable
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager

SHARDS = 4 * CALLS
LOST_AT = 30.0
TAKES = 0.01
LOST_CELL = "zone2"


class Cluster:
    """Tablets of many shards, in two cells of which one is lost; notes which tablets are asked after that."""

    def __init__(self) -> None:
        self.asked: list[TabletAlias] = []

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Answer after a while, or refuse."""
        if asyncio.get_running_loop().time() >= LOST_AT:
            self.asked.append(tablet.alias)
        await asyncio.sleep(TAKES)
        if self._is_lost(tablet):
            raise TabletUnreachable("refused", reason="refused")
        return TabletStatus(server_uuid=str(tablet.alias))

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        """Report once, and break when the tablet is lost."""
        yield HealthReport(alias=tablet.alias, type=tablet.type, serving=True)
        if tablet.alias.cell != LOST_CELL:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(LOST_AT - asyncio.get_running_loop().time())
        raise TabletUnreachable("lost", reason="unreachable")

    def _is_lost(self, tablet: TabletRecord) -> bool:
        return tablet.alias.cell == LOST_CELL and asyncio.get_running_loop().time() >= LOST_AT


def watch_of(number: int, tablets: TabletManager, budget: ProbeBudget) -> ShardWatch:
    """Return a shard with one tablet in each cell; every other one has its primary in the cell that is lost."""
    name = ShardId(shard().shard.keyspace, f"{number:02x}-{number + 1:02x}")
    types = (TabletType.PRIMARY, TabletType.REPLICA)
    of_cells = zip(("zone1", LOST_CELL) if number % 2 else (LOST_CELL, "zone1"), types, strict=True)
    records = tuple(record(f"{cell}-{1000 + number}", type_, term=1) for cell, type_ in of_cells)
    topology = ShardTopology(
        read_at=0.0,
        cells=frozenset({"zone1", LOST_CELL}),
        keyspace_record=KeyspaceRecord(name=name.keyspace),
        shard_record=ShardRecord(shard=name),
        tablets=records,
    )
    return ShardWatch(name, topology, tablets, LoopClock(), ProbePace, budget=budget)


def asked_after_the_loss() -> list[TabletAlias]:
    """Return the tablets that are asked after the loss, in order."""

    async def main() -> list[TabletAlias]:
        cluster, budget = Cluster(), ProbeBudget(LoopClock().now)
        tablets = cast(TabletManager, cluster)
        watches = [watch_of(number, tablets, budget) for number in range(SHARDS)]
        watching = [asyncio.create_task(watch.run()) for watch in watches]
        await asyncio.sleep(LOST_AT + 5.0)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        return cluster.asked

    return run(main())


def test_lost_primaries_and_their_replicas_are_asked_before_what_was_asked_already() -> None:
    """At most two other questions go before each that a verdict needs: the shards found first keep none waiting."""
    asked = asked_after_the_loss()
    primaries = [TabletAlias(LOST_CELL, 1000 + number) for number in range(0, SHARDS, 2)]
    needed = [*primaries, *(TabletAlias("zone1", alias.uid) for alias in primaries)]
    assert max(asked.index(alias) for alias in needed) < 3 * len(needed)
