"""Primaries that yield to a newer one and cannot complete it."""

import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.disk import DiskState
from vtorc.vttablet.mysql_api import Threads


def test_a_primary_that_cannot_yield_on_a_stalled_disk_still_waits_for_acknowledgements() -> None:
    """A primary that released waiting commits, and then could not become read-only, requires acknowledgements again."""

    async def main(world: World, shard: SimShard) -> None:
        for vtorc in world.vtorcs:
            world.power_off(vtorc.host)
        primary = shard.primary
        assert primary is not None
        assert primary.agent is not None
        for each in shard.tablets:
            if each is not primary:
                await each.mysqld.replication.stop(Threads.IO)
        await until(lambda: primary.mysqld.acks.sessions > 0)
        primary.mysqld.disk.become(DiskState.STALLED)
        await until(lambda: any(commit.transaction is None for commit in primary.mysqld.gate.running))
        successor = next(each for each in shard.tablets if each is not primary)
        with pytest.raises(TimeoutError):
            await primary.agent.reparent.end_term(successor.config.alias)
        assert primary.mysqld.acks.sessions == 0
        assert not primary.mysqld.read_only
        await asyncio.sleep(1.0)
        assert primary.mysqld.acks.enabled

    in_world(main)
