"""A mistake of vtorc's own in one shard, which must not cost the other shards their failover."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.control.fleet import LONGEST_REST
from vtorc.control.shard_loop import ShardLoop
from vtorc.core.decision.decisions import Action
from vtorc.core.facts.ids import ShardId
from vtorc.discovery.memory_keeper import KEEP_WITHIN, KeepTime
from vtorc.recovery.record import BegunRecovery, RecoveryRecord
from vtorc.recovery.runner import Judgement, Runner
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


def test_a_shard_that_is_watched_anew_keeps_what_was_remembered_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a lost primary had told is known after two rests, in the process and in its memory file; that nobody
    watched meanwhile is known, too.
    """
    judge = ShardLoop.judge
    mistakes = 0

    def careless(self: ShardLoop, *, heard_since: float = float("-inf")) -> Judgement:
        nonlocal mistakes
        if mistakes:
            mistakes -= 1
            raise KeyError("zone1-100")
        return judge(self, heard_since=heard_since)

    async def main(world: World, shard: SimShard) -> None:
        nonlocal mistakes
        (vtorc,) = world.vtorcs
        assert vtorc.fleet is not None
        primary = shard.primary
        assert primary is not None
        alias = primary.config.alias
        first = vtorc.fleet.loops[SHARD].watch
        known = first.memory().tablets[alias].memory
        assert known.observed_term is not None
        monkeypatch.setattr(Runner, "run", _never)
        world.power_off(primary.host)
        mistakes, loops, failed_at = 2, vtorc.fleet.loops, asyncio.get_running_loop().time()
        await until(lambda: mistakes == 0 and SHARD in loops and loops[SHARD].watch is not first)
        await asyncio.sleep(2 * KEEP_WITHIN[KeepTime.LATER])
        for tablets in (loops[SHARD].watch.memory().tablets, vtorc.disk.read()[SHARD].tablets):
            memory = tablets[alias].memory
            assert memory.observed_term is not None
            assert memory.observed_term.term == known.observed_term.term
            assert memory.server_uuid == known.server_uuid
            assert memory.unknown_until > failed_at
            assert not memory.was_heard
        world.checker.violations.clear()

    monkeypatch.setattr(ShardLoop, "judge", careless)
    in_world(main)


async def _never(self: Runner, action: Action, begun: BegunRecovery) -> RecoveryRecord:
    await asyncio.get_running_loop().create_future()
    raise AssertionError
