"""Stopping the tablets of a shard, and the rollback of it."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import changed
from tests.unit.recovery.test_repairs import NONE, by_hand, look
from tests.unit.sim.servers import until
from vtorc.core.facts.durability import policy
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.recovery.stop import TabletStopper
from vtorc.sim.cluster.world import SimShard, World
from vtorc.vttablet.mysql_api import Source, Threads


@pytest.mark.parametrize("is_primary", [True, False])
@pytest.mark.parametrize("stays", [True, False])
def test_only_the_present_primary_is_made_writable_again(is_primary: bool, stays: bool) -> None:
    """The rollback leaves a tablet read-only that was writable without being the primary (storm seed 436).

    It does so too with a primary that must stay read-only, as its disk went back in time.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        former = next(each for each in shard.tablets if each is not primary)
        await former.mysqld.replication.stop(Threads.BOTH)
        await former.mysqld.replication.reset(forget_source=True)
        await former.mysqld.set_read_only(False, is_super=False)
        stopped = primary if is_primary else former
        view = await look(shard, tools)
        targets = {t.alias: t for t in view.tablets if t.alias == stopped.config.alias}
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            stopper = TabletStopper(
                session,
                NONE,
                primary=view.primary,
                is_enough=lambda _: False,
                stay_read_only={stopped.config.alias} if stays else (),
            )
            await stopper.run(targets)
            assert stopper.stopped.keys() == targets.keys()
            assert stopped.mysqld.read_only
            await session.roll_back()
        assert stopped.mysqld.read_only is not (is_primary and not stays)

    by_hand(main)


def test_a_primary_that_was_pointed_elsewhere_is_stopped_only_once_it_is_read_only() -> None:
    """It has a source, so that stopping its replication is not enough: it takes writes until it is demoted."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        other = next(each for each in shard.tablets if each is not primary)
        host, port = other.mysqld.address
        await primary.mysqld.replication.change_source(Source(host=host, port=port))
        view = await look(shard, tools)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            stopper = TabletStopper(session, NONE, primary=view.primary, is_enough=lambda _: False)
            await stopper.run({t.alias: t for t in view.tablets if t.alias == primary.config.alias})
            assert primary.mysqld.read_only
            assert stopper.stopped[primary.config.alias].executed == primary.mysqld.executed.value

    by_hand(main)


def test_a_stalled_disk_does_not_leave_the_shard_without_acknowledgements() -> None:
    """The rollback restores the semi-sync that was told before the disks stalled."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        view = await look(shard, tools)
        stalled = tuple(changed(t, status=TabletStatus(disk_stalled=True), before_stall=t.status) for t in view.tablets)
        view = replace(view, tablets=stalled)
        primary = shard.primary
        assert primary is not None
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            stopper = TabletStopper(session, policy("semi_sync"), primary=view.primary, is_enough=lambda _: False)
            await stopper.run({t.alias: t for t in view.tablets})
            await session.roll_back()
        assert not primary.mysqld.read_only
        assert primary.mysqld.acks.enabled
        replicas = [each for each in shard.tablets if each is not primary]
        assert all(each.mysqld.semi_sync_replica for each in replicas)
        assert all(each.mysqld.replication.io_state is not ThreadState.STOPPED for each in replicas)

    by_hand(main, durability="semi_sync")


@pytest.mark.parametrize(("delay", "expected"), [(3600.0, "3600 s late on purpose"), (5.0, "")])
def test_a_delay_beyond_the_wait_is_an_applier_that_does_not_apply(delay: float, expected: str) -> None:
    """A relay log that is applied in an hour is not waited for; one that is applied in time is."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        late = next(each for each in shard.tablets if each is not shard.primary)
        late.mysqld.replication.applier.delay = delay
        await until(lambda: bool(late.mysqld.replication.relay))
        view = await look(shard, tools)
        targets = {t.alias: t for t in view.tablets if t.alias == late.config.alias}
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            stopper = TabletStopper(session, NONE, primary=view.primary, is_enough=lambda _: False)
            await stopper.run(targets)
            await session.roll_back()
        why = stopper.stopped[late.config.alias].applier_stopped
        assert expected in why
        assert bool(why) is bool(expected)

    by_hand(main)
