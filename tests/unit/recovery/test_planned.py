"""A planned reparent leaves alone what it could lose."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.recovery.test_repairs import by_hand, look
from tests.unit.sim.servers import until
from tests.unit.sim.worlds import small_plan
from vtorc.core.facts.durability import policy
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.tablet import TabletTraits
from vtorc.sim.cluster.world import SimShard, World
from vtorc.vttablet.mysql_api import Threads

SEMI_SYNC = policy("semi_sync")


@pytest.mark.parametrize("old", [False, True], ids=["present vttablets", "vttablets before v22"])
def test_a_relay_log_that_the_new_primary_lacks_is_kept(old: bool) -> None:
    """A replica keeps a relay log with the last copy of acknowledged writes, also when the primary moves once more.

    An operator had decided to do without those writes.
    """
    plan = small_plan(durability="semi_sync", tablets=4)
    traits = TabletTraits(tells_all=not old, checks_errant=not old)
    tablets = tuple(replace(each, traits=traits) for each in plan.shards[0].tablets)

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        one, other, alone = (each for each in shard.tablets if each is not primary)
        records = {each: await tools.topo.tablet(each.config.alias) for each in shard.tablets}
        await alone.mysqld.replication.stop(Threads.SQL)
        await one.mysqld.replication.stop(Threads.IO)
        await other.mysqld.replication.stop(Threads.IO)
        written = shard.ledger.writes
        await until(lambda: shard.ledger.writes > written + 3)
        world.power_off(primary.host)
        kept = len(alone.mysqld.replication.relay)
        await tools.tablets.promote_replica(records[one], semi_sync=True)
        await tools.tablets.set_replication_source(records[other], one.config.alias, semi_sync=True, force_start=True)
        await asyncio.sleep(5.0)
        view = await look(shard, tools)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            wanted = other.config.alias
            await PlannedReparent(session=session, view=view, policy=SEMI_SYNC, new_primary=wanted).run()
        assert shard.primary is other
        assert len(alone.mysqld.replication.relay) == kept > 0
        world.checker.violations.clear()  # both primaries lack those writes since the promotion by hand

    by_hand(main, plan=replace(plan, shards=(replace(plan.shards[0], tablets=tablets),)))
