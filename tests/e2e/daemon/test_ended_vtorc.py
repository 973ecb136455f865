"""A vtorc that ends in the middle of a failover, killed or told to stop, and what it leaves to the next one."""

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.gate import first_held, gates_before
from tests.e2e.daemon.shard import Shard, acknowledged, dba
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHORT_LEASE = "--topo-etcd-lease-ttl=3"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over etcd that has a primary."""
    async with LabCluster(LabSpec(topo="etcd2")) as cluster:
        shard = Shard(cluster)
        async with daemons_of(cluster) as daemons:
            await daemons.start()
            await shard.well()
        yield shard


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs that end with the test."""
    async with daemons_of(shard.cluster) as daemons:
        yield daemons


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("StopReplicationAndGetStatus", id="with the lock, before the first change"),
        pytest.param("WaitForPosition", id="when replication was stopped"),
        pytest.param("PromoteReplica", id="before the promotion"),
        pytest.param("PopulateReparentJournal", id="after the promotion"),
    ],
)
async def test_the_next_vtorc_goes_on_where_one_was_killed(shard: Shard, daemons: Daemons, step: str) -> None:
    """After a vtorc was killed at any step of a failover, the next one brings the shard to a new primary.

    It does so as soon as the lease of the lock has ended. There is one reparent, and no acknowledged row is missing.
    """
    old = await shard.mended(daemons)
    async with gates_before(shard) as gates, shard.terms() as terms, shard.written_to() as writer:
        killed = await daemons.start_knowing(SHORT_LEASE)
        await acknowledged(writer, 10, by=old)
        for gate in gates.values():
            gate.hold(step)
        await old.kill_mysqld()
        await first_held(gates.values(), step)
        await killed.kill()
        (left,) = await shard.locks()
        for gate in gates.values():
            gate.release(step)
        await daemons.start(SHORT_LEASE)
        new = await shard.replaced(old)
        await acknowledged(writer, 10, by=new)
        assert await writer.missing(new) == []
        await shard.return_of(old)
        assert [alias for alias, _ in terms] == [old.alias, new.alias]
        await shard.unlocked(left)


async def test_told_to_stop_it_ends_its_failover_first(shard: Shard, daemons: Daemons) -> None:
    """A vtorc that is told to stop during a failover ends that, gives its lock back, and exits with code 0."""
    old = await shard.mended(daemons)
    async with gates_before(shard) as gates:
        vtorc = await daemons.start_knowing()
        for gate in gates.values():
            gate.hold("WaitForPosition")
        await old.kill_mysqld()
        await first_held(gates.values(), "WaitForPosition")
        vtorc.send(signal.SIGTERM)
        await vtorc.wait_for(lambda line: line["event"].startswith("SIGTERM"))
        for gate in gates.values():
            gate.release("WaitForPosition")
        assert await vtorc.wait_exit() == 0
    assert await shard.locks() == []
    assert await shard.primary() is not old
    await daemons.start()
    await shard.return_of(old)


async def test_told_to_stop_it_puts_back_what_it_cannot_end(shard: Shard, daemons: Daemons) -> None:
    """A vtorc that cannot end its failover in time after a SIGTERM restores replication, gives its lock back, and exits
    with 0.
    """
    old = await shard.mended(daemons)
    replicas = await shard.replicas()
    async with gates_before(shard) as gates:
        vtorc = await daemons.start_knowing("--shutdown-wait-time=200ms")
        for gate in gates.values():
            gate.hold("WaitForPosition")
        await old.kill_mysqld()
        await first_held(gates.values(), "WaitForPosition")
        assert [await _io_thread(replica) for replica in replicas] == ["No", "No"]
        assert await vtorc.terminate() == 0
    assert await shard.locks() == []
    assert await shard.primary() is old
    assert [await _io_thread(replica) for replica in replicas] == ["Connecting", "Connecting"]
    await daemons.start()
    await shard.replaced(old)
    await shard.return_of(old)


async def _io_thread(tablet: LabTablet) -> str:
    async with dba(tablet) as session:
        (status,) = await session.rows("SHOW REPLICA STATUS")
    return status["Replica_IO_Running"]
