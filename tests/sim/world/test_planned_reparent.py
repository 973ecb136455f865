"""A planned reparent with Vitess' own tools, as vtorc sees it."""

import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.core.detection.problems import Code
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.world import SimShard, World


@pytest.mark.parametrize("seed", range(1, 7))
def test_no_server_seems_to_have_gone_back_in_time(seed: int) -> None:
    """The new primary's last answer as a replica lacks what it has written since, and what its replicas already have.

    Its record, or its next answer, may come later than theirs.
    """

    async def main(world: World, shard: SimShard) -> None:
        (vtorc,) = world.vtorcs
        told = set[Code]()
        before = shard.primary
        winner = next(each for each in shard.tablets if each is not before)
        reparent = asyncio.create_task(plan_reparent(world, shard, winner))
        ends = asyncio.get_running_loop().time() + 8.0
        while asyncio.get_running_loop().time() < ends:
            told |= {decision.finding.code for decision in vtorc.decisions(shard.id)}
            await asyncio.sleep(0.002)
        await reparent
        await until(lambda: shard.primary is winner)
        assert told & {Code.PRIMARY_ROLLED_BACK, Code.REPLICA_ROLLED_BACK} == set()
        assert told, "vtorc saw nothing of it"

    in_world(main, seed=seed)
