"""Tests, for modules with a fixture `shard`, of a tablet's reports."""

import asyncio

import grpc

from tests.tablet_conformance.harness import (
    ALIASES,
    PATIENCE,
    Shard,
    Tablet,
    eventually,
    full_status,
    health_until,
    init_primary,
    position,
    record,
    refusal,
    running_shard,
    stop_and_get_status,
    wait_for,
    write_journal,
)
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.proto import query_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.wall_clock import READ_CLOCK, clock_nanoseconds

NOT_A_REPLICA = "no replication status (errno 100) (sqlstate HY000)"
STRANGER = GtidSet.of("00000000-1111-2222-3333-444444444444", 1)


async def test_new_tablet_is_a_read_only_replica_without_source(shard: Shard) -> None:
    """A new tablet has type REPLICA, a read-only server without a source, and semi-sync off without a timeout."""
    status = await full_status(shard.tablets[0])
    assert status.tablet_type == topodata_pb2.REPLICA
    assert status.read_only
    assert status.super_read_only
    assert not status.HasField("replication_status")
    assert not status.semi_sync_primary_enabled
    assert not status.semi_sync_replica_enabled
    assert status.semi_sync_primary_timeout == 10**18
    assert status.semi_sync_wait_for_replica_count == 1
    assert not status.disk_stalled
    assert not status.semi_sync_blocked


async def test_new_tablet_has_a_complete_record(shard: Shard) -> None:
    """A new tablet's record has all addresses, type REPLICA and no primary term; the shard lists the tablet."""
    tablet = shard.tablets[1]
    found = await record(shard, tablet)
    assert (found.alias, found.type, found.primary_term_start) == (ALIASES[1], TabletType.REPLICA, 0)
    assert found.hostname
    assert found.grpc_port
    assert found.mysql_hostname
    assert found.mysql_port
    assert found.start_time
    of_shard = await shard.topo.tablets_of_shard(found.shard_id)
    assert [each.alias for each in of_shard.records] == list(ALIASES)


async def test_full_status_describes_the_server(shard: Shard) -> None:
    """FullStatus has identity, version, binary log settings, and positions with their flavour."""
    tablet = shard.tablets[0]
    await init_primary(tablet, semi_sync=False)
    status = await full_status(tablet)
    assert status.server_id
    assert len(status.server_uuid) == 36
    assert [part.isdigit() for part in status.version.split(".")] == [True] * 3
    assert (status.gtid_mode, status.binlog_format, status.binlog_row_image) == ("ON", "ROW", "FULL")
    assert status.log_bin_enabled
    assert status.log_replica_updates
    assert status.gtid_purged == "MySQL56/"
    assert status.primary_status.position.startswith(f"MySQL56/{status.server_uuid}:1")
    assert status.primary_status.file_position.startswith("FilePos/")
    assert status.replication_configuration.replica_net_timeout == 8


async def test_full_status_of_a_replica_has_both_thread_encodings(shard: Shard) -> None:
    """A running replica's status has its threads as flags and as numbers, its source and its received position."""
    primary, replica, _ = await running_shard(shard)
    status = (await full_status(replica)).replication_status
    assert (status.io_state, status.sql_state) == (3, 3)
    assert status.io_thread_running
    assert status.sql_thread_running
    source = await record(shard, primary)
    assert (status.source_host, status.source_port) == (source.mysql_hostname, source.mysql_port)
    assert status.source_uuid == (await full_status(primary)).server_uuid
    assert status.source_user == "vt_repl"
    assert status.auto_position
    assert status.using_gtid
    assert status.relay_log_position == status.position == f"MySQL56/{await position(primary)}"


async def test_replication_status_of_a_non_replica_fails_with_errno_100(shard: Shard) -> None:
    """ReplicationStatus of a server without a source fails with the text by which callers recognise a primary."""
    call = shard.tablets[0].rpc.ReplicationStatus(tm.ReplicationStatusRequest(), timeout=PATIENCE)
    assert NOT_A_REPLICA in (await refusal(call))[1]


