"""How a tablet starts and stops replication, and changes its source: tests for modules with `shard` and `old_shard`."""

import asyncio

import grpc

from tests.tablet_conformance.harness import (
    PATIENCE,
    Shard,
    Tablet,
    eventually,
    follow,
    full_status,
    init_primary,
    position,
    promote,
    record,
    refusal,
    replicating,
    running_shard,
    source_request,
    stop_and_get_status,
    wait_for,
    write_journal,
)
from vtorc.core.facts.ids import TabletType
from vtorc.lab import grpc_convert
from vtorc.proto import replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.topo.records import alias_to_proto


async def source_of(shard: Shard, tablet: Tablet) -> topodata_pb2.TabletAlias | None:
    """Return the alias of the tablet from which a tablet's server replicates."""
    status = (await full_status(tablet)).replication_status
    for candidate in shard.tablets:
        found = await record(shard, candidate)
        if (status.source_host, status.source_port) == found.mysql_address:
            return alias_to_proto(candidate.alias)
    return None


async def held_back(tablet: Tablet) -> replicationdata_pb2.Status:
    """Return a replica's status once it has received more than it has executed."""

    async def behind() -> bool:
        status = (await full_status(tablet)).replication_status
        return status.relay_log_position != status.position

    await eventually(behind)
    return (await full_status(tablet)).replication_status


async def test_forced_start_replicates(shard: Shard) -> None:
    """After SetReplicationSource with forced start a tablet receives and applies its parent's commits."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await follow(replica, primary, semi_sync=False)
    await primary.write()
    await wait_for(replica, await position(primary))
    assert await source_of(shard, replica) == alias_to_proto(primary.alias)


async def test_old_name_of_set_replication_source_does_the_same(shard: Shard) -> None:
    """SetMaster, which clients of Vitess 12 call, re-points a replica as SetReplicationSource does."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await replica.rpc.SetMaster(source_request(primary, semi_sync=False), timeout=PATIENCE)
    await wait_for(replica, await position(primary))


async def test_semi_sync_true_makes_an_acker(shard: Shard) -> None:
    """With semiSync a replica's side is on and active, and its primary counts it as a client."""
    primary, replica, _ = await running_shard(shard, semi_sync=True)
    status = await full_status(replica)
    assert (status.semi_sync_primary_enabled, status.semi_sync_replica_enabled) == (False, True)
    assert status.semi_sync_replica_status
    status = await full_status(primary)
    assert (status.semi_sync_primary_enabled, status.semi_sync_replica_enabled) == (True, True)
    assert status.semi_sync_primary_status
    assert status.semi_sync_primary_clients == 2


async def test_semi_sync_false_switches_it_off(shard: Shard) -> None:
    """Without semiSync both sides of a replica are switched off, even if they were on."""
    primary, replica, _ = await running_shard(shard, semi_sync=True)
    await follow(replica, primary, semi_sync=False)
    status = await full_status(replica)
    assert (status.semi_sync_primary_enabled, status.semi_sync_replica_enabled) == (False, False)

    async def left() -> bool:
        return (await full_status(primary)).semi_sync_primary_clients == 1

    await eventually(left)


async def test_stopped_replica_stays_stopped_without_force(shard: Shard) -> None:
    """SetReplicationSource without force leaves a stopped replica stopped, and waits for nothing."""
    primary, replica, other = await running_shard(shard)
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    request = source_request(other, force=False, time_created_ns=12345)
    await replica.rpc.SetReplicationSource(request, timeout=PATIENCE)
    status = (await full_status(replica)).replication_status
    assert (status.io_state, status.sql_state) == (1, 1)
    assert await source_of(shard, replica) == alias_to_proto(other.alias)
    assert await source_of(shard, other) == alias_to_proto(primary.alias)


