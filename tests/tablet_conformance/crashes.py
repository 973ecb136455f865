"""Tests, for modules with a fixture `shard`, of what a server keeps and loses if it dies, hangs or purged too much."""

import asyncio

import grpc

from tests.tablet_conformance.harness import (
    PATIENCE,
    Shard,
    Tablet,
    demote,
    eventually,
    follow,
    full_status,
    init_primary,
    position,
    promote,
    refusal,
    replicating,
    running_shard,
    stop_and_get_status,
    wait_for,
)
from vtorc.core.facts.gtid import GtidSet
from vtorc.lab import grpc_convert
from vtorc.proto import tabletmanagerdata_pb2 as tm

SOURCE_FATAL = 1236


async def commits_wait(tablet: Tablet) -> bool:
    """Whether a commit waits for an acknowledgement."""
    request = tm.GetGlobalStatusVarsRequest(variables=["Rpl_semi_sync_source_wait_sessions"])
    values = (await tablet.rpc.GetGlobalStatusVars(request, timeout=PATIENCE)).status_values
    return any(int(value) for value in values.values())


async def io_error(tablet: Tablet) -> str:
    """Return the last error of the IO thread once it has stopped with one."""

    async def stopped() -> bool:
        status = (await full_status(tablet)).replication_status
        return status.io_state == 1 and bool(status.last_io_error)

    await eventually(stopped)
    return (await full_status(tablet)).replication_status.last_io_error


async def test_unacknowledged_commit_is_not_visible(shard: Shard) -> None:
    """A commit that waits for its acknowledgement is not in gtid_executed; a replica that connects then fetches and
    acknowledges it, which ends the wait.
    """
    primary, one, other = await running_shard(shard)
    before = await position(primary)
    await asyncio.gather(*(stop_and_get_status(each, io_only=True) for each in (one, other)))
    writing = asyncio.create_task(primary.write())
    await eventually(lambda: commits_wait(primary))
    assert await position(primary) == before
    await one.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await writing
    after = await position(primary)
    assert after.difference(before)
    await wait_for(one, after)
    assert await position(other) == before


async def test_unacknowledged_commit_outlives_the_crash(shard: Shard) -> None:
    """A commit that waits for its acknowledgement when the server dies is there after the restart, and on no other
    server.

    So the server cannot join the primary that was promoted meanwhile.
    """
    old, new, other = await running_shard(shard)
    before = await position(old)
    await asyncio.gather(*(stop_and_get_status(each, io_only=True) for each in (new, other)))
    writing = asyncio.create_task(old.write())
    await eventually(lambda: commits_wait(old))
    await old.kill_mysql()
    await asyncio.gather(writing, return_exceptions=True)
    await promote(new)
    await follow(other, new)
    await old.start_mysql()
    errant = (await position(old)).difference(before)
    assert errant
    assert not (await position(new)).intersection(errant)
    code, text = await refusal(follow(old, new))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert str(errant) in text


async def test_crash_empties_the_relay_log(shard: Shard) -> None:
    """A crash drops the transactions that a replica had received and not applied; it fetches them again from its
    source.
    """
    primary, replica, _ = await running_shard(shard)
    await replica.stop_applier()
    await primary.write()
    reached = await position(primary)

    async def received() -> bool:
        status = (await full_status(replica)).replication_status
        return grpc_convert.gtids(status.relay_log_position).contains(reached)

    await eventually(received)
    await replica.kill_mysql()
    await replica.start_mysql()
    status = (await full_status(replica)).replication_status
    assert status.relay_log_position == status.position
    assert not grpc_convert.gtids(status.position).contains(reached)
    await replica.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await wait_for(replica, reached)


async def test_dead_source_leaves_its_replica_connecting(shard: Shard) -> None:
    """A replica with a dead source tries to connect: its IO thread is Connecting, its SQL thread runs."""
    primary, replica, _ = await running_shard(shard)
    await primary.kill_mysql()

    async def connecting() -> bool:
        status = (await full_status(replica)).replication_status
        return (status.io_state, status.sql_state) == (2, 3)

    await eventually(connecting)
    status = (await full_status(replica)).replication_status
    assert not status.io_thread_running
    await eventually(lambda: says_why(replica))


