"""Shards that lose their new primary before its promotion is known, or before any replica follows it."""

import asyncio
from dataclasses import replace

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, in_world
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.proto import topodata_pb2
from vtorc.sim.cluster.plan import ShardPlan, TabletPlan, WorldPlan
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.topo import ROOT, at_once
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.faults.catalogue import begin
from vtorc.sim.faults.fault import FaultScene
from vtorc.sim.faults.notation import read_fault
from vtorc.topo import paths

FOUR_TABLETS = ("zone1-100", "zone2-200", "zone3-300", "zone3-301")
ALIASES = ("zone1-100", "zone1-101", "zone2-200", "zone2-201")


def test_no_tablet_is_promoted_beside_a_primary_that_is_hidden_with_its_cell() -> None:
    """While the cell in which Vitess promoted a tablet is cut off, no other becomes primary; later all is well."""
    tablets = tuple(TabletPlan(alias=TabletAlias.parse(name)) for name in ALIASES)
    shard_plan = ShardPlan(shard=SHARD, durability="semi_sync", tablets=tablets)
    plan = WorldPlan(cells=("zone1", "zone2"), shards=(shard_plan,), vtorc_cells=("zone1",), writers=1)

    async def main(world: World, shard: SimShard) -> None:
        first, successor = shard.tablets[0], shard.tablets[2]
        if shard.primary is not first:
            await plan_reparent(world, shard, first)
            assert await world.until_well(shard, limit=60.0) == []
        fault = read_fault("cut-cell:zone2", at=0.0, lasts=100.0, plan=plan)

        async def cut() -> None:
            while successor.mysqld.read_only:  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.0002)
            begin(FaultScene(world, replace(fault, at=round(world.now, 3))))

        world.spawn(cut(), "cutter")
        await plan_reparent(world, shard, successor)
        await until(lambda: any(r.rule == Rule.ACKERS_UNREACHED for r in world.vtorcs[0].records))
        await asyncio.sleep(30.0)
        assert not successor.mysqld.read_only
        assert [tablet for tablet in shard.tablets if not tablet.mysqld.read_only] == [successor]
        world.network.heal()
        assert await world.until_well(shard, limit=120.0) == []
        assert shard.primary is successor

    in_world(main, plan=plan)


def test_a_successor_that_dies_with_nothing_but_its_record_is_replaced() -> None:
    """A successor that loses power once it has written its record, before any replica follows it, is replaced."""
    tablets = tuple(TabletPlan(alias=TabletAlias.parse(name)) for name in FOUR_TABLETS)
    shard_plan = ShardPlan(shard=SHARD, durability="semi_sync", tablets=tablets)
    plan = WorldPlan(cells=CELLS, shards=(shard_plan,), vtorc_cells=("zone1",), writers=1)

    async def main(world: World, shard: SimShard) -> None:
        first, successor, *slow = shard.tablets
        if shard.primary is not first:
            await plan_reparent(world, shard, first)
            assert await world.until_well(shard, limit=60.0) == []
        for each in slow:
            each.mysqld.replication.applier.slowness, each.mysqld.replication.applier.delay = 3000.0, 0.001
        await asyncio.sleep(1.0)
        first.mysqld.process.crash()
        while _type_of(world, successor) != topodata_pb2.PRIMARY:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.0002)
        world.power_off(successor.host)
        await until(lambda: any("could not be promoted" in record.sentence for record in world.vtorcs[0].records))
        for each in slow:
            each.mysqld.replication.applier.slowness, each.mysqld.replication.applier.delay = 1.0, 0.0
        world.start_mysqld(first.mysqld)
        await until(lambda: shard.primary in slow)
        assert shard.primary is not None
        assert not shard.ledger.lost_on(shard.primary.mysqld)

    in_world(main, plan=plan)


def _type_of(world: World, tablet: SimTablet) -> int:
    alias = tablet.config.alias
    row = at_once(world.topos[alias.cell].store.get(f"{ROOT}/{alias.cell}/{paths.tablet(alias)}"))
    return topodata_pb2.Tablet.FromString(row.contents).type
