"""Tablets with transactions that their primary lacks."""

import asyncio

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.core.detection.problems import Code
from vtorc.core.facts.rules import Rule
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.binlog import Heartbeat
from vtorc.vttablet.mysql_api import Threads


async def _detach(tablet: SimTablet) -> None:
    """Let an operator write into a replica and make it forget its source."""
    await tablet.mysqld.inject(Heartbeat())
    await tablet.mysqld.replication.stop(Threads.BOTH)
    await tablet.mysqld.replication.reset(forget_source=True)


def _rule(world: World, shard: SimShard, tablet: SimTablet) -> Rule | None:
    """Return the rule by which the vtorc does not attach the tablet."""
    fleet = world.vtorcs[0].facade
    assert fleet is not None
    decisions = fleet.decisions(shard.id)
    about = [d for d in decisions if d.finding.code is Code.NOT_CONNECTED_TO_PRIMARY]
    return next((d.rule for d in about if d.finding.alias == tablet.config.alias), None)


def test_a_tablet_that_cannot_be_attached_is_left_alone_until_it_can() -> None:
    """vtorc tries once, then asks an operator to rebuild the tablet, and sends nothing more until that is done."""

    async def main(world: World, shard: SimShard) -> None:
        sent: list[str] = []
        world.checker.listeners.append(lambda caller, tablet, shard, name: sent.append(f"{name} {tablet}"))
        errant, other = (each for each in shard.tablets if each is not shard.primary)
        world.change_by_hand(errant, _detach(errant))
        await until(lambda: _rule(world, shard, errant) is Rule.ERRANT)
        await asyncio.sleep(300.0)
        assert sent == [f"SetReplicationSource {errant.config.alias}"]
        await world.rebuild(errant, other)
        assert await world.until_well(shard, limit=60.0) == []
        await until(lambda: _rule(world, shard, errant) is None)

    in_world(main)
