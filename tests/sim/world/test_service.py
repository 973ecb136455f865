"""Replicas that are taken out of service and put back while their MySQL hangs or starts slowly."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.sim.worlds import in_world, small_plan
from vtorc.core.facts.ids import TabletType
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import Latency


@pytest.mark.parametrize("kind", OUT_OF_SERVICE)
def test_a_change_that_hung_is_undone_after_it_took_effect(kind: TabletType) -> None:
    """A change of type that hangs in MySQL is undone once it takes effect, if the undoing was asked for meanwhile."""

    async def main(world: World, shard: SimShard) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replica.mysqld.process.freeze()
        leave = OutOfService(world, replica, kind, stops=False)
        leave.begin()
        await asyncio.sleep(3.0)
        leave.end()
        await asyncio.sleep(3.0)
        replica.mysqld.process.thaw()
        assert await world.until_well(shard, limit=120.0) == []
        assert replica.agent is not None
        assert replica.agent.state.type is TabletType.REPLICA

    in_world(main)


def test_a_replica_is_put_back_however_long_its_mysql_recovers() -> None:
    """A backup that stopped MySQL ends in service, although MySQL takes a minute until it listens again."""

    async def main(world: World, shard: SimShard) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        leave = OutOfService(world, replica, TabletType.BACKUP, stops=True)
        leave.begin()
        await asyncio.sleep(3.0)
        leave.end()
        assert await world.until_well(shard, limit=180.0) == []
        assert replica.agent is not None
        assert replica.agent.state.type is TabletType.REPLICA

    plan = small_plan()
    in_world(main, plan=replace(plan, mysql=replace(plan.mysql, recovery=Latency(60.0, 60.0, 60.0))))
