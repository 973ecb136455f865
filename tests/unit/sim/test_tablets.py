import asyncio

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world, without_vtorc
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import TabletUnreachable
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.engine.network import LinkFault
from vtorc.sim.engine.process import Process, ProcessState
from vtorc.tablet.api import StopMode, TabletManager
from vtorc.vttablet.errors import TabletActionError
from vtorc.vttablet.mysql_api import Threads


def _manager(world: World) -> TabletManager:
    return world.open_tablets(Process(world.network.add_host("caller", "zone1"), "test").start(), checked=False)


def _record(tablet: SimTablet) -> TabletRecord:
    config = tablet.config
    return TabletRecord(
        alias=config.alias,
        keyspace=config.shard.keyspace,
        shard=config.shard.shard,
        type=TabletType.REPLICA,
        hostname=config.hostname,
        grpc_port=config.grpc_port,
        mysql_hostname=config.mysql_hostname,
        mysql_port=config.mysql_port,
    )


def _replica(shard: SimShard) -> SimTablet:
    return next(each for each in shard.tablets if each is not shard.primary)


def test_calls_reach_the_real_tablet_manager() -> None:
    """A status is that of the simulated server as vttablet's code reports it."""

    async def main(world: World, shard: SimShard) -> None:
        manager = _manager(world)
        replica = _replica(shard)
        await manager.ping(_record(replica))
        status = await manager.full_status(_record(replica))
        assert status.server_uuid == replica.mysqld.uuid
        assert status.tablet_type is TabletType.REPLICA
        assert status.replication is not None
        assert status.replication.is_replicating
        before = replica.mysqld.executed.value
        position = await manager.primary_position(_record(replica))
        # The client goes on writing meanwhile.
        assert position.contains(before)
        assert replica.mysqld.executed.value.contains(position)
        assert await manager.replication_status(_record(replica)) is not None

    in_world(main)


def test_a_primary_has_no_replication_status() -> None:
    """Calls about replication return None for a server without a source."""

    async def main(world: World, shard: SimShard) -> None:
        manager = _manager(world)
        assert shard.primary is not None
        record = _record(shard.primary)
        assert await manager.replication_status(record) is None
        assert await manager.stop_replication_and_get_status(record, StopMode.IO_ONLY) is None

    in_world(main)


def test_an_older_tablet_leaves_fields_out() -> None:
    """A field that an old vttablet does not report is unknown, not false."""

    async def main(world: World, shard: SimShard) -> None:
        replica = _replica(shard)
        replica.traits = type(replica.traits)(tells_all=False)
        status = await _manager(world).full_status(_record(replica))
        assert status.super_read_only is None
        assert status.tablet_type is None
        assert status.read_only

    in_world(main)


def test_failures_have_different_reasons() -> None:
    """A stopped process refuses, a silent host and a frozen process time out, an unknown name is unreachable."""

    async def main(world: World, shard: SimShard) -> None:
        manager = _manager(world)
        replica = _replica(shard)
        replica.wanted = False
        replica.process.crash()
        with pytest.raises(TabletUnreachable) as failure:
            await manager.ping(_record(replica))
        assert failure.value.reason == "refused"
        replica.start()
        replica.process.freeze()
        with pytest.raises(TabletUnreachable) as failure:
            await manager.ping(_record(replica))
        assert failure.value.reason == "timeout"
        replica.process.thaw()
        world.network.impose(LinkFault(name="cut", targets=frozenset({replica.host.name}), cut=True))
        before = current_loop().time()
        with pytest.raises(TabletUnreachable) as failure:
            await manager.ping(_record(replica))
        assert failure.value.reason == "timeout"
        assert current_loop().time() - before == pytest.approx(1.0)

    in_world(main, plan=without_vtorc(), begun=False)


def test_a_tablet_that_was_shut_down_is_not_dialled() -> None:
    """Its record has no address any more, and the client says so without a call."""

    async def main(world: World, shard: SimShard) -> None:
        replica = _replica(shard)
        await replica.shut_down()
        topo = world.open_topo(Process(world.network.add_host("reader", "zone1"), "test").start())
        record = await topo.tablet(replica.config.alias)
        assert record.is_shut_down
        with pytest.raises(TabletUnreachable) as failure:
            await _manager(world).ping(record)
        assert failure.value.reason == "shut down"
        await asyncio.sleep(60.0)
        assert replica.process.state is ProcessState.STOPPED

    in_world(main)


def test_a_health_stream_reports_changes_and_breaks_with_its_tablet() -> None:
    """The first report comes at once, others at changes, and the end is an error."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        reports: list[bool] = []

        async def follow() -> None:
            async for report in _manager(world).stream_health(_record(primary)):
                reports.append(report.serving)

        following = asyncio.create_task(follow())
        await asyncio.sleep(1.0)
        assert reports == [True]
        primary.mysqld.process.crash()
        await asyncio.sleep(1.0)
        assert reports == [True, False]
        primary.process.crash()
        with pytest.raises(TabletUnreachable):
            await following

    in_world(main)


def test_a_killed_tablet_is_started_again() -> None:
    """A supervisor starts a killed tablet within seconds, with its former type."""

    async def main(world: World, shard: SimShard) -> None:
        replica = _replica(shard)
        replica.process.crash()
        assert replica.agent is None
        await until(lambda: replica.agent is not None and replica.agent.state.serving)
        assert current_loop().time() < 60.0

    in_world(main)


def test_only_a_serving_primary_takes_writes() -> None:
    """A write through vttablet is refused by a replica, and by a primary that is being demoted."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        await primary.execute(-1)
        with pytest.raises(TabletActionError, match="NOT_SERVING"):
            await _replica(shard).execute(-2)
        assert primary.agent is not None
        primary.agent.state.set_demoting(True)
        with pytest.raises(TabletActionError, match="NOT_SERVING"):
            await primary.execute(-3)
        primary.agent.state.set_demoting(False)

    in_world(main)


def test_a_demotion_kills_the_writes_that_wait() -> None:
    """A client gets an error for a write that waits for an acknowledgement, although mysqld commits it."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        replicas = [each for each in shard.tablets if each is not primary]
        for replica in replicas:
            await replica.mysqld.replication.stop(Threads.BOTH)
        write = asyncio.create_task(primary.execute(-1))
        await until(lambda: primary.mysqld.acks.sessions > 0)
        assert primary.agent is not None
        await primary.agent.reparent.demote_primary(force=True)
        with pytest.raises(TabletActionError, match="killed"):
            await write
        assert primary.mysqld.super_read_only

    in_world(main)
