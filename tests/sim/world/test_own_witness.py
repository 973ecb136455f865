"""A test whether a silent primary lives must not become evidence against it."""

import asyncio

import pytest

from tests.unit.sim.worlds import in_world, small_plan
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.records import TabletRecord
from vtorc.recovery.record import Outcome
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import LinkFault


@pytest.mark.parametrize("tablets", [2, 3])
def test_a_witness_that_vtorc_stopped_says_nothing_against_the_primary(
    tablets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary that only vtorc cannot reach stays, although the replica that must reconnect takes long."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        (vtorc,) = world.vtorcs
        assert primary is not None
        assert vtorc.tools is not None
        manager = vtorc.tools.tablets
        stop, start = manager.stop_io_thread, manager.start_replication

        async def slow_stop(tablet: TabletRecord) -> None:
            await stop(tablet)
            await asyncio.sleep(4.0)

        async def slow_start(tablet: TabletRecord, *, semi_sync: bool) -> None:
            await asyncio.sleep(4.0)
            await start(tablet, semi_sync=semi_sync)

        monkeypatch.setattr(manager, "stop_io_thread", slow_stop)
        monkeypatch.setattr(manager, "start_replication", slow_start)
        here, there = frozenset({vtorc.host.name}), frozenset({primary.host.name})
        world.network.impose(LinkFault(name="out", sources=here, targets=there, cut=True))
        world.network.impose(LinkFault(name="in", sources=there, targets=here, cut=True))
        before = len(vtorc.records)
        await asyncio.sleep(90.0)
        assert shard.primary is primary
        ended = [(record.recovery, record.outcome) for record in vtorc.records[before:]]
        assert ended == 2 * [(Recovery.RESTART_DIRECT_REPLICA, Outcome.SUCCEEDED)]

    in_world(main, plan=small_plan(tablets=tablets))
