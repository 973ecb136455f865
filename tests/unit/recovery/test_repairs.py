"""Repairs that point tablets at the present primary, also tablets that claim to be primary themselves."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world, small_plan
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.topology import read_shard
from vtorc.errors import TabletCallFailed, TabletUnreachable
from vtorc.proto import topodata_pb2
from vtorc.recovery.errors import RecoveryFailed
from vtorc.recovery.repairs import Repairs
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.plan import WorldPlan
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.cluster.vtorc import SimClock
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Process
from vtorc.sim.faults.servers import lock_account_on
from vtorc.sim.mysql.binlog import Heartbeat
from vtorc.topo.records import time_to_proto
from vtorc.vttablet.mysql_api import Source, Threads

NONE, SEMI_SYNC = policy("none"), policy("semi_sync")


def by_hand(
    main: Callable[[World, SimShard, RecoveryTools], Awaitable[None]],
    *,
    durability: str = "none",
    plan: WorldPlan | None = None,
) -> None:
    """Run a test in a world whose vtorcs have set up the shard and are gone."""

    async def start(world: World, shard: SimShard) -> None:
        for vtorc in world.vtorcs:
            world.power_off(vtorc.host)
        host = world.network.add_host("caller", "zone1")
        life = Process(host, "test").start()
        tools = RecoveryTools(
            topo=world.open_topo(life),
            tablets=world.open_tablets(life, checked=False),
            clock=OnTimeClock(SimClock(host)),
        )
        await main(world, shard, tools)

    in_world(start, plan=plan or small_plan(durability=durability))


async def look(shard: SimShard, tools: RecoveryTools) -> ShardView:
    """Return what is known of the shard once all running tablets have been asked."""
    topology = await read_shard(tools.topo, tools.clock, shard.id)
    up = {each.config.alias for each in shard.tablets if each.host.up}
    tablets = [
        TabletView(record=record, last_probe=LastProbe(status=await tools.tablets.full_status(record)))
        for record in topology.tablets
        if record.alias in up
    ]
    return ShardView(
        shard=shard.id,
        keyspace_record=topology.keyspace_record,
        shard_record=topology.shard_record,
        tablets=tuple(tablets),
    )


async def claim(tools: RecoveryTools, tablet: SimTablet) -> None:
    """Let a tablet's record say that it has been primary for long."""

    def to_primary(record: topodata_pb2.Tablet) -> bool:
        record.type = topodata_pb2.PRIMARY
        record.primary_term_start_time.CopyFrom(time_to_proto(1))
        return True

    await tools.topo.update_tablet(tablet.config.alias, to_primary)


async def reconcile(view: ShardView, tools: RecoveryTools, tablet: SimTablet) -> None:
    """Make a tablet replicate from the present primary, under the shard lock."""
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        await Repairs(session, view, NONE).reconcile_stale_primaries([tablet.config.alias])


async def type_of(tools: RecoveryTools, tablet: SimTablet) -> TabletType:
    """Return the type in a tablet's record."""
    return (await tools.topo.tablet(tablet.config.alias)).type


def test_a_last_copy_that_came_to_light_late_is_kept() -> None:
    """The position of a former primary is read again just before its relay log would be dropped."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        stale, other = (each for each in shard.tablets if each is not primary)
        await stale.mysqld.replication.stop(Threads.SQL)
        await other.mysqld.replication.stop(Threads.IO)
        await primary.execute(-1)
        await until(lambda: bool(stale.mysqld.replication.relay))
        world.power_off(primary.host)
        record = await tools.topo.tablet(other.config.alias)
        await tools.tablets.promote_replica(record, semi_sync=False)
        await until(lambda: shard.primary is other)
        await claim(tools, stale)
        view = await look(shard, tools)
        old = tuple(TabletView(record=t.record) if t.alias == stale.config.alias else t for t in view.tablets)
        with pytest.raises(RecoveryFailed, match="is not re-pointed: its relay log holds"):
            await reconcile(replace(view, tablets=old), tools, stale)
        assert stale.mysqld.replication.relay
        assert stale.mysqld.read_only

    by_hand(main)


def test_a_tablet_that_refuses_to_follow_is_no_primary_all_the_same() -> None:
    """The record of a former primary with errant transactions is corrected, although the tablet refuses its source."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        stale = next(each for each in shard.tablets if each is not shard.primary)
        await stale.mysqld.inject(Heartbeat())
        await claim(tools, stale)
        view = await look(shard, tools)
        with pytest.raises(RecoveryFailed, match="Errant GTID"):
            await reconcile(view, tools, stale)
        assert await type_of(tools, stale) is TabletType.REPLICA

    by_hand(main)