async def test_server_without_source_is_started_without_force(shard: Shard) -> None:
    """SetReplicationSource starts a server that had no source, also without force."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await follow(replica, primary, semi_sync=False, force=False)
    await wait_for(replica, await position(primary))


async def test_same_source_keeps_the_relay_log(shard: Shard) -> None:
    """Re-pointing a replica to its present source restarts its threads and keeps its relay log."""
    primary, replica, other = await running_shard(shard)
    await replica.stop_applier()
    await primary.write()
    received = (await held_back(replica)).relay_log_position
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    await follow(replica, primary, force=False)
    assert (await full_status(replica)).replication_status.relay_log_position == received
    await follow(replica, primary)
    await wait_for(replica, grpc_convert.gtids(received))
    await wait_for(other, grpc_convert.gtids(received))


async def test_other_source_drops_the_relay_log(old_shard: Shard) -> None:
    """Re-pointing a replica to another source drops the relay log, with transactions that it had not applied."""
    _, replica, other = await running_shard(old_shard)
    await other.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    await replica.stop_applier()
    await old_shard.tablets[0].write()
    before = await held_back(replica)
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    await follow(replica, other, force=False)
    after = (await full_status(replica)).replication_status
    assert after.relay_log_position == after.position == before.position


async def test_heartbeat_interval_is_set_and_reported(shard: Shard) -> None:
    """A heartbeat interval in the request changes the source settings and appears in FullStatus."""
    primary, replica, _ = await running_shard(shard)
    request = source_request(primary, heartbeat_interval=2.5)
    await replica.rpc.SetReplicationSource(request, timeout=PATIENCE)
    assert (await full_status(replica)).replication_configuration.heartbeat_interval == 2.5
    await eventually(lambda: replicating(replica))


async def test_errant_transactions_are_refused(shard: Shard) -> None:
    """A tablet with a transaction that its parent lacks refuses to replicate from it and names the transaction."""
    primary, replica, _ = await running_shard(shard)
    await replica.write_errant()
    errant = (await position(replica)).difference(await position(primary))
    call = replica.rpc.SetReplicationSource(source_request(primary), timeout=PATIENCE)
    code, text = await refusal(call)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert f"Errant GTID detected - {errant}" in text


async def test_lag_of_the_parent_is_not_errant(shard: Shard) -> None:
    """The parent's own transactions are never errant, even if its answer is older than the replica's relay log."""
    primary, replica, _ = await running_shard(shard)
    for _ in range(5):
        await primary.write()
    await follow(replica, primary)


async def test_missing_parent_is_refused(shard: Shard) -> None:
    """SetReplicationSource without a parent is a failed precondition."""
    call = shard.tablets[0].rpc.SetReplicationSource(source_request(None), timeout=PATIENCE)
    code, text = await refusal(call)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "Shard primaryAlias is nil" in text


async def test_parent_without_mysql_address_is_refused(shard: Shard) -> None:
    """A parent that was shut down, so that its record has no addresses, is a failed precondition."""
    primary, replica, _ = await running_shard(shard)
    await primary.shut_down()
    call = replica.rpc.SetReplicationSource(source_request(primary), timeout=PATIENCE)
    code, text = await refusal(call)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "empty mysql hostname" in text


async def test_primary_turns_replica_before_anything_can_fail(shard: Shard) -> None:
    """The record of a primary that shall replicate says REPLICA even if the rest of the call fails."""
    primary = shard.tablets[0]
    await init_primary(primary, semi_sync=False)
    request = tm.SetReplicationSourceRequest(parent=topodata_pb2.TabletAlias(cell="zone1", uid=999), semiSync=False)
    await refusal(primary.rpc.SetReplicationSource(request, timeout=PATIENCE))
    found = await record(shard, primary)
    assert (found.type, found.primary_term_start) == (TabletType.REPLICA, 0)
    assert (await full_status(primary)).tablet_type == topodata_pb2.REPLICA


async def test_wait_position_is_waited_for(shard: Shard) -> None:
    """SetReplicationSource returns only after the wait position is applied."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await primary.write()
    reached = await position(primary)
    request = source_request(primary, semi_sync=False, wait_position=reached)
    await replica.rpc.SetReplicationSource(request, timeout=PATIENCE)
    assert (await position(replica)).contains(reached)


async def test_journal_row_is_waited_for(shard: Shard) -> None:
    """SetReplicationSource with a time waits until the journal row of that time has replicated."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    request = source_request(primary, semi_sync=False, time_created_ns=42)
    waiting = asyncio.ensure_future(replica.rpc.SetReplicationSource(request, timeout=PATIENCE))
    await eventually(lambda: replicating(replica))
    assert not waiting.done()
    await write_journal(primary, 42)
    await waiting


async def test_start_replication_sets_semi_sync_and_starts(shard: Shard) -> None:
    """StartReplication sets the replica's side of semi-sync and starts both threads."""
    _, replica, _ = await running_shard(shard, semi_sync=False)
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    assert not await replicating(replica)
    await replica.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await eventually(lambda: replicating(replica))
    assert (await full_status(replica)).semi_sync_replica_status


async def test_restart_replication_applies_semi_sync(shard: Shard) -> None:
    """RestartReplication applies the new semi-sync setting to a running IO thread."""
    _, replica, _ = await running_shard(shard, semi_sync=False)
    await replica.rpc.RestartReplication(tm.RestartReplicationRequest(semiSync=True), timeout=PATIENCE)

    async def acks() -> bool:
        return (await full_status(replica)).semi_sync_replica_status

    await eventually(acks)


