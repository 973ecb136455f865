"""A tablet begins its term by its own clock, so a candidate with a late clock is not promoted."""

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.sim.cluster.world import SimShard, World

HOUR = 3600 * 10**9


def _lose_primary(world: World, shard: SimShard) -> None:
    """Cut the primary's power."""
    assert shard.primary is not None
    world.power_off(shard.primary.host)


def _records(world: World) -> list[RecoveryRecord]:
    return [record for vtorc in world.vtorcs for record in vtorc.records if record.recovery.replaces_primary]


def test_a_candidate_whose_clock_is_behind_is_not_promoted() -> None:
    """The other candidate is promoted, and serves from then on."""

    async def main(world: World, shard: SimShard) -> None:
        behind, other = (each for each in shard.tablets if each is not shard.primary)
        behind.host.wall_offset -= HOUR
        _lose_primary(world, shard)
        await until(lambda: shard.primary is other)
        await until(lambda: shard.ledger.committer is other.mysqld)
        (record,) = _records(world)
        assert "has a clock that is 3" in record.removed[behind.config.alias]

    in_world(main)


def test_without_a_candidate_with_a_right_clock_none_is_promoted() -> None:
    """The refusal names the clocks; once one clock is right, its tablet is promoted."""

    async def main(world: World, shard: SimShard) -> None:
        one, other = (each for each in shard.tablets if each is not shard.primary)
        one.host.wall_offset -= HOUR
        other.host.wall_offset -= HOUR
        _lose_primary(world, shard)
        await until(lambda: any(record.outcome is Outcome.REFUSED for record in _records(world)))
        assert "behind the start of the present term" in _records(world)[0].sentence
        one.host.wall_offset += HOUR
        await until(lambda: shard.primary is one)
        await until(lambda: shard.ledger.committer is one.mysqld)

    in_world(main)