async def says_why(tablet: Tablet) -> bool:
    """Whether the status has an error of the IO thread."""
    return bool((await full_status(tablet)).replication_status.last_io_error)


async def test_hung_server_keeps_its_callers_waiting(shard: Shard) -> None:
    """While its server hangs, a tablet answers Ping but no call about MySQL, and its replicas count as connected.

    Afterwards all of it goes on.
    """
    primary, replica, _ = await running_shard(shard)
    primary.hang_mysql(True)
    await primary.rpc.Ping(tm.PingRequest(payload="x"), timeout=PATIENCE)
    code, _ = await refusal(primary.rpc.FullStatus(tm.FullStatusRequest(), timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await replicating(replica)
    primary.hang_mysql(False)
    await full_status(primary)
    await primary.write()
    await wait_for(replica, await position(primary))


async def test_source_that_purged_too_much_is_a_fatal_error(shard: Shard) -> None:
    """If a source has purged transactions that a replica needs, the replica's IO thread stops with error 1236; its SQL
    thread runs on.
    """
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await primary.purge_binlogs()
    await follow(replica, primary, semi_sync=False)
    assert str(SOURCE_FATAL) in await io_error(replica)
    status = await full_status(replica)
    assert status.replication_status.sql_state == 3
    assert (await full_status(primary)).gtid_purged == grpc_convert.position(await position(primary))


async def test_source_that_lost_its_own_transactions_is_a_fatal_error(shard: Shard) -> None:
    """A replica with more of its source's own transactions than the source itself stops with error 1236."""
    primary, replica, _ = await running_shard(shard, semi_sync=False)
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    await primary.rpc.ResetReplication(tm.ResetReplicationRequest(), timeout=PATIENCE)
    await follow(replica, primary, semi_sync=False)
    assert str(SOURCE_FATAL) in await io_error(replica)


async def test_io_thread_is_stopped_by_the_statement(shard: Shard) -> None:
    """STOP REPLICA IO_THREAD through ExecuteFetchAsDba stops an IO thread that only tries to connect, and leaves the
    SQL thread running.
    """
    primary, replica, _ = await running_shard(shard)
    await primary.kill_mysql()

    async def connecting() -> bool:
        return (await full_status(replica)).replication_status.io_state == 2

    await eventually(connecting)
    request = tm.ExecuteFetchAsDbaRequest(query=b"STOP REPLICA IO_THREAD", max_rows=1)
    await replica.rpc.ExecuteFetchAsDba(request, timeout=PATIENCE)
    status = (await full_status(replica)).replication_status
    assert (status.io_state, status.sql_state) == (1, 3)


async def test_global_read_lock_holds_commits_up(shard: Shard) -> None:
    """While the tables are locked no commit ends and a demotion waits; after the unlock the commit ends, be it refused,
    and the demotion too.
    """
    primary, _, _ = await running_shard(shard)
    before = await position(primary)
    await primary.rpc.LockTables(tm.LockTablesRequest(), timeout=PATIENCE)
    writing = asyncio.create_task(primary.write())
    code, _ = await refusal(primary.rpc.WaitForPosition(_beyond(before), timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert await position(primary) == before
    assert not writing.done()
    await primary.rpc.UnlockTables(tm.UnlockTablesRequest(), timeout=PATIENCE)
    await writing
    await demote(primary)
    assert (await position(primary)).difference(before)


def _beyond(reached: GtidSet) -> tm.WaitForPositionRequest:
    """Add a transaction that no server will ever have."""
    stranger = GtidSet.of("00000000-1111-2222-3333-444444444444", 1)
    return tm.WaitForPositionRequest(position=grpc_convert.position(reached.union(stranger)))
