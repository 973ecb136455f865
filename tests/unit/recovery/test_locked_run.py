"""Work under the shard lock, and the rollback when it breaks off."""

import asyncio

import pytest

from tests.unit.recovery.fakes import begun
from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.recovery.locked_run import LockedRun, LockedWorkResult
from vtorc.recovery.record import Outcome
from vtorc.recovery.session import RecoverySession
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import current_loop


@pytest.mark.parametrize("moves", [True, False])
def test_nothing_is_put_back_once_the_shard_has_another_primary(moves: bool) -> None:
    """A former primary stays as the reparent to its successor left it, also if this vtorc already knows that one."""

    async def main(world: World, shard: SimShard) -> None:
        vtorc = world.vtorcs[0]
        assert vtorc.tools is not None
        assert vtorc.facade is not None
        watch = vtorc.facade.on_shard(shard.id, lambda _, watch: watch)
        assert watch is not None
        primary = shard.primary
        assert primary is not None
        other = next(each for each in shard.tablets if each is not primary)
        put_back: list[str] = []

        async def undo() -> None:
            put_back.append(primary.alias_text)

        async def work(session: RecoverySession) -> LockedWorkResult:
            session.expect_primary(watch.view())
            session.on_abort("demote primary", primary.config.alias, undo)
            world.topos["global"].end_leases()
            if moves:
                await plan_reparent(world, shard, other)
                await until(lambda: (seen := watch.view().primary) is not None and seen.alias == other.config.alias)
            await asyncio.sleep(60.0)
            raise AssertionError("the lock was not missed")

        record = await LockedRun(vtorc.tools, watch).run(
            begun(Recovery.PLANNED_REPARENT, shard=shard.id), vtorc.tools.topo.lock_shard(shard.id, "test"), work
        )
        assert record.outcome is Outcome.LOCK_LOST
        assert put_back == ([] if moves else [primary.alias_text])

    in_world(main)


def test_no_promotion_is_sent_by_a_vtorc_that_stood_still_after_it_had_checked_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on with its next instruction, which is the call, and only later with the timers of its lock."""

    async def main(world: World, shard: SimShard) -> None:
        forget = RecoverySession.forget_undo
        stood: list[float] = []
        sent: list[tuple[str, bool]] = []

        def forget_and_stop(self: RecoverySession, target: TabletAlias | None = None) -> None:
            forget(self, target)
            if target is None and not stood:
                stood.append(world.now)
                current_loop().stand_still(world.plan.lease_ttl + 1.0)

        def note(_caller: str, _tablet: str, _shard: ShardId, name: str) -> None:
            if stood and name in ("PromoteReplica", "SetReplicationSource"):
                sent.append((name, world.now > stood[0] + world.plan.lease_ttl + 1.5))

        monkeypatch.setattr(RecoverySession, "forget_undo", forget_and_stop)
        world.checker.listeners.append(note)
        assert shard.primary is not None
        shard.primary.mysqld.process.crash()
        records = world.vtorcs[0].records
        await until(lambda: any(record.outcome is Outcome.LOCK_LOST or record.rule for record in records))
        assert stood
        await until(
            lambda: any(record.winner is not None and record.outcome is Outcome.SUCCEEDED for record in records)
        )
        assert all(later for _, later in sent)

    in_world(main)
