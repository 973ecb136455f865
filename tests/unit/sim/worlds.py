"""Small simulated worlds for tests: one shard of three tablets in three cells."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from vtorc.core.facts.ids import ShardId
from vtorc.sim.cluster.plan import WorldPlan, shard_plan
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import current_loop, run
from vtorc.sim.engine.trace import Trace

CELLS = ("zone1", "zone2", "zone3")
SHARD = ShardId("commerce", "0")


def small_plan(*, durability: str = "semi_sync", vtorcs: int = 1, tablets: int = 3) -> WorldPlan:
    """Return a plan with one shard and one client."""
    return WorldPlan(
        cells=CELLS,
        shards=(shard_plan(SHARD, CELLS, durability=durability, tablets=tablets),),
        vtorc_cells=CELLS[:vtorcs],
        writers=1,
    )


def in_world(
    main: Callable[[World, SimShard], Awaitable[None]],
    *,
    seed: int = 1,
    plan: WorldPlan | None = None,
    begun: bool = True,
    settings: VtorcSettings | None = None,
) -> None:
    """Run `main` in a world; with `begun`, the shard has its primary and takes writes before that."""

    async def start() -> None:
        trace = Trace(current_loop().time)
        with trace.capturing_logs():
            world = World(plan or small_plan(), trace, settings=settings)
            shard = world.shards[SHARD]
            await world.begin()
            if begun:
                assert await world.until_well(shard, limit=60.0) == []
            await main(world, shard)
            assert world.checker.violations == []

    run(start(), seed=seed)


def without_vtorc(plan: WorldPlan | None = None) -> WorldPlan:
    """Return the same world without vtorcs."""
    return replace(plan or small_plan(), vtorc_cells=())
