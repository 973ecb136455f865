"""The client's requests to tablets, and its conversion of their answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.wire.fake_tablet import PING, FakeTablet, running
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ThreadState
from vtorc.errors import (
    TabletBadAnswer,
    TabletClientMisconfigured,
    TabletUnreachable,
)
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.api import StopMode
from vtorc.tablet.client import GrpcTabletManager
from vtorc.tablet.settings import ClientSettings

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
GTIDS = GtidSet.of(UUID, 1, 5)
WIRE_GTIDS = f"MySQL56/{UUID}:1-5"
TAGGED = f"{UUID}:1-5:blue:1-3"
SOURCE = TabletAlias("zone1", 100)
SOURCE_MESSAGE = topodata_pb2.TabletAlias(cell="zone1", uid=100)

Call = Callable[[GrpcTabletManager, TabletRecord], Awaitable[Any]]


@pytest.fixture
async def tablet() -> AsyncIterator[FakeTablet]:
    fake = FakeTablet()
    async with running(fake):
        yield fake


@pytest.fixture
async def client() -> AsyncIterator[GrpcTabletManager]:
    manager = GrpcTabletManager()
    yield manager
    await manager.close()


COMMANDS: list[tuple[str, Call, Message, Message]] = [
    (
        "Ping",
        lambda client, record: client.ping(record),
        tm.PingRequest(payload="payload"),
        PING,
    ),
    (
        "WaitForPosition",
        lambda client, record: client.wait_for_position(record, GTIDS),
        tm.WaitForPositionRequest(position=WIRE_GTIDS),
        tm.WaitForPositionResponse(),
    ),
    (
        "WaitForPosition",
        lambda client, record: client.wait_for_position(record, GtidSet()),
        tm.WaitForPositionRequest(position="MySQL56/"),
        tm.WaitForPositionResponse(),
    ),
    (
        "StopReplication",
        lambda client, record: client.stop_replication(record),
        tm.StopReplicationRequest(),
        tm.StopReplicationResponse(),
    ),
    (
        "StartReplication",
        lambda client, record: client.start_replication(record, semi_sync=True),
        tm.StartReplicationRequest(semiSync=True),
        tm.StartReplicationResponse(),
    ),
    (
        "SetReplicationSource",
        lambda client, record: client.set_replication_source(record, SOURCE, semi_sync=False, force_start=True),
        tm.SetReplicationSourceRequest(parent=SOURCE_MESSAGE, force_start_replication=True),
        tm.SetReplicationSourceResponse(),
    ),
    (
        "SetReplicationSource",
        lambda client, record: client.set_replication_source(
            record,
            SOURCE,
            semi_sync=True,
            force_start=False,
            wait_position=GTIDS,
            time_created_ns=1767225600000000005,
            heartbeat_interval=4.0,
        ),
        tm.SetReplicationSourceRequest(
            parent=SOURCE_MESSAGE,
            time_created_ns=1767225600000000005,
            wait_position=WIRE_GTIDS,
            semiSync=True,
            heartbeat_interval=4.0,
        ),
        tm.SetReplicationSourceResponse(),
    ),
    (
        "ResetReplicationParameters",
        lambda client, record: client.reset_replication_parameters(record),
        tm.ResetReplicationParametersRequest(),
        tm.ResetReplicationParametersResponse(),
    ),
    (
        "UndoDemotePrimary",
        lambda client, record: client.undo_demote_primary(record, semi_sync=True),
        tm.UndoDemotePrimaryRequest(semiSync=True),
        tm.UndoDemotePrimaryResponse(),
    ),
    (
        "SetReadOnly",
        lambda client, record: client.set_read_only(record),
        tm.SetReadOnlyRequest(),
        tm.SetReadOnlyResponse(),
    ),
    (
        "ChangeType",
        lambda client, record: client.change_type(record, TabletType.DRAINED, semi_sync=False),
        tm.ChangeTypeRequest(tablet_type=topodata_pb2.DRAINED, semiSync=False),
        tm.ChangeTypeResponse(),
    ),
    (
        "PopulateReparentJournal",
        lambda client, record: client.populate_reparent_journal(
            record, time_created_ns=7, action="EmergencyReparentShard", primary=SOURCE, position=GTIDS
        ),
        tm.PopulateReparentJournalRequest(
            time_created_ns=7,
            action_name="EmergencyReparentShard",
            primary_alias=SOURCE_MESSAGE,
            replication_position=WIRE_GTIDS,
        ),
        tm.PopulateReparentJournalResponse(),
    ),
]


@pytest.mark.parametrize(("name", "call", "request_", "answer"), COMMANDS)
async def test_commands_arrive_as_they_were_meant(
    tablet: FakeTablet, client: GrpcTabletManager, name: str, call: Call, request_: Message, answer: Message
) -> None:
    """Each command is one call with exactly its arguments, positions with their flavour, and a deadline."""
    tablet.answers(name, answer)
    assert await call(client, tablet.record) is None
    assert [each.name for each in tablet.seen] == [name]
    assert tablet.requests == [request_]
    assert tablet.seen[0].time_left is not None


POSITIONS: list[tuple[str, Call, Message, Message]] = [
    (
        "PrimaryPosition",
        lambda client, record: client.primary_position(record),
        tm.PrimaryPositionRequest(),
        tm.PrimaryPositionResponse(position=f"MySQL56/{TAGGED}"),
    ),
    (
        "PromoteReplica",
        lambda client, record: client.promote_replica(record, semi_sync=True),
        tm.PromoteReplicaRequest(semiSync=True),
        tm.PromoteReplicaResponse(position=f"MySQL56/{TAGGED}"),
    ),
    (
        "InitPrimary",
        lambda client, record: client.init_primary(record, semi_sync=True),
        tm.InitPrimaryRequest(semiSync=True),
        tm.InitPrimaryResponse(position=f"MySQL56/{TAGGED}"),
    ),
    (
        "DemotePrimary",
        lambda client, record: client.demote_primary(record, force=True),
        tm.DemotePrimaryRequest(force=True),
        tm.DemotePrimaryResponse(primary_status=replicationdata_pb2.PrimaryStatus(position=f"MySQL56/{TAGGED}")),
    ),
]


@pytest.mark.parametrize(("name", "call", "request_", "answer"), POSITIONS)
async def test_calls_that_answer_a_position_return_its_gtid_set(
    tablet: FakeTablet, client: GrpcTabletManager, name: str, call: Call, request_: Message, answer: Message
) -> None:
    """The prefix of the flavour is removed, and tagged GTIDs are understood."""
    tablet.answers(name, answer)
    assert await call(client, tablet.record) == GtidSet.parse(TAGGED)
    assert tablet.requests == [request_]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("", "position is empty: expected a position such as MySQL56/"),
        ("MySQL56/nonsense", "position: GTID set 'nonsense'"),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", "expected MySQL56/ and a GTID set"),
        ("FilePos/binlog.000001:4", "position is 'FilePos/binlog.000001:4': expected MySQL56/"),
    ],
)
async def test_a_position_that_makes_no_sense_is_refused_by_name(
    tablet: FakeTablet, client: GrpcTabletManager, position: str, expected: str
) -> None:
    """The error names the call, the tablet, the field, its value and what was expected."""
    tablet.answers("PrimaryPosition", tm.PrimaryPositionResponse(position=position))
    with pytest.raises(TabletBadAnswer, match=r"^PrimaryPosition of zone1-0000000101: ") as caught:
        await client.primary_position(tablet.record)
    assert expected in str(caught.value)


async def test_stopping_replication_tells_the_state_before_and_after(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The mode is sent by number, and both states are returned."""
    before = replicationdata_pb2.Status(position=WIRE_GTIDS, io_state=3, sql_state=3)
    after = replicationdata_pb2.Status(position=WIRE_GTIDS, io_state=1, sql_state=3)
    status = replicationdata_pb2.StopReplicationStatus(before=before, after=after)
    tablet.answers("StopReplicationAndGetStatus", tm.StopReplicationAndGetStatusResponse(status=status))
    stopped = await client.stop_replication_and_get_status(tablet.record, StopMode.IO_ONLY)
    assert tablet.requests == [
        tm.StopReplicationAndGetStatusRequest(stop_replication_mode=replicationdata_pb2.IOTHREADONLY)
    ]
    assert stopped is not None
    assert (stopped.before.io_state, stopped.after.io_state) == (ThreadState.RUNNING, ThreadState.STOPPED)
    assert stopped.after.executed == GTIDS


