"""Vtorcs that share the shards: each shard is watched, and a lost primary replaced, whichever vtorc is lost with it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, small_plan
from vtorc.control import sharing
from vtorc.core.facts.ids import ShardId
from vtorc.recovery.record import Outcome
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed
from vtorc.sim.campaigns.watched import watch_shards
from vtorc.sim.cluster.plan import shard_plan
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc, VtorcSettings
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import current_loop, run
from vtorc.sim.engine.network import LinkFault
from vtorc.sim.engine.trace import Trace
from vtorc.sim.faults.fault import Fault

OTHERS = tuple(ShardId("orders", name) for name in ("-40", "40-80", "80-c0", "c0-"))


def _in_world(main: Callable[[World], Awaitable[None]]) -> None:
    """Run `main` in a world of five shards that three vtorcs share, once each is well and watched by two."""
    plan = small_plan(vtorcs=3)
    others = (
        shard_plan(shard, CELLS, durability="semi_sync", tablets=3, first_uid=200 + 100 * number)
        for number, shard in enumerate(OTHERS)
    )

    async def start() -> None:
        trace = Trace(current_loop().time)
        with trace.capturing_logs():
            world = World(replace(plan, shards=(*plan.shards, *others)), trace, settings=VtorcSettings(shares=True))
            await world.begin()
            for shard in world.shards.values():
                assert await world.until_well(shard, limit=60.0) == []
            await until(lambda: all(len(_watching(world, shard)) == 2 for shard in world.shards))
            world.spawn(watch_shards(world), "watch the shards")
            await main(world)
            assert world.checker.violations == []

    run(start(), seed=1)


def _watching(world: World, shard: ShardId) -> list[SimVtorc]:
    return [each for each in world.vtorcs if each.fleet is not None and shard in each.fleet.loops]


def _first(world: World, shard: ShardId) -> SimVtorc:
    fleets = [each.fleet for each in _watching(world, shard)]
    names = {fleet.sharing.order_for(shard)[0] for fleet in fleets if fleet is not None and fleet.sharing is not None}
    (name,) = names
    return next(each for each in world.vtorcs if each.host.name == name)


def _lose_primary(world: World, shard: SimShard) -> SimTablet:
    assert shard.primary is not None
    lost = shard.primary
    world.power_off(lost.host)
    return lost


def _replacements(vtorc: SimVtorc, shard: ShardId) -> int:
    return sum(each.shard == shard and each.outcome is Outcome.SUCCEEDED for each in vtorc.records)


def test_the_first_vtorc_of_a_shard_replaces_its_primary() -> None:
    """While all vtorcs live, only the first one of a shard acts there."""

    async def main(world: World) -> None:
        shard, first = world.shards[SHARD], _first(world, SHARD)
        before = [_replacements(each, SHARD) for each in world.vtorcs]
        lost = _lose_primary(world, shard)
        await until(lambda: shard.primary is not None and shard.primary is not lost)
        await asyncio.sleep(1.0)
        acted = [
            each for each, earlier in zip(world.vtorcs, before, strict=True) if _replacements(each, SHARD) > earlier
        ]
        assert acted == [first]

    _in_world(main)


def test_a_stand_in_replaces_a_primary_that_is_lost_with_the_first_vtorc() -> None:
    """A shard that loses its primary and its vtorc at once has a new primary seconds later."""

    async def main(world: World) -> None:
        shard = world.shards[SHARD]
        world.power_off(_first(world, SHARD).host)
        lost = _lose_primary(world, shard)
        at = world.now
        await until(lambda: shard.primary is not None and shard.primary is not lost)
        assert world.now - at < sharing.STAND_IN_WAITS + 10.0

    _in_world(main)


def test_a_stand_in_acts_for_a_first_vtorc_that_is_blind() -> None:
    """A vtorc that renews its record, but reaches no tablet, keeps no shard from being repaired."""

    async def main(world: World) -> None:
        shard, first = world.shards[SHARD], _first(world, SHARD)
        tablets = frozenset(each.host.name for each in shard.tablets)
        blind = LinkFault(name="blind", sources=frozenset({first.host.name}), targets=tablets, cut=True)
        world.network.impose(blind)
        before = _replacements(first, SHARD)
        lost = _lose_primary(world, shard)
        await until(lambda: shard.primary is not None and shard.primary is not lost)
        assert _replacements(first, SHARD) == before
        assert _first(world, SHARD) is first

    _in_world(main)


def test_a_shard_that_loses_both_its_vtorcs_is_watched_by_the_third() -> None:
    """When both vtorcs of a shard lose power, the third watches it after their leases, and replaces its primary."""

    async def main(world: World) -> None:
        shard, both = world.shards[SHARD], _watching(world, SHARD)
        (third,) = (each for each in world.vtorcs if each not in both)
        for each in both:
            world.power_off(each.host)
        await until(lambda: third in _watching(world, SHARD))
        await asyncio.sleep(5.0)
        lost = _lose_primary(world, shard)
        await until(lambda: shard.primary is not None and shard.primary is not lost)

    _in_world(main)


def test_a_shard_that_no_vtorc_watches_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the simulator finds a vtorc that counts dead ones as alive for ever: it can fail."""

    async def main(world: World) -> None:
        monkeypatch.setattr(sharing, "LEASE", 10_000.0)
        for each in _watching(world, SHARD):
            world.power_off(each.host)
        await until(lambda: bool(world.checker.violations))
        assert {each.rule for each in world.checker.violations} == {"shard-unwatched"}
        world.checker.violations.clear()

    _in_world(main)


def test_vtorcs_that_lose_power_in_turn_leave_no_shard_unwatched() -> None:
    """Each vtorc is lost in turn, and no shard is unwatched for longer than two leases."""
    fault = Fault(kind="lose-vtorcs-in-turn", at=1.0, lasts=90.0)
    assert run_seed(3, PROFILES["sharing"], faults=(fault,)).violations == []