async def test_stopping_a_non_replica_fails_with_errno_100(shard: Shard) -> None:
    """StopReplicationAndGetStatus of a server without a source fails with the text by which callers recognise a
    primary.
    """
    for io_only in (True, False):
        assert NOT_A_REPLICA in (await refusal(stop_and_get_status(shard.tablets[0], io_only=io_only)))[1]


async def test_primary_status_names_the_server(shard: Shard) -> None:
    """PrimaryStatus of any server has its position, its binary log file and its UUID."""
    status = (await shard.tablets[2].rpc.PrimaryStatus(tm.PrimaryStatusRequest(), timeout=PATIENCE)).status
    assert status.position == "MySQL56/"
    assert status.file_position.startswith("FilePos/")
    assert status.server_uuid == (await full_status(shard.tablets[2])).server_uuid


async def test_old_names_answer_as_the_new_ones(shard: Shard) -> None:
    """MasterStatus and MasterPosition, which clients of Vitess 12 call, answer as PrimaryStatus and PrimaryPosition."""
    rpc = shard.tablets[0].rpc
    await init_primary(shard.tablets[0], semi_sync=False)
    new_status = await rpc.PrimaryStatus(tm.PrimaryStatusRequest(), timeout=PATIENCE)
    assert await rpc.MasterStatus(tm.PrimaryStatusRequest(), timeout=PATIENCE) == new_status
    new_position = await rpc.PrimaryPosition(tm.PrimaryPositionRequest(), timeout=PATIENCE)
    assert await rpc.MasterPosition(tm.PrimaryPositionRequest(), timeout=PATIENCE) == new_position


async def test_clock_is_told_in_sql(shard: Shard) -> None:
    """SELECT UTC_TIMESTAMP(6) through ExecuteFetchAsDba returns the host's time in microseconds."""
    request = tm.ExecuteFetchAsDbaRequest(query=READ_CLOCK.encode(), max_rows=1)
    read: list[int] = []
    for _ in range(2):
        result = (await shard.tablets[0].rpc.ExecuteFetchAsDba(request, timeout=PATIENCE)).result
        assert [field.type for field in result.fields] == [query_pb2.DATETIME]
        read.append(clock_nanoseconds(result.rows[0].values.decode()))
    assert 1_700_000_000 * 10**9 < read[0] < read[1] < read[0] + 60 * 10**9


async def test_ping_echoes(shard: Shard) -> None:
    """Ping returns its payload."""
    answer = await shard.tablets[0].rpc.Ping(tm.PingRequest(payload="are you there"), timeout=PATIENCE)
    assert answer.payload == "are you there"


async def test_hooks_are_not_served(shard: Shard) -> None:
    """ExecuteHook is answered as an unimplemented call."""
    call = shard.tablets[0].rpc.ExecuteHook(tm.ExecuteHookRequest(name="x"), timeout=PATIENCE)
    assert (await refusal(call))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_global_status_is_restricted_to_the_names(shard: Shard) -> None:
    """GetGlobalStatusVars returns the named variables, also the one that planned reparents read."""
    names = ["Innodb_buffer_pool_pages_data", "Uptime"]
    request = tm.GetGlobalStatusVarsRequest(variables=names)
    values = (await shard.tablets[0].rpc.GetGlobalStatusVars(request, timeout=PATIENCE)).status_values
    assert sorted(values) == names
    assert int(values["Innodb_buffer_pool_pages_data"]) >= 0


async def test_journal_length_counts_rows(shard: Shard) -> None:
    """ReadReparentJournalInfo fails while there is no journal, and then counts its rows."""
    tablet = shard.tablets[0]

    def length() -> grpc.aio.UnaryUnaryCall[tm.ReadReparentJournalInfoRequest, tm.ReadReparentJournalInfoResponse]:
        return tablet.rpc.ReadReparentJournalInfo(tm.ReadReparentJournalInfoRequest(), timeout=PATIENCE)

    code, text = await refusal(length())
    assert code is grpc.StatusCode.UNKNOWN
    assert "(errno 1" in text
    await init_primary(tablet, semi_sync=False)
    assert (await length()).length == 0
    await write_journal(tablet, 1)
    await write_journal(tablet, 2)
    assert (await length()).length == 2


