"""What becomes of a replica that is taken out of service and put back while its MySQL hangs."""

import asyncio

import pytest

from tests.unit.sim.worlds import in_world
from vtorc.core.ids import TabletType
from vtorc.sim.service import OUT_OF_SERVICE, Leave
from vtorc.sim.world import SimShard, World


@pytest.mark.parametrize("kind", OUT_OF_SERVICE)
def test_what_hung_is_undone_after_it_took_effect(kind: TabletType) -> None:
    """A change of type that hangs in MySQL, and is undone in the meantime, does not outlive its undoing."""

    async def main(world: World, shard: SimShard) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replica.mysqld.process.freeze()
        leave = Leave(world, replica, kind, stops=False)
        leave.begin()
        await asyncio.sleep(3.0)
        leave.end()
        await asyncio.sleep(3.0)
        replica.mysqld.process.thaw()
        assert await world.until_well(shard, limit=120.0) == []
        assert replica.agent is not None
        assert replica.agent.state.type is TabletType.REPLICA

    in_world(main)
