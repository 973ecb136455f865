"""The first election of a shard whose tablets hold different transactions."""

from dataclasses import replace

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.sim.cluster.plan import shard_plan
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.binlog import Heartbeat


def test_what_an_rdonly_alone_has_is_fetched_first() -> None:
    """The first primary fetches what an RDONLY tablet alone has; all tablets were restored from backups."""
    plan = shard_plan(SHARD, CELLS, durability="semi_sync", tablets=3, rdonly=1)

    async def main(world: World, shard: SimShard) -> None:
        rdonly = shard.tablets[-1]
        await until(lambda: rdonly.mysqld.process.running)
        restored = await rdonly.mysqld.inject(Heartbeat())
        del restored
        ahead = rdonly.mysqld.executed.value
        await until(lambda: shard.primary is not None, limit=120.0)
        assert shard.primary is not None
        assert shard.primary is not rdonly
        assert shard.primary.mysqld.executed.value.contains(ahead)

    in_world(main, plan=replace(small_plan(), shards=(plan,)), begun=False)


def test_a_server_that_no_replica_could_follow_is_not_the_first_primary() -> None:
    """The tablet that would win among equals writes no binary log, so another becomes the first primary."""

    async def main(world: World, shard: SimShard) -> None:
        first = min(shard.tablets, key=lambda each: each.config.alias)
        first.mysqld.setup = first.mysqld.setup.with_changes(log_bin=False)
        await until(lambda: shard.primary is not None, limit=120.0)
        assert shard.primary is not first

    in_world(main, plan=small_plan(durability="semi_sync"), begun=False)
