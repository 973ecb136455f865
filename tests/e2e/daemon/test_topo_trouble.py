"""A topology server that hangs, dies or holds garbage, and what vtorc makes of it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged, cell_topo, dba
from vtorc.core.facts.ids import TabletAlias
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.topo import paths

pytestmark = pytest.mark.asyncio(loop_scope="module")

GARBAGE = b"\xff\xfegarbage\x00"
IMPATIENT = "--remote-operation-timeout=1s"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over etcd."""
    async with LabCluster(LabSpec(topo="etcd2")) as cluster:
        yield Shard(cluster)


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs that end with the test."""
    async with daemons_of(shard.cluster) as daemons:
        yield daemons


async def _fails_over(shard: Shard, old: LabTablet) -> None:
    """Kill the primary's mysqld under writes, and see the primary replaced without a loss, and return."""
    async with shard.written_to() as writer:
        await old.kill_mysqld()
        new = await shard.replaced(old)
        await acknowledged(writer, 10, by=new)
        assert await writer.missing(new) == []
    await shard.return_of(old)


async def test_a_record_of_garbage_is_named_and_the_shard_still_managed(shard: Shard, daemons: Daemons) -> None:
    """vtorc reports an unreadable tablet record with the tablet's name, and still replaces the shard's dead primary."""
    old = await shard.mended(daemons)
    stray = TabletAlias("zone2", 999)
    cell = await cell_topo(shard.cluster, stray.cell)
    await cell.create(paths.tablet(stray), GARBAGE)
    try:
        vtorc = await daemons.start_knowing()
        await vtorc.wait_for(lambda line: str(stray) in line["event"])
        await _fails_over(shard, old)
    finally:
        await cell.delete(paths.tablet(stray), None)


async def test_a_record_that_turns_to_garbage_keeps_its_tablet(shard: Shard, daemons: Daemons) -> None:
    """A replica still counts when the primary dies, although its record was overwritten with garbage and reported."""
    old = await shard.mended(daemons)
    victim = (await shard.replicas())[0]
    vtorc = await daemons.start_knowing()
    cell = await cell_topo(shard.cluster, victim.alias.cell)
    stored = await cell.get(paths.tablet(victim.alias))
    await cell.update(paths.tablet(victim.alias), GARBAGE, None)
    await vtorc.wait_for(lambda line: line.get("tablet") == str(victim.alias) and line["code"] == "BadTabletRecord")
    async with shard.written_to() as writer:
        await old.kill_mysqld()
        new = await shard.replaced(old, but=[victim])
        await acknowledged(writer, 10, by=new)
        assert await writer.missing(new) == []
    await cell.update(paths.tablet(victim.alias), stored.contents, None)
    await shard.return_of(old)


async def test_nothing_is_changed_while_the_topology_server_hangs(shard: Shard, daemons: Daemons) -> None:
    """A primary that dies while the topology server hangs is replaced once that is back, and nothing changes before."""
    old = await shard.mended(daemons)
    replicas = await shard.replicas()
    vtorc = await daemons.start_knowing(IMPATIENT)
    async with shard.terms() as terms:
        shard.cluster.etcd.pause()
        try:
            await old.kill_mysqld()
            await vtorc.wait_for(lambda line: line.get("outcome") == "failed")
            assert [await _replication(replica) for replica in replicas] == ["Connecting", "Connecting"]
        finally:
            shard.cluster.etcd.resume()
        new = await shard.replaced(old)
        await shard.return_of(old)
    assert [alias for alias, _ in terms] == [old.alias, new.alias]


async def test_nothing_follows_from_a_restart_of_the_topology_server(shard: Shard, daemons: Daemons) -> None:
    """vtorc reports that the topology server is dead; once it is back the primary is the same and nothing
    was repaired.
    """
    await shard.mended(daemons)
    before = await shard.term()
    vtorc = await daemons.start_knowing(IMPATIENT)
    await shard.cluster.etcd.kill()
    await vtorc.wait_for(lambda line: "could not be read" in line["event"])
    await shard.cluster.etcd.start()
    await vtorc.wait_for(lambda line: "can be read completely again" in line["event"])
    await shard.well()
    assert await shard.term() == before
    assert [line for line in vtorc.lines if "recovery" in line] == []


async def _replication(tablet: LabTablet) -> str:
    async with dba(tablet) as session:
        (status,) = await session.rows("SHOW REPLICA STATUS")
    return status["Replica_IO_Running"]