async def test_waiting_for_a_reached_position_returns_at_once(shard: Shard) -> None:
    """WaitForPosition on a primary returns at once if the position is executed."""
    reached = await init_primary(shard.tablets[0], semi_sync=False)
    await wait_for(shard.tablets[0], reached)


async def test_waiting_for_an_unreached_position_lasts_until_the_deadline(shard: Shard) -> None:
    """WaitForPosition for a transaction that never comes ends at the caller's deadline."""
    code, _ = await refusal(wait_for(shard.tablets[0], STRANGER, timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_position_of_another_flavour_is_refused(shard: Shard) -> None:
    """A position without MySQL's flavour is an error that quotes it."""
    for text in ("MariaDB/0-1-5", "00000000-1111-2222-3333-444444444444:1"):
        call = shard.tablets[0].rpc.WaitForPosition(tm.WaitForPositionRequest(position=text), timeout=PATIENCE)
        assert text in (await refusal(call))[1]


async def test_health_stream_begins_at_once(shard: Shard) -> None:
    """The first message of a health stream has the tablet's alias, its target, and that it serves."""
    tablet = shard.tablets[0]
    message = await health_until(tablet, lambda message: message.serving)
    assert (message.tablet_alias.cell, message.tablet_alias.uid) == (tablet.alias.cell, tablet.alias.uid)
    assert (message.target.keyspace, message.target.shard) == ("commerce", "0")
    assert message.target.tablet_type == topodata_pb2.REPLICA
    assert message.HasField("realtime_stats")
    assert message.realtime_stats.health_error == ""
    assert message.primary_term_start_timestamp == 0


async def test_health_stream_tells_of_promotion(shard: Shard) -> None:
    """An open health stream reports a promotion, with the term in seconds."""
    tablet = shard.tablets[0]
    first = asyncio.Event()

    def promoted(message: query_pb2.StreamHealthResponse) -> bool:
        first.set()
        return message.target.tablet_type == topodata_pb2.PRIMARY

    following = asyncio.create_task(health_until(tablet, promoted))
    await first.wait()
    await init_primary(tablet, semi_sync=False)
    term = (await record(shard, tablet)).primary_term_start
    assert (await following).primary_term_start_timestamp == term // 10**9


async def test_stalled_disk_hides_everything_else(shard: Shard) -> None:
    """While a write to the disk hangs, FullStatus reports only that; afterwards it reports everything again."""
    tablet = shard.tablets[0]

    async def stalled() -> bool:
        return (await full_status(tablet)).disk_stalled

    async def well() -> bool:
        return not await stalled()

    tablet.stall_disk(True)
    await eventually(stalled)
    assert (await full_status(tablet)).server_id == 0
    tablet.stall_disk(False)
    await eventually(well)
    assert (await full_status(tablet)).server_id


async def test_unacknowledged_commits_are_noticed(shard: Shard) -> None:
    """A semi-sync primary reports that its commits get no acknowledgement, until one comes."""
    primary, one, other = await running_shard(shard)
    for replica in (one, other):
        await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)
    writing = asyncio.create_task(primary.write())

    async def blocked() -> bool:
        return (await full_status(primary)).semi_sync_blocked

    async def free() -> bool:
        return not await blocked()

    await eventually(blocked)
    await one.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await writing
    await eventually(free)


async def test_action_lock_is_held_by_one_call_at_a_time(shard: Shard) -> None:
    """While Sleep holds the action lock, other changes wait for it up to their deadline; reads are answered."""
    tablet = shard.tablets[0]
    sleeping = tablet.rpc.Sleep(tm.SleepRequest(duration=10**12), timeout=PATIENCE)
    await eventually(lambda: lock_is_taken(tablet))
    await full_status(tablet)
    sleeping.cancel()
    await tablet.rpc.SetReadOnly(tm.SetReadOnlyRequest(), timeout=PATIENCE)


async def lock_is_taken(tablet: Tablet) -> bool:
    """Whether a change of the tablet has to wait for the lock."""
    try:
        await tablet.rpc.SetReadOnly(tm.SetReadOnlyRequest(), timeout=0.1)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return False
