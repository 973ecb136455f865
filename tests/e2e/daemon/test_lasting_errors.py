"""Errors of replication that no restart can change, on real MySQL servers: they are told, and start no failover."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, by_hand, dba
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet
from vtorc.lab.vtorc_process import LogLine, VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUICK = "--instance-poll-time=1s"
UNLOCK = "ALTER USER 'vt_repl'@'%' ACCOUNT UNLOCK"


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


async def broken(vtorc: VtorcProcess, tablet: LabTablet, number: int, *, since: int) -> str:
    """Wait until vtorc names the error of a replica by its number; returns the sentence."""

    def names_it(line: LogLine) -> bool:
        return (
            line.get("code") == "ReplicationBroken"
            and line.get("tablet") == str(tablet.alias)
            and f"MySQL error {number}" in line["event"]
        )

    line = await vtorc.wait_for(names_it, since=since)
    return str(line["event"])


async def test_a_locked_account_is_told_and_starts_no_failover(
    shard: Shard, primary: LabTablet, vtorc: VtorcProcess
) -> None:
    """The primary stays although none of its replicas can connect: its successor would refuse them, too."""
    before = await shard.term()
    replicas = await shard.replicas()
    await by_hand(primary, "ALTER USER 'vt_repl'@'%' ACCOUNT LOCK")
    for replica in replicas:
        since = len(vtorc.lines)
        await replica.restart_mysqld()
        assert "ACCOUNT UNLOCK on the primary" in await broken(vtorc, replica, 3118, since=since)
    since = len(vtorc.lines)
    stuck = asyncio.create_task(by_hand(primary, "CREATE DATABASE waits_for_an_acknowledgement"))
    await asyncio.sleep(15.0)  # the tablet manager finds blocked commits within that time
    assert not stuck.done()
    assert await shard.term() == before
    assert not [line for line in vtorc.lines[since:] if line.get("recovery") == "RecoverDeadPrimary"]
    # Without the binary log: with it, the statement itself would wait for an acknowledgement.
    await by_hand(primary, "SET sql_log_bin = 0", UNLOCK)
    await stuck
    await shard.well()
    await by_hand(primary, UNLOCK)
    assert await shard.term() == before


async def _why_not_purged(tablet: LabTablet) -> str:
    """Purge all binary logs but the last; returns which are left, as MySQL keeps those that it still sends."""
    async with dba(tablet) as session:
        *_, last = [row["Log_name"] for row in await session.rows("SHOW BINARY LOGS")]
        await session.run(f"PURGE BINARY LOGS TO '{last}'")
        left = [row["Log_name"] for row in await session.rows("SHOW BINARY LOGS")]
    return "" if left == [last] else f"{left} are there"


async def test_a_replica_that_needs_purged_logs_is_told_and_not_restarted_in_a_loop(
    shard: Shard, primary: LabTablet, vtorc: VtorcProcess
) -> None:
    """The sentence names the tablet that could feed it, and it is well again once that one is primary."""
    lacking, able = await shard.replicas()
    await lacking.stop_mysqld()
    await by_hand(primary, "CREATE DATABASE while_it_was_down", "FLUSH BINARY LOGS")
    await until(partial(_why_not_purged, primary))
    since = len(vtorc.lines)
    await lacking.start_mysqld()
    assert f"{able.alias} could feed it as primary" in await broken(vtorc, lacking, 1236, since=since)
    await asyncio.sleep(20.0)
    repairs = [line for line in vtorc.lines[since:] if line.get("recovery") == "FixReplica"]
    assert len(repairs) <= 2  # semi-sync is off on a server that starts, and its threads are restarted once
    outcomes = [line["outcome"] for line in repairs]
    assert outcomes.count("succeeded") <= 1  # MySQL may tell of the purged logs only after the repair has ended
    assert set(outcomes) <= {"succeeded", "failed"}
    await primary.kill_tablet()
    await primary.kill_mysqld()
    assert await shard.replaced(primary) is able
    await primary.start_tablet()
    await shard.well()


@pytest.mark.usefixtures("primary")
async def test_a_replica_that_cannot_connect_to_a_primary_at_work_is_told(shard: Shard, vtorc: VtorcProcess) -> None:
    """It is told until it connects, and nothing is done about it: its address of its own is none of this host."""
    replica, since, before = (await shard.replicas())[0], len(vtorc.lines), await shard.term()
    bind = "CHANGE REPLICATION SOURCE TO SOURCE_BIND = '{}'"
    await by_hand(replica, "STOP REPLICA IO_THREAD", bind.format("192.0.2.1"), "START REPLICA IO_THREAD")

    def is_about_it(line: LogLine) -> bool:
        return line.get("code") == "ReplicaCutOff" and line.get("tablet") == str(replica.alias)

    line = await vtorc.wait_for(is_about_it, since=since)
    assert ", which answers vtorc (Can't connect to MySQL server" in line["event"]
    assert line["rule"] == "no-remedy"
    await by_hand(replica, "STOP REPLICA IO_THREAD", bind.format(""), "START REPLICA IO_THREAD")
    await vtorc.wait_for(lambda line: is_about_it(line) and line["event"].endswith(" is gone"), since=since)
    await shard.well()
    assert await shard.term() == before
