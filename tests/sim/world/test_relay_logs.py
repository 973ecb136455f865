"""Shards that lose the relay log of their only acker, and then their primary."""

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world
from vtorc.recovery.record import RecoveryRecord
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import LinkFault
from vtorc.sim.mysql.binlog import gtids_of
from vtorc.vttablet.mysql_api import Threads


def _refused(world: World) -> list[RecoveryRecord]:
    return [r for vtorc in world.vtorcs for r in vtorc.records if "had received" in r.sentence]


def test_no_tablet_is_promoted_without_transactions_that_a_crash_took_from_an_acker() -> None:
    """A promotion needs the transactions that vtorc saw a replica receive before its relay log was lost.

    Only the old primary has them, so that one becomes primary again.
    """

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        acker, other = (each for each in shard.tablets if each is not primary)
        hidden = LinkFault(
            name="hide",
            sources=frozenset({world.vtorcs[0].host.name}),
            targets=frozenset({primary.host.name}),
            cut=True,
        )
        world.network.impose(hidden)
        fleet = world.vtorcs[0].facade
        assert fleet is not None
        await until(lambda: any(d.finding.alias == primary.config.alias for d in fleet.decisions(shard.id)))
        await other.mysqld.replication.stop(Threads.IO)
        acker.mysqld.replication.applier.slowness = 100_000.0
        written = shard.ledger.writes
        await until(lambda: shard.ledger.writes > written + 10)
        promised = gtids_of(shard.ledger.protected.values())

        def was_seen_to_receive() -> bool:
            view = fleet.view(shard.id)
            tablet = view.tablet(acker.config.alias) if view is not None else None
            return tablet is not None and tablet.status is not None and tablet.status.received.contains(promised)

        await until(was_seen_to_receive)
        world.power_off(primary.host)
        acker.mysqld.process.crash()
        world.start_mysqld(acker.mysqld)
        await until(lambda: bool(_refused(world)))
        assert shard.primary is None or shard.primary is primary
        acker.mysqld.replication.applier.slowness = 1.0
        world.network.heal()
        world.power_on(primary.host)
        assert await world.until_well(shard, limit=120.0) == []
        assert shard.primary is not None
        assert not shard.ledger.lost_on(shard.primary.mysqld)

    in_world(main)