async def correct(view: ShardView, tools: RecoveryTools, tablet: SimTablet) -> None:
    """Correct the record of a primary, under the shard lock."""
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        await Repairs(session, view, NONE).correct_primary_record(tablet.config.alias)


async def set_back(tools: RecoveryTools, tablet: SimTablet) -> None:
    """Let a tablet's record be as it was before the tablet became primary."""

    def to_replica(record: topodata_pb2.Tablet) -> None:
        record.type = topodata_pb2.REPLICA
        record.ClearField("primary_term_start_time")

    await tools.topo.update_tablet(tablet.config.alias, to_replica)


def test_the_record_of_a_primary_gets_back_its_type_and_its_term() -> None:
    """The term is the one that the tablet itself has written into the shard record."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        before = await tools.topo.tablet(primary.config.alias)
        await set_back(tools, primary)
        await correct(await look(shard, tools), tools, primary)
        assert await tools.topo.tablet(primary.config.alias) == before

    by_hand(main)


def test_the_record_of_a_tablet_that_is_a_replica_by_now_stays() -> None:
    """The tablet is asked again just before, as it may have been demoted since."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        with pytest.raises(RecoveryFailed, match="no longer primary by its own account"):
            await correct(await look(shard, tools), tools, replica)
        assert await type_of(tools, replica) is TabletType.REPLICA

    by_hand(main)


def test_a_replica_that_connects_in_vain_can_be_pointed_elsewhere() -> None:
    """Its IO thread is stopped first, because the tablet manager stops replication only if a thread is healthy."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        assert shard.primary is not None
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replication = replica.mysqld.replication
        await replication.stop(Threads.BOTH)
        await replication.change_source(Source(host=shard.primary.host.name, port=1))
        await replication.start(Threads.IO)
        await until(lambda: bool(replication.last_io_error))
        view = await look(shard, tools)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            codes = {replica.config.alias: {Code.CONNECTED_TO_WRONG_PRIMARY}}
            await Repairs(session, view, NONE).fix_replicas(codes)
        await until(lambda: replication.io_state is ThreadState.RUNNING and replication.applier.running)

    by_hand(main)


def test_no_source_is_set_once_the_lock_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that ends while the replica's position is read ends the repair before the source is changed."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replication = replica.mysqld.replication
        await replication.stop(Threads.BOTH)
        await replication.change_source(Source(host="elsewhere", port=1))
        view = await look(shard, tools)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            held = lock.check

            async def held_until_now() -> None:
                await held()
                world.topos["global"].end_leases()

            monkeypatch.setattr(lock, "check", held_until_now)
            session = RecoverySession(tools, lock, began=tools.clock.now())
            with pytest.raises(RecoveryFailed, match="lost topology lock"):
                await Repairs(session, view, NONE).fix_replicas(
                    {replica.config.alias: {Code.CONNECTED_TO_WRONG_PRIMARY}}
                )
        assert replication.source is not None
        assert replication.source.host == "elsewhere"

    by_hand(main)


def test_a_former_primary_follows_the_present_one() -> None:
    """The former primary replicates, and its record says REPLICA."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        stale = next(each for each in shard.tablets if each is not shard.primary)
        await stale.mysqld.replication.stop(Threads.BOTH)
        await claim(tools, stale)
        await reconcile(await look(shard, tools), tools, stale)
        assert await type_of(tools, stale) is TabletType.REPLICA
        await until(lambda: stale.mysqld.replication.io_state.name == "RUNNING")

    by_hand(main)


async def repair(view: ShardView, tools: RecoveryTools, tablet: SimTablet, *codes: Code) -> list[str]:
    """Repair one replica under the shard lock; returns the names of the steps, or raises RecoveryFailed after the
    rollback.
    """
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        try:
            await Repairs(session, view, SEMI_SYNC).fix_replicas({tablet.config.alias: set(codes)})
        except RecoveryFailed:
            await session.roll_back()
            raise
        return [step.name for step in session.steps]