async def test_stopping_the_io_thread_leaves_the_applier(shard: Shard) -> None:
    """StopReplicationAndGetStatus of the IO thread alone leaves the SQL thread running, and reports both states."""
    _, replica, _ = await running_shard(shard)
    status = await stop_and_get_status(replica, io_only=True)
    assert (status.before.io_state, status.before.sql_state) == (3, 3)
    assert (status.after.io_state, status.after.sql_state) == (1, 3)
    assert status.before.semi_sync_replica_enabled
    assert status.after.relay_log_position


async def test_stopping_both_threads_reports_both(shard: Shard) -> None:
    """StopReplicationAndGetStatus of both threads stops both."""
    _, replica, _ = await running_shard(shard)
    status = await stop_and_get_status(replica, io_only=False)
    assert (status.after.io_state, status.after.sql_state) == (1, 1)


async def test_stopping_what_is_stopped_changes_nothing(shard: Shard) -> None:
    """StopReplicationAndGetStatus returns the same status twice if the IO thread is stopped already."""
    _, replica, _ = await running_shard(shard)
    await stop_and_get_status(replica, io_only=True)
    status = await stop_and_get_status(replica, io_only=True)
    assert status.before == status.after
    assert (status.after.io_state, status.after.sql_state) == (1, 3)


async def test_reset_replication_parameters_forgets_the_source(shard: Shard) -> None:
    """ResetReplicationParameters removes the source and keeps the data."""
    _, replica, _ = await running_shard(shard)
    before = await position(replica)
    await replica.rpc.ResetReplicationParameters(tm.ResetReplicationParametersRequest(), timeout=PATIENCE)
    status = await full_status(replica)
    assert not status.HasField("replication_status")
    assert await position(replica) == before


async def test_reset_replication_wipes_the_history(shard: Shard) -> None:
    """ResetReplication removes the source, the GTID history and semi-sync."""
    _, replica, _ = await running_shard(shard)
    await replica.rpc.ResetReplication(tm.ResetReplicationRequest(), timeout=PATIENCE)
    status = await full_status(replica)
    assert not status.HasField("replication_status")
    assert not status.semi_sync_replica_enabled
    assert not await position(replica)


async def test_stop_minimum_stops_at_or_after_the_position(shard: Shard) -> None:
    """StopReplicationMinimum waits for a position, stops, and returns gtid_executed."""
    primary, replica, _ = await running_shard(shard)
    await primary.write()
    reached = await position(primary)
    request = tm.StopReplicationMinimumRequest(position=grpc_convert.position(reached), wait_timeout=10**10)
    answer = await replica.rpc.StopReplicationMinimum(request, timeout=PATIENCE)
    assert grpc_convert.gtids(answer.position).contains(reached)
    assert not await replicating(replica)


async def test_start_until_after_stops_the_applier_there(shard: Shard) -> None:
    """StartReplicationUntilAfter applies up to the position and no further."""
    primary, replica, _ = await running_shard(shard)
    await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    await primary.write()
    middle = await position(primary)
    await primary.write()
    request = tm.StartReplicationUntilAfterRequest(position=grpc_convert.position(middle))
    await replica.rpc.StartReplicationUntilAfter(request, timeout=PATIENCE)
    await wait_for(replica, middle)

    async def applier_stopped() -> bool:
        return (await full_status(replica)).replication_status.sql_state == 1

    await eventually(applier_stopped)
    assert await position(replica) == middle


async def test_init_replica_takes_a_position_and_follows(shard: Shard) -> None:
    """InitReplica sets gtid_purged, replicates from there and waits for the journal row."""
    primary, replica, _ = await running_shard(shard, semi_sync=False)
    start = await position(replica)
    await replica.rpc.ResetReplicationParameters(tm.ResetReplicationParametersRequest(), timeout=PATIENCE)
    request = tm.InitReplicaRequest(
        parent=alias_to_proto(primary.alias),
        replication_position=grpc_convert.position(start),
        time_created_ns=77,
        semiSync=False,
    )
    waiting = asyncio.ensure_future(replica.rpc.InitReplica(request, timeout=PATIENCE))
    await write_journal(primary, 77)
    await waiting
    assert (await full_status(replica)).gtid_purged == grpc_convert.position(start)
    await wait_for(replica, await position(primary))


async def test_replica_follows_a_promoted_one(shard: Shard) -> None:
    """After a promotion the other replica and the demoted primary replicate from the promoted tablet."""
    old, new, other = await running_shard(shard)
    await promote(new)
    await asyncio.gather(follow(other, new), follow(old, new))
    await new.write()
    reached = await position(new)
    await asyncio.gather(wait_for(other, reached), wait_for(old, reached))
