"""Work under the shard lock, and the rollback when it breaks off."""

import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.core.detection.recoveries import Recovery
from vtorc.recovery.locked_run import LockedRun, LockedWorkResult, RecoveryPurpose
from vtorc.recovery.record import Outcome
from vtorc.recovery.session import RecoverySession
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.world import SimShard, World


@pytest.mark.parametrize("moves", [True, False])
def test_nothing_is_put_back_once_the_shard_has_another_primary(moves: bool) -> None:
    """A former primary stays as the reparent to its successor left it, also if this vtorc already knows that one."""

    async def main(world: World, shard: SimShard) -> None:
        vtorc = world.vtorcs[0]
        assert vtorc.tools is not None
        assert vtorc.fleet is not None
        watch = vtorc.fleet.loops[shard.id].watch
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
            RecoveryPurpose(Recovery.PLANNED_REPARENT, None, None), vtorc.tools.topo.lock_shard(shard.id, "test"), work
        )
        assert record.outcome is Outcome.LOCK_LOST
        assert put_back == ([] if moves else [primary.alias_text])

    in_world(main)