def test_a_relay_log_is_applied_before_it_is_dropped() -> None:
    """A misconfigured replica that lags is not re-pointed, and goes on acknowledging, until it has applied its relay
    log.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replication = replica.mysqld.replication
        replication.heartbeat_period = 5.0
        replication.applier.slowness, replication.applier.delay = 3000.0, 0.001
        await until(lambda: len(replication.relay) > 5)
        view = await look(shard, tools)
        with pytest.raises(RecoveryFailed, match="is not re-pointed yet: its relay log holds"):
            await repair(view, tools, replica, Code.REPLICA_MISCONFIGURED)
        assert len(replication.relay) > 5
        await until(lambda: replication.io_state is ThreadState.RUNNING)
        replication.applier.slowness, replication.applier.delay = 1.0, 0.0
        await until(lambda: not replication.relay)
        steps = await repair(await look(shard, tools), tools, replica, Code.REPLICA_MISCONFIGURED)
        assert steps.index("stop IO thread") < steps.index(
            f"replicate from {shard.primary and shard.primary.config.alias}"
        )
        await until(lambda: replication.io_state is ThreadState.RUNNING)
        assert replication.heartbeat_period != 5.0

    by_hand(main, durability="semi_sync")


@pytest.mark.parametrize(
    ("codes", "acknowledges"),
    [
        ((Code.REPLICATION_STOPPED,), True),
        ((Code.REPLICATION_STOPPED, Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET), False),
    ],
    ids=["something else", "that"],
)
def test_acknowledgements_end_only_if_that_was_decided(codes: tuple[Code, ...], acknowledges: bool) -> None:
    """A replica that should not acknowledge goes on until that is repaired, because the primary may count on it."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)

        def to_rdonly(record: topodata_pb2.Tablet) -> bool:
            record.type = topodata_pb2.RDONLY
            return True

        await tools.topo.update_tablet(replica.config.alias, to_rdonly)
        await replica.mysqld.replication.stop(Threads.BOTH)
        await repair(await look(shard, tools), tools, replica, *codes)
        view = await look(shard, tools)
        repaired = view.tablet(replica.config.alias)
        assert repaired is not None
        assert repaired.status is not None
        assert repaired.status.semi_sync.replica_enabled is acknowledges

    by_hand(main, durability="semi_sync")


@pytest.mark.parametrize(
    ("codes", "acknowledges"),
    [
        ((Code.REPLICATION_STOPPED,), False),
        ((Code.REPLICATION_STOPPED, Code.REPLICA_SEMI_SYNC_MUST_BE_SET), True),
    ],
    ids=["something else", "that"],
)
def test_a_hollow_acker_acknowledges_again_only_if_that_was_decided(
    codes: tuple[Code, ...], acknowledges: bool
) -> None:
    """A filtered replica that was made to stop acknowledging is not set to it again by another repair."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replica = next(each for each in shard.tablets if each is not shard.primary)
        replica.mysqld.setup = replica.mysqld.setup.with_changes(filters=True)
        replica.mysqld.semi_sync_replica = False
        await replica.mysqld.replication.stop(Threads.BOTH)
        await repair(await look(shard, tools), tools, replica, *codes)
        assert replica.mysqld.semi_sync_replica is acknowledges
        assert replica.mysqld.replication.applier.running

    by_hand(main, durability="semi_sync")


def test_a_replica_that_was_made_to_reconnect_is_started_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is made to reconnect goes on applying, and receives again although its first start failed."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        replicas = [each for each in shard.tablets if each is not shard.primary]
        view = await look(shard, tools)
        applied: list[bool] = []

        async def fails(tablet: TabletRecord, *, semi_sync: bool) -> None:
            applied.append(all(each.mysqld.replication.applier.running for each in replicas))
            raise TabletUnreachable("no answer", reason="timeout")

        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            with monkeypatch.context() as patched:
                patched.setattr(tools.tablets, "start_replication", fails)
                with pytest.raises(TabletUnreachable):
                    await Repairs(session, view, NONE).restart_one_replica()
            await session.roll_back()
        assert applied == [True]
        await until(lambda: all(each.mysqld.replication.io_state is ThreadState.RUNNING for each in replicas))

    by_hand(main)


def test_the_record_of_a_later_term_is_left_alone() -> None:
    """A tablet that was promoted again since it was judged stays primary by its record, however late the repair is."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        stale = replicas_of(shard)[0]
        await stale.mysqld.replication.stop(Threads.BOTH)
        await claim(tools, stale)
        view = await look(shard, tools)

        def again(record: topodata_pb2.Tablet) -> None:
            record.primary_term_start_time.CopyFrom(time_to_proto(2))

        await tools.topo.update_tablet(stale.config.alias, again)
        await reconcile(view, tools, stale)
        assert await type_of(tools, stale) is TabletType.PRIMARY

    by_hand(main)


async def fix(view: ShardView, tools: RecoveryTools, *codes: tuple[SimTablet, Code]) -> RecoverySession:
    """Repair these tablets under the shard lock, and put back what failed."""
    async with tools.topo.lock_shard(view.shard, "test") as lock:
        session = RecoverySession(tools, lock, began=tools.clock.now())
        try:
            await Repairs(session, view, SEMI_SYNC).fix_replicas({t.config.alias: {code} for t, code in codes})
        finally:
            await session.roll_back()
    return session


