"""Commands of operators while servers fail: whatever comes together, no protected write is lost."""

import asyncio
import random

import pytest

from tests.unit.desk.requests import Asking, desk_of
from tests.unit.sim.worlds import in_world, small_plan
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.cluster.world import SimShard, World

KINDS = ("planned", "planned", "planned", "emergency", "emergency", "forced")


class Drill:
    """An operator that asks for reparents, cancels some of them, and breaks servers meanwhile."""

    def __init__(self, world: World, shard: SimShard, vtorc: SimVtorc, seed: int) -> None:
        self.world, self.shard, self.vtorc = world, shard, vtorc
        self.random = random.Random(f"a drill {seed}")
        self.begun = 0

    async def run(self) -> None:
        """Ask, break and cancel ten times."""
        asking = desk_of(self.vtorc)
        for _ in range(10):
            await self._ask_once(asking)
            await asyncio.sleep(self.random.uniform(0.0, 8.0))

    async def _ask_once(self, asking: Asking) -> None:
        kind = self.random.choice(KINDS)
        named = self.random.choice(self.shard.tablets).alias_text
        plan = await asking.plan(kind, to=named if kind == "forced" else None)
        if self.random.random() < 0.5:
            self._break()
            await asyncio.sleep(self.random.choice((0.0, 0.02, 0.1, 1.0)))
        reply = await asking.execute(plan)
        self.begun += reply.status == 202
        if self.random.random() < 0.3:
            self._break()
        if self.random.random() < 0.4:
            await asyncio.sleep(self.random.choice((0.0, 0.02, 0.05, 0.1)))
            await asking.cancel()

    def _break(self) -> None:
        """Crash a mysqld, or its tablet manager, for a few seconds."""
        tablet = self.random.choice(self.shard.tablets)
        loop = asyncio.get_running_loop()
        if self.random.random() < 0.7:
            tablet.mysqld.process.crash()
            loop.call_later(self.random.uniform(1.0, 10.0), self.world.start_mysqld, tablet.mysqld)
        else:
            self.world.power_off(tablet.host)
            loop.call_later(self.random.uniform(1.0, 20.0), self.world.power_on, tablet.host)


@pytest.mark.parametrize("seed", range(1, 11))
def test_no_protected_write_is_lost(seed: int) -> None:
    """The shard is well again in the end, and some of the commands were carried out."""

    async def main(world: World, shard: SimShard) -> None:
        (vtorc,) = world.vtorcs
        drill = Drill(world, shard, vtorc, seed)
        await vtorc.process.life.spawn(drill.run(), name="drill")
        await asyncio.sleep(30.0)
        assert await world.until_well(shard, limit=300.0) == []
        assert shard.primary is not None
        assert not shard.ledger.lost_on(shard.primary.mysqld)
        assert drill.begun

    in_world(main, plan=small_plan(tablets=4), seed=seed)
