"""Evidence about a primary that real servers give: when it is lost, and when it only seems so."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import LogLine, VtorcProcess
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[tuple[Shard, VtorcProcess]]:
    """Give a shard with two tablets that may be primary, and the vtorc that watches it with a long cooldown."""
    spec = LabSpec(topo="local", rdonly=1, durability="semi_sync_with_rdonly_ack")
    async with LabCluster(spec) as cluster, daemons_of(cluster) as daemons:
        vtorc = await daemons.start("--recovery-period-block-duration=600s")
        shard = Shard(cluster)
        shard.watched_by = [vtorc]
        await shard.well()
        yield shard, vtorc


async def test_a_tablet_that_came_back_sound_is_replaced_at_once(lab: tuple[Shard, VtorcProcess]) -> None:
    """Of two tablets that are killed as primary in turn, the first is replaced at its second death as well."""
    shard, _ = lab
    first = await shard.primary()
    async with shard.written_to() as writer:
        for _ in range(3):
            old = await shard.primary()
            await acknowledged(writer, 10, by=old)
            await old.kill_mysqld()
            await acknowledged(writer, 10, by=await shard.replaced(old))
            await shard.return_of(old)
    assert await shard.primary() is not first


async def test_a_mysql_that_shuts_down_is_replaced_before_its_replicas_lose_it(
    lab: tuple[Shard, VtorcProcess],
) -> None:
    """A shutdown closes the connections of replicas last; a replica that cannot connect again is proof enough."""
    shard, vtorc = lab
    old = await shard.primary()
    async with shard.written_to() as writer:
        await acknowledged(writer, 10, by=old)
        since = len(vtorc.lines)
        stopping = asyncio.create_task(old.stop_mysqld(), name="stop mysqld")
        decided = await vtorc.wait_for(lambda line: decides_to_replace(line, old), since=since)
        if not stopping.done():
            assert "answers that its MySQL is down, and" in decided["event"]
            assert "cannot connect to it any more; replacing the primary" in decided["event"]
        await acknowledged(writer, 10, by=await shard.replaced(old))
        await stopping
    await shard.return_of(old)


async def test_a_primary_is_kept_when_its_acker_comes_back(lab: tuple[Shard, VtorcProcess]) -> None:
    """While both ackers are down the shard is said to take no writes; once one is back, the primary goes on."""
    shard, vtorc = lab
    primary = await shard.primary()
    term = await shard.term()
    async with shard.written_to() as writer:
        await acknowledged(writer, 10, by=primary)
        first, second = await shard.replicas()
        since = len(vtorc.lines)
        await asyncio.gather(first.kill_mysqld(), second.kill_mysqld())
        told = await vtorc.wait_for(lambda line: line.get("code") == "ShardTakesNoWrites", since=since)
        assert "takes no writes, because its commits wait for 1 acknowledgement" in told["event"]
        await until(lambda: why_not_blocked(primary))
        await first.start_mysqld()
        await acknowledged(writer, 10, by=primary)
        await second.start_mysqld()
        assert await shard.well() is primary
    assert await shard.term() == term


def decides_to_replace(line: LogLine, primary: LabTablet) -> bool:
    """Whether the line is the decision to replace that primary."""
    replaces = line.get("code") == "DeadPrimary" and line.get("rule") == "act"
    return replaces and line.get("tablet") == str(primary.alias)


async def why_not_blocked(primary: LabTablet) -> str:
    """Return why the primary does not count as blocked; empty if its tablet reports commits that wait in vain."""
    async with grpc.aio.insecure_channel(f"{primary.host}:{primary.grpc_port}") as channel:
        answer = await TabletManagerStub(channel).FullStatus(tm.FullStatusRequest())
    return "" if answer.status.semi_sync_blocked else "no block is reported"
