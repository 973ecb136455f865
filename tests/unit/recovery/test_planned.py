"""A planned reparent leaves alone what it could lose."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.recovery.test_repairs import by_hand, look
from tests.unit.sim.servers import until
from tests.unit.sim.worlds import small_plan
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletCallUnknown
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.planned import PlannedReparent
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.tablet import SimTablet, TabletTraits
from vtorc.sim.cluster.tablet_manager import SimTabletManager
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


async def move(tools: RecoveryTools, view: ShardView, wanted: TabletAlias | None = None) -> None:
    """Carry out a planned reparent under the shard's lock."""
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        await PlannedReparent(session=session, view=view, policy=SEMI_SYNC, new_primary=wanted).run()


def test_a_filtered_replica_is_not_moved_to() -> None:
    """A replica that leaves rows out is refused by name, with the reason, and passed over where none is named."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        filtered = _first_choice(shard)
        filtered.mysqld.setup = filtered.mysqld.setup.with_changes(filters=True)
        view = await look(shard, tools)
        with pytest.raises(RecoveryRefused, match="leaves out transactions by replication filters"):
            await move(tools, view, filtered.config.alias)
        await move(tools, view)
        assert shard.primary not in (None, filtered)

    by_hand(main, durability="semi_sync")


def test_a_late_replica_is_moved_to_last() -> None:
    """Of replicas that may take over, one that applies late on purpose is passed over."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        late = _first_choice(shard)
        late.mysqld.replication.applier.delay_by(3.0)
        await move(tools, await look(shard, tools))
        assert shard.primary not in (None, late)

    by_hand(main, durability="semi_sync")


def _first_choice(shard: SimShard) -> SimTablet:
    """Return the replica that a planned reparent prefers among equals."""
    primary = shard.primary
    assert primary is not None
    cell = primary.config.alias.cell
    replicas = (each for each in shard.tablets if each is not primary)
    return min(replicas, key=lambda each: (each.config.alias.cell != cell, each.config.alias))


@pytest.mark.parametrize("tablets", [3, 2])
def test_no_second_passes_until_mysql_has_switched_semi_sync_off(tablets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One acknowledging replica is disconnected, which ends the wait for MySQL's receiver of acknowledgements.

    It may be the new primary itself. A primary that does not tell of semi-sync has its replicas left alone.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        view = await look(shard, tools)
        with monkeypatch.context() as patched:
            patched.setattr(SimTabletManager, "global_status", _tells_nothing)
            assert await _demotion(world, shard, tools, view) > 0.5
        await asyncio.sleep(5.0)
        assert await _demotion(world, shard, tools, await look(shard, tools)) < 0.2
        written = shard.ledger.writes
        await until(lambda: shard.ledger.writes > written)

    by_hand(main, plan=small_plan(durability="semi_sync", tablets=tablets))


async def _tells_nothing(*_: object) -> Mapping[str, str]:
    raise TabletCallUnknown("unknown method GetGlobalStatusVars")


async def _demotion(world: World, shard: SimShard, tools: RecoveryTools, view: ShardView) -> float:
    """Move the primary; returns the seconds that the demotion took."""
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        await PlannedReparent(session=session, view=view, policy=SEMI_SYNC).run()
    assert not world.checker.violations
    (step,) = (step for step in session.steps if step.name == "demote primary")
    return step.duration
