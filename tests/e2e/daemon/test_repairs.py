"""One vtorc repairs what was broken by hand, and the shard keeps its primary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged, by_hand
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = "--instance-poll-time=1s"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over a topology file."""
    async with LabCluster(LabSpec(topo="local")) as cluster:
        yield Shard(cluster)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vtorc(shard: Shard) -> AsyncIterator[VtorcProcess]:
    """Run one vtorc."""
    async with daemons_of(shard.cluster) as daemons:
        yield await daemons.start(QUICK)


@pytest_asyncio.fixture(loop_scope="module")
async def primary(shard: Shard, vtorc: VtorcProcess) -> LabTablet:
    """Give the primary of a shard that is well."""
    assert vtorc.exit_code is None
    return await shard.well()


async def _point_at(replica: LabTablet, source: LabTablet, *more: str) -> None:
    change = (
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{source.host}', SOURCE_PORT = {source.mysql_port}, "
        "SOURCE_USER = 'vt_repl', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
    )
    await by_hand(replica, "STOP REPLICA", change, "START REPLICA", *more)


async def _writable(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "SET GLOBAL read_only = OFF")


async def _stopped(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "STOP REPLICA")


async def _io_stopped(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "STOP REPLICA IO_THREAD")


async def _both_sql_stopped(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await asyncio.gather(*(by_hand(replica, "STOP REPLICA SQL_THREAD") for replica in (one, other)))


async def _forgotten(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "STOP REPLICA", "RESET REPLICA ALL")


async def _wrong_source(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await _point_at(one, other)


async def _heartbeat(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "STOP REPLICA", "CHANGE REPLICATION SOURCE TO SOURCE_HEARTBEAT_PERIOD = 1", "START REPLICA")


async def _no_acks(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(one, "SET GLOBAL rpl_semi_sync_replica_enabled = OFF", "STOP REPLICA", "START REPLICA")


async def _primary_read_only(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(primary, "SET GLOBAL super_read_only = ON")


async def _no_waiting(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await by_hand(primary, "SET GLOBAL rpl_semi_sync_source_enabled = OFF")


async def _circular(primary: LabTablet, one: LabTablet, other: LabTablet) -> None:
    await _point_at(primary, one)


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(_writable, id="replica writable"),
        pytest.param(_stopped, id="replication stopped"),
        pytest.param(_io_stopped, id="receiver stopped"),
        pytest.param(_both_sql_stopped, id="both appliers stopped"),
        pytest.param(_forgotten, id="source forgotten"),
        pytest.param(_wrong_source, id="wrong source"),
        pytest.param(_heartbeat, id="wrong heartbeat interval"),
        pytest.param(_no_acks, id="replica does not acknowledge"),
        pytest.param(_primary_read_only, id="primary read-only"),
        pytest.param(_no_waiting, id="primary does not wait"),
        pytest.param(_circular, id="primary replicates from a replica"),
    ],
)
async def test_what_was_broken_by_hand_is_put_right(
    shard: Shard,
    primary: LabTablet,
    vtorc: VtorcProcess,
    break_it: Callable[[LabTablet, LabTablet, LabTablet], Awaitable[None]],
) -> None:
    """The shard is well again without a change of its primary."""
    before = await shard.term()
    one, other = await shard.replicas()
    since = len(vtorc.lines)
    await break_it(primary, one, other)
    await vtorc.wait_for(lambda line: line.get("outcome") == "succeeded", since=since)
    await shard.well()
    assert await shard.term() == before


async def test_a_stalled_primary_gets_its_ackers_back(shard: Shard, primary: LabTablet, vtorc: VtorcProcess) -> None:
    """Writes that stalled because all replicas were stopped go on once vtorc has started them; the primary stays."""
    before = await shard.term()
    async with shard.written_to() as writer:
        for replica in await shard.replicas():
            await by_hand(replica, "STOP REPLICA")
        await acknowledged(writer, 20, by=primary)
        await shard.well()
    assert await shard.term() == before
    assert await writer.missing(primary) == []


async def test_a_changed_policy_never_stalls_writes(shard: Shard, primary: LabTablet, vtorc: VtorcProcess) -> None:
    """The policy of a live shard goes from semi_sync to none and back, and every write is acknowledged.

    The primary stops waiting before the replicas stop acknowledging, and waits again only after they acknowledge.
    """
    before = await shard.term()
    async with shard.written_to() as writer:
        for name, order in (("none", ["FixPrimary", "FixReplica"]), ("semi_sync", ["FixReplica", "FixPrimary"])):
            since = len(vtorc.lines)
            await shard.set_policy(name)
            await shard.well()
            await acknowledged(writer, 10, by=primary)
            assert _repairs(vtorc, since) == order
        assert writer.ledger.in_doubt == []
    assert await shard.term() == before
    assert await writer.missing(primary) == []


async def test_an_old_primary_that_returns_writable_is_tamed(
    shard: Shard, primary: LabTablet, vtorc: VtorcProcess
) -> None:
    """An old primary that comes back writable becomes a read-only replica of the new one."""
    await primary.kill_tablet()
    await primary.kill_mysqld()
    new = await shard.replaced(primary)
    await primary.start_tablet("--mysqld-option=--super-read-only=OFF")
    assert await shard.well() is new
    await primary.kill_tablet()  # the next start of its server is to be an ordinary one
    await primary.start_tablet()


async def test_a_hung_primary_is_replaced(shard: Shard, primary: LabTablet, vtorc: VtorcProcess) -> None:
    """A primary that hangs with all its connections open is replaced once, and becomes a replica when it goes on.

    If it holds writes that no replica acknowledged, vtorc says so instead.
    """
    async with shard.terms() as terms, shard.written_to() as writer:
        await acknowledged(writer, 10, by=primary)
        await primary.pause_mysqld()
        new = await shard.replaced(primary)
        await acknowledged(writer, 10, by=new)
        assert await writer.missing(new) == []
        await primary.resume_mysqld()
        if await shard.rejoins(primary) == "errant":
            await vtorc.wait_for(lambda line: line.get("code") == "ErrantGTIDDetected")
            await shard.set_up_anew(primary)
            await shard.well()
        assert await writer.missing(primary) == []
    assert [alias for alias, _ in terms] == [primary.alias, new.alias]


def _repairs(vtorc: VtorcProcess, since: int) -> list[str]:
    """The recoveries that succeeded, each named once, in order."""
    done = (line["recovery"] for line in vtorc.lines[since:] if line.get("outcome") == "succeeded")
    return list(dict.fromkeys(done))