def replicas_of(shard: SimShard) -> list[SimTablet]:
    """Return the tablets that are not the primary."""
    return [each for each in shard.tablets if each is not shard.primary]


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, tablet: SimTablet, *, times: int) -> None:
    """Let a tablet manager answer some calls with an error."""
    honest = getattr(SimTabletManager, call)
    left = [times]

    async def refuses(self: SimTabletManager, record: TabletRecord, *args: object, **more: object) -> object:
        if record.alias == tablet.config.alias and left[0]:
            left[0] -= 1
            raise TabletCallFailed(f"{call} of {record.alias}: table is full")
        return await honest(self, record, *args, **more)

    monkeypatch.setattr(SimTabletManager, call, refuses)


def test_a_replica_with_a_repair_that_failed_half_way_goes_on_replicating(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that were stopped for a restart are started again if the restart fails; a tablet repaired beside it keeps
    what its own repair did.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        failing, other = replicas_of(shard)
        other.mysqld.set_semi_sync(primary=False, replica=False)
        view = await look(shard, tools)
        refuse(monkeypatch, "start_replication", failing, times=1)
        with pytest.raises(RecoveryFailed, match="table is full"):
            await fix(
                view, tools, (failing, Code.REPLICA_SEMI_SYNC_MUST_BE_SET), (other, Code.REPLICA_SEMI_SYNC_MUST_BE_SET)
            )
        assert failing.mysqld.replication.applier.running
        assert failing.mysqld.replication.io_state is not ThreadState.STOPPED
        assert other.mysqld.semi_sync_replica

    by_hand(main, durability="semi_sync")


def test_threads_that_an_operator_stopped_are_not_started_by_an_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo puts back what was there before: neither thread ran."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        failing = replicas_of(shard)[0]
        await failing.mysqld.replication.stop(Threads.BOTH)
        view = await look(shard, tools)
        refuse(monkeypatch, "start_replication", failing, times=1)
        with pytest.raises(RecoveryFailed, match="table is full"):
            await fix(view, tools, (failing, Code.REPLICATION_STOPPED))
        assert not failing.mysqld.replication.applier.running

    by_hand(main, durability="semi_sync")


def test_a_connecting_replica_that_could_not_be_re_pointed_goes_on_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads were stopped because MySQL changes no source while one connects."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        assert shard.primary is not None
        replica = replicas_of(shard)[0]
        replication = replica.mysqld.replication
        await replication.stop(Threads.BOTH)
        await replication.change_source(Source(host=shard.primary.host.name, port=1))
        await replication.start(Threads.BOTH)
        await until(lambda: bool(replication.last_io_error))
        view = await look(shard, tools)
        refuse(monkeypatch, "set_replication_source", replica, times=1)
        with pytest.raises(RecoveryFailed, match="table is full"):
            await fix(view, tools, (replica, Code.CONNECTED_TO_WRONG_PRIMARY))
        assert replication.io_state is ThreadState.CONNECTING
        assert replication.applier.running

    by_hand(main)


@pytest.mark.parametrize("code", [Code.REPLICATION_STOPPED, Code.CONNECTED_TO_WRONG_PRIMARY])
def test_a_repair_that_meets_the_same_error_again_has_failed(code: Code) -> None:
    """START REPLICA succeeds before its threads fail, so the replica is looked at again."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        assert shard.primary is not None
        replica = replicas_of(shard)[0]
        lock_account_on(shard.primary.mysqld)
        await replica.mysqld.replication.stop(Threads.BOTH)
        view = await look(shard, tools)
        with pytest.raises(RecoveryFailed, match="the replication account is locked \\(MySQL error 3118"):
            await fix(view, tools, (replica, code))

    by_hand(main)


def test_an_applier_that_stops_again_is_seen() -> None:
    """A replica that had an error is looked at for a second: its applier meets the same transaction a little later."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        assert shard.primary is not None
        replica = replicas_of(shard)[0]
        applier = replica.mysqld.replication.applier
        applier.broken = True
        await shard.primary.execute(-1)
        await until(lambda: bool(applier.error))
        applier.slowness = 200.0
        view = await look(shard, tools)
        with pytest.raises(RecoveryFailed, match="MySQL error 1062"):
            await fix(view, tools, (replica, Code.REPLICATION_BROKEN))
        applier.broken = False
        session = await fix(await look(shard, tools), tools, (replica, Code.REPLICATION_BROKEN))
        assert applier.running
        assert session.elapsed() >= 1.0

    by_hand(main)


def test_a_replica_whose_source_is_silent_is_not_waited_for() -> None:
    """Whether it will connect cannot be told within a second, and its threads run as they should."""

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        assert shard.primary is not None
        replica = replicas_of(shard)[0]
        view = await look(shard, tools)
        world.power_off(shard.primary.host)
        session = await fix(view, tools, (replica, Code.REPLICATION_STOPPED))
        assert replica.mysqld.replication.io_state is ThreadState.CONNECTING
        assert session.elapsed() < 2.0

    by_hand(main)
