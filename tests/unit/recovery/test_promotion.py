"""The steps without return: which replicas they still touch when something took long."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.recovery.test_repairs import NONE, by_hand, look
from tests.unit.sim.servers import until
from vtorc.core.detection.recoveries import Reparent
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.gtid import GtidSet
from vtorc.recovery.promotion import REPOINT_GRACE, Promotion, ReplicaToRepoint, promote
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.vttablet.mysql_api import Threads


async def lose_primary(
    world: World, shard: SimShard, tools: RecoveryTools, *, apply_for: float
) -> tuple[SimTablet, SimTablet, Promotion]:
    """Power off the primary and stop its replicas; returns the winner, the follower and the promotion to make.

    The winner has applied everything. The follower needs `apply_for` seconds for that.
    """
    primary = shard.primary
    assert primary is not None
    winner, follower = (each for each in shard.tablets if each is not primary)
    follower.mysqld.replication.applier.delay = apply_for
    await primary.execute(-1)
    await until(lambda: bool(follower.mysqld.replication.relay) or not apply_for)
    await until(lambda: received(follower).contains(primary.mysqld.executed.value))
    await until(lambda: winner.mysqld.executed.value.contains(primary.mysqld.executed.value))
    for replica in (winner, follower):
        await replica.mysqld.replication.stop(Threads.IO)
    view = await look(shard, tools)
    world.power_off(primary.host)
    records = {t.alias: t.record for t in view.tablets}
    promotion = Promotion(
        view=view,
        policy=NONE,
        winner=records[winner.config.alias],
        position=winner.mysqld.executed.value,
        replicas=(ReplicaToRepoint(records[follower.config.alias], received(follower)),),
        reparent=Reparent.EMERGENCY,
        first=False,
    )
    return winner, follower, promotion


def received(tablet: SimTablet) -> GtidSet:
    """Return what a tablet has received, applied or not."""
    return tablet.mysqld.executed.value.union(tablet.mysqld.replication.retrieved.value)


def source_of(tablet: SimTablet) -> str:
    """Return the host from which a tablet is to replicate."""
    source = tablet.mysqld.replication.source
    return source.host if source is not None else ""


def test_no_source_is_set_once_the_lock_has_gone_while_a_relay_log_was_applied() -> None:
    """A follower that took long to apply its relay log is left to the ordinary repairs if the lock is gone by then.

    Default seeds 12422 and 12542 found it.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=3.0)
        before = source_of(follower)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            asyncio.get_running_loop().call_later(2.0, world.topos["global"].end_leases)
            await promote(session, promotion)
        assert shard.primary is winner
        assert source_of(follower) == before

    by_hand(main)


def test_a_follower_that_did_not_stay_stopped_keeps_its_relay_log() -> None:
    """A follower that received something while it applied its relay log is left to the ordinary repairs.

    Those drop no relay log that its source lacks.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=3.0)
        before = source_of(follower)
        (other,) = promotion.replicas
        held = StoppedTablet(
            member=promotion.view.tablets[0].member,
            server_uuid=follower.mysqld.uuid,
            executed=follower.mysqld.executed.value,
            received=other.received,
        )
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            asyncio.get_running_loop().call_later(
                2.0, world.spawn, follower.mysqld.replication.start(Threads.IO), "vttablet"
            )
            await promote(session, replace(promotion, replicas=(replace(other, stopped=held),)))
        assert shard.primary is winner
        assert source_of(follower) == before

    by_hand(main)


def test_a_follower_that_needs_no_wait_is_pointed_without_the_topology_server() -> None:
    """The lock was confirmed just before the promotion, so it is not checked again."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=0.0)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            await promote(session, promotion)
        assert [step.name for step in session.steps].count("check lock") == 1
        assert source_of(follower) == winner.host.name

    by_hand(main)


def test_a_replica_that_hangs_while_it_is_pointed_holds_up_nothing_for_long() -> None:
    """Once the new primary has taken a write, a replica that is not re-pointed within a grace is left to ordinary
    repairs.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=0.0)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            follower.process.freeze()
            promotion = replace(promotion, replicas=(ReplicaToRepoint(promotion.replicas[0].record),))
            await promote(session, promotion)
        assert shard.primary is winner
        assert session.elapsed() - session.marks["acknowledged"] == pytest.approx(REPOINT_GRACE, abs=0.1)

    by_hand(main)


def test_a_replica_that_applies_its_relay_log_is_waited_for() -> None:
    """The grace begins once the replica has applied its relay log, even if the new primary takes writes before."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=4.0)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            await promote(session, promotion)
        assert session.elapsed() - session.marks["acknowledged"] > REPOINT_GRACE
        assert source_of(follower) == winner.host.name

    by_hand(main)


def test_a_relay_log_is_kept_if_the_new_primary_may_have_died_with_the_other_copy() -> None:
    """A follower that is too slow keeps its relay log unless the new primary says that it has all of it.

    A new primary that vanishes without a word just after its promotion takes the other copy along.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=60.0)
        before = source_of(follower)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            asyncio.get_running_loop().call_later(2.0, world.power_off, winner.host)
            await promote(session, promotion)
        assert source_of(follower) == before

    by_hand(main)


def test_a_follower_that_applies_too_slowly_is_pointed_while_the_new_primary_has_everything() -> None:
    """The wait for the relay log ends, and what the new primary says that it has may be dropped."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        winner, follower, promotion = await lose_primary(world, shard, tools, apply_for=60.0)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            await promote(session, promotion)
        assert source_of(follower) == winner.host.name

    by_hand(main)
