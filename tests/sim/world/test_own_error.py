"""A mistake of vtorc's own in one shard, which must not cost the other shards their failover."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.control.fleet import LONGEST_REST
from vtorc.control.shard_loop import ShardLoop
from vtorc.core.facts.ids import ShardId
from vtorc.recovery.runner import Judgement
from vtorc.sim.cluster.plan import WorldPlan, shard_plan
from vtorc.sim.cluster.world import SimShard, World

OTHER = ShardId("orders", "0")


def _plan() -> WorldPlan:
    plan = small_plan()
    other = shard_plan(OTHER, CELLS, durability="semi_sync", tablets=3, first_uid=200)
    return replace(plan, shards=(*plan.shards, other), writers=2)


def test_a_mistake_in_one_shard_leaves_the_others_their_failover(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the judgement of one shard raises, the other shard is failed over; the first one is tried again with
    growing pauses, and is failed over once the mistake is gone.
    """
    judge = ShardLoop.judge
    mistaken: set[ShardId] = set()

    def careless(self: ShardLoop, *, heard_since: float = float("-inf")) -> Judgement:
        if self.watch.shard in mistaken:
            raise KeyError("zone1-100")
        return judge(self, heard_since=heard_since)

    async def main(world: World, shard: SimShard) -> None:
        other = world.shards[OTHER]
        assert await world.until_well(other, limit=60.0) == []
        mistaken.add(SHARD)
        for each in (shard, other):
            assert each.primary is not None
            world.power_off(each.primary.host)
        lost = other.primary
        await until(lambda: other.primary is not None and other.primary is not lost)
        await asyncio.sleep(LONGEST_REST)
        failures = [each.text for each in world.checker.violations]
        world.checker.violations.clear()
        assert failures
        for text, seconds in zip(failures, (1, 2, 4, 8, 16), strict=False):
            assert "commerce/0: vtorc itself failed here (KeyError: 'zone1-100')" in text
            assert f"watches this shard anew in {seconds} s" in text
        lost = shard.primary
        mistaken.clear()
        await until(lambda: shard.primary is not None and shard.primary is not lost)

    monkeypatch.setattr(ShardLoop, "judge", careless)
    in_world(main, plan=_plan())
