"""Shards that appear and disappear while a vtorc watches."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.sim.cluster.plan import shard_plan
from vtorc.sim.cluster.reshard import add_shard, leftovers, remove_shard
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.errors import SimPlanError

_NEW = shard_plan(ShardId("commerce", "80-"), CELLS, durability="semi_sync", tablets=3, first_uid=400)


def _counted(shard: SimShard) -> list[str]:
    """Return a list of the tablets that are asked for their status from now on."""
    asked: list[str] = []

    def count(name: str, ask: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
        def counting() -> Awaitable[object]:
            asked.append(name)
            return ask()

        return counting

    for tablet in shard.tablets:
        tablet.full_status = count(tablet.alias_text, tablet.full_status)  # type: ignore[method-assign,assignment]
    return asked


def _names(shard: SimShard) -> tuple[str, ...]:
    return tuple(tablet.alias_text for tablet in shard.tablets)


def test_a_shard_that_appears_gets_a_primary() -> None:
    """A shard that is created under watch gets its first primary and takes writes, without a restart."""

    async def main(world: World, _: SimShard) -> None:
        new = await add_shard(world, _NEW)
        assert await world.until_well(new, limit=30.0) == []

    in_world(main)


def test_nothing_is_left_of_a_shard_that_is_removed() -> None:
    """A shard without records is left alone at once: no call to its tablets, no loop, no task."""

    async def main(world: World, shard: SimShard) -> None:
        await asyncio.sleep(3.0)
        removing = asyncio.create_task(remove_shard(world, shard))
        await asyncio.sleep(2.0)
        assert not removing.done()
        assert list(leftovers(world, SHARD, _names(shard))) == []
        asked = _counted(shard)
        await removing
        await asyncio.sleep(60.0)
        assert asked == []

    in_world(main)


def test_what_is_left_of_a_shard_is_found() -> None:
    """A shard that is still there is found in the vtorc, so that finding nothing means something."""

    async def main(world: World, shard: SimShard) -> None:
        left = list(leftovers(world, SHARD, _names(shard)))
        assert "vtorc-1: the loop" in left
        assert {f"a task: probe {name}" for name in _names(shard)} <= set(left)

    in_world(main)


def test_a_recovery_does_not_outlive_its_shard() -> None:
    """A shard that is removed while its primary is being replaced is given up, and its slot is released."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        primary.mysqld.process.crash()
        await asyncio.sleep(0.6)
        await remove_shard(world, shard)
        assert list(leftovers(world, SHARD, _names(shard))) == []
        fleet = world.vtorcs[0].fleet
        assert fleet is not None
        assert (fleet.budget.waiting, fleet.budget.holding) == ((), ())

    in_world(main)


@pytest.mark.parametrize(
    "plan",
    [
        replace(_NEW, shard=SHARD),
        replace(_NEW, tablets=(replace(_NEW.tablets[0], alias=TabletAlias("zone9", 400)), *_NEW.tablets[1:])),
    ],
    ids=["known shard", "unknown cell"],
)
def test_a_shard_that_cannot_be_added_is_refused(plan: object) -> None:
    """A shard that exists, or has tablets in a cell that does not, is refused before anything is written."""

    async def main(world: World, _: SimShard) -> None:
        with pytest.raises(SimPlanError, match="expected a new one"):
            await add_shard(world, plan)  # type: ignore[arg-type]

    in_world(main, plan=small_plan())