async def test_missing_parts_of_an_answer_are_named(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A missing message does not count as an empty one."""
    half = replicationdata_pb2.StopReplicationStatus(before=replicationdata_pb2.Status())
    tablet.answers("FullStatus", tm.FullStatusResponse())
    tablet.answers("ReplicationStatus", tm.ReplicationStatusResponse())
    tablet.answers("StopReplicationAndGetStatus", tm.StopReplicationAndGetStatusResponse(status=half))
    tablet.answers("DemotePrimary", tm.DemotePrimaryResponse())
    tablet.answers("Ping", tm.PingResponse(payload="pong"))
    record = tablet.record
    with pytest.raises(TabletBadAnswer, match="FullStatus of zone1-0000000101: status is missing"):
        await client.full_status(record)
    with pytest.raises(TabletBadAnswer, match="status is missing"):
        await client.replication_status(record)
    with pytest.raises(TabletBadAnswer, match="after is missing"):
        await client.stop_replication_and_get_status(record, StopMode.BOTH)
    with pytest.raises(TabletBadAnswer, match=r"primary_status\.position is empty"):
        await client.demote_primary(record, force=False)
    with pytest.raises(TabletBadAnswer, match="payload is 'pong': expected 'payload'"):
        await client.ping(record)


async def test_full_status_is_asked_in_one_call(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet that has the call gets no other, and long answers are accepted."""
    comment = "x" * (5 * 1024 * 1024)
    status = replicationdata_pb2.FullStatus(server_uuid=UUID, gtid_purged=WIRE_GTIDS, version_comment=comment)
    tablet.answers("FullStatus", tm.FullStatusResponse(status=status))
    found = await client.full_status(tablet.record)
    assert (found.server_uuid, found.purged, found.version_comment) == (UUID, GTIDS, comment)
    assert tablet.requests == [tm.FullStatusRequest()]


async def test_a_stalled_disk_is_reported_alone(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """No other field of that answer counts."""
    tablet.answers("FullStatus", tm.FullStatusResponse(status=replicationdata_pb2.FullStatus(disk_stalled=True)))
    found = await client.full_status(tablet.record)
    assert found.disk_stalled is True
    assert found.semi_sync_blocked is None


async def test_status_variables_are_read(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The request has the names, and the result the values."""
    tablet.answers("GetGlobalStatusVars", tm.GetGlobalStatusVarsResponse(status_values={"Uptime": "9"}))
    assert await client.global_status(tablet.record, ["Uptime"]) == {"Uptime": "9"}
    assert tablet.requests == [tm.GetGlobalStatusVarsRequest(variables=["Uptime"])]


async def test_a_tablet_that_was_shut_down_is_not_dialled(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A record with a shutdown time, or without address, causes an error without a call."""
    for record in (replace(tablet.record, shutdown_time=1), replace(tablet.record, hostname="", grpc_port=0)):
        with pytest.raises(TabletUnreachable, match="shut down on purpose") as caught:
            await client.ping(record)
        assert caught.value.reason == "shut down"
        with pytest.raises(TabletUnreachable):
            await anext(client.stream_health(record))
    assert tablet.seen == []


async def test_credentials_go_along_with_every_call(tablet: FakeTablet, tmp_path: Path) -> None:
    """Name and password are metadata of calls and streams; a changed file counts once it is reloaded."""
    file = tmp_path / "creds.json"
    file.write_text('{"Username": "vtorc", "Password": "first"}')
    tablet.answers("Ping", PING)
    client = GrpcTabletManager(ClientSettings(credentials_file=file))
    await client.ping(tablet.record)
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    await anext(client.stream_health(tablet.record))
    file.write_text('{"Username": "vtorc", "Password": "second"}')
    await client.ping(tablet.record)
    assert await client.reload_credentials()
    assert not await client.reload_credentials()
    await client.ping(tablet.record)
    file.write_text("{}")
    with pytest.raises(TabletClientMisconfigured):
        await client.reload_credentials()
    await client.ping(tablet.record)
    await client.close()
    assert {each.metadata["username"] for each in tablet.seen} == {"vtorc"}
    assert [each.metadata["password"] for each in tablet.seen] == ["first", "first", "first", "second", "second"]


async def test_the_longest_wait_for_mysql_may_change_while_running(tablet: FakeTablet) -> None:
    """Each command that waits for MySQL has the limit at the time when it is sent."""
    limits = iter((3600.0, 0.05))
    tablet.answers("WaitForPosition", tm.WaitForPositionResponse())
    client = GrpcTabletManager(wait_timeout=lambda: next(limits))
    await client.wait_for_position(tablet.record, GTIDS)
    tablet.hangs("WaitForPosition")
    with pytest.raises(TabletUnreachable, match=r"WaitForPosition of zone1-0000000101: no answer within 0\.05 s"):
        await client.wait_for_position(tablet.record, GTIDS)
    await client.close()
