"""The replacement of a lost primary: what it changes when it comes to nothing."""

import asyncio
from dataclasses import replace

from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.core.ids import ShardId
from vtorc.recovery.record import Outcome
from vtorc.sim.plan import shard_plan
from vtorc.sim.world import SimShard, World


def test_nobody_is_stopped_for_an_election_without_a_candidate() -> None:
    """Where the last replica would get no acknowledgement, each try is refused and no tablet is touched (default seed
    9036).
    """
    one_replica = shard_plan(SHARD, CELLS, durability="semi_sync", tablets=3, rdonly=1)

    async def main(world: World, shard: SimShard) -> None:
        changes: list[str] = []

        def sent(_who: str, tablet: str, _shard: ShardId, name: str) -> None:
            changes.append(f"{name} {tablet}")

        world.checker.listeners.append(sent)
        primary = shard.primary
        assert primary is not None
        primary.mysqld.process.crash()
        await asyncio.sleep(60.0)
        refused = [record for record in world.vtorcs[0].records if record.outcome is Outcome.REFUSED]
        assert {record.rule for record in refused} == {"no-candidate"}
        assert not [each for each in changes if each.startswith(("Stop", "Start", "Demote", "Set"))]

    in_world(main, plan=replace(small_plan(), shards=(one_replica,)))
