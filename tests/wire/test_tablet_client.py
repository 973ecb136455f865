"""What the client sends to tablets, and what it makes of their answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tests.wire.fake_tablet import FakeTablet, running
from vtorc.core.gtid import GtidSet
from vtorc.core.ids import TabletAlias, TabletType
from vtorc.core.status import ThreadState
from vtorc.core.tablet import TabletRecord
from vtorc.errors import (
    TabletBadAnswer,
    TabletCallFailed,
    TabletCallUnknown,
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
PING = tm.PingResponse(payload="payload")
NOT_A_REPLICA = "no replication status (errno 100) (sqlstate HY000)"

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
        "SetReadWrite",
        lambda client, record: client.set_read_write(record),
        tm.SetReadWriteRequest(),
        tm.SetReadWriteResponse(),
    ),
    (
        "ChangeType",
        lambda client, record: client.change_type(record, TabletType.DRAINED, semi_sync=True),
        tm.ChangeTypeRequest(tablet_type=topodata_pb2.TabletType.DRAINED, semiSync=True),
        tm.ChangeTypeResponse(),
    ),
    (
        "RefreshState",
        lambda client, record: client.refresh_state(record),
        tm.RefreshStateRequest(),
        tm.RefreshStateResponse(),
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
    tablet.says(name, answer)
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
    """The flavour is taken off, and tagged GTIDs are understood."""
    tablet.says(name, answer)
    assert await call(client, tablet.record) == GtidSet.parse(TAGGED)
    assert tablet.requests == [request_]


@pytest.mark.parametrize(
    ("position", "said"),
    [
        ("", "position is empty: expected a position such as MySQL56/"),
        ("MySQL56/nonsense", "position: GTID set 'nonsense'"),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", "expected one of MySQL56/"),
        ("FilePos/binlog.000001:4", "position is 'FilePos/binlog.000001:4': expected MySQL56/"),
    ],
)
async def test_a_position_that_makes_no_sense_is_refused_by_name(
    tablet: FakeTablet, client: GrpcTabletManager, position: str, said: str
) -> None:
    """The error names the call, the tablet, the field, its value and what was expected."""
    tablet.says("PrimaryPosition", tm.PrimaryPositionResponse(position=position))
    with pytest.raises(TabletBadAnswer, match=r"^PrimaryPosition of zone1-0000000101: ") as caught:
        await client.primary_position(tablet.record)
    assert said in str(caught.value)


async def test_stopping_replication_tells_the_state_before_and_after(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The mode is sent by number, and both states come back."""
    before = replicationdata_pb2.Status(position=WIRE_GTIDS, io_state=3, sql_state=3)
    after = replicationdata_pb2.Status(position=WIRE_GTIDS, io_state=1, sql_state=3)
    status = replicationdata_pb2.StopReplicationStatus(before=before, after=after)
    tablet.says("StopReplicationAndGetStatus", tm.StopReplicationAndGetStatusResponse(status=status))
    stopped = await client.stop_replication_and_get_status(tablet.record, StopMode.IO_ONLY)
    assert tablet.requests == [
        tm.StopReplicationAndGetStatusRequest(stop_replication_mode=replicationdata_pb2.IOTHREADONLY)
    ]
    assert stopped is not None
    assert (stopped.before.io_state, stopped.after.io_state) == (ThreadState.RUNNING, ThreadState.STOPPED)
    assert stopped.after.executed == GTIDS


@pytest.mark.parametrize(
    "text",
    [
        f"TabletManager.X on zone1-0000000101 error: {NOT_A_REPLICA}: {NOT_A_REPLICA}",
        f"TabletManager.X on zone1-0000000101: {NOT_A_REPLICA}",
        "TabletManager.X on zone1-0000000101 error: no replication status: no replication status",
    ],
    ids=["13 to 22", "23 and later", "12"],
)
async def test_a_server_that_is_nobodys_replica_is_no_error(
    tablet: FakeTablet, client: GrpcTabletManager, text: str
) -> None:
    """Every release says it in its own words, and all mean None."""
    tablet.fails("ReplicationStatus", text)
    tablet.fails("StopReplicationAndGetStatus", text)
    assert await client.replication_status(tablet.record) is None
    assert await client.stop_replication_and_get_status(tablet.record, StopMode.BOTH) is None


async def test_other_failures_of_a_replica_stay_failures(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Only "not a replica" becomes None."""
    for name in ("ReplicationStatus", "StopReplicationAndGetStatus"):
        tablet.fails(name, "net.Dial(/tmp/mysql.sock) failed (errno 2002) (sqlstate HY000)")
    with pytest.raises(TabletCallFailed) as caught:
        await client.replication_status(tablet.record)
    assert caught.value.errno == 2002
    with pytest.raises(TabletCallFailed):
        await client.stop_replication_and_get_status(tablet.record, StopMode.BOTH)


async def test_missing_parts_of_an_answer_are_named(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A message that is not there is not taken for an empty one."""
    half = replicationdata_pb2.StopReplicationStatus(before=replicationdata_pb2.Status())
    tablet.says("FullStatus", tm.FullStatusResponse())
    tablet.says("ReplicationStatus", tm.ReplicationStatusResponse())
    tablet.says("StopReplicationAndGetStatus", tm.StopReplicationAndGetStatusResponse(status=half))
    tablet.says("DemotePrimary", tm.DemotePrimaryResponse())
    tablet.says("Ping", tm.PingResponse(payload="pong"))
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
    """A tablet that knows the call is asked nothing else, and long answers get through."""
    comment = "x" * (5 * 1024 * 1024)
    status = replicationdata_pb2.FullStatus(server_uuid=UUID, gtid_purged=WIRE_GTIDS, version_comment=comment)
    tablet.says("FullStatus", tm.FullStatusResponse(status=status))
    found = await client.full_status(tablet.record)
    assert (found.server_uuid, found.purged, found.version_comment) == (UUID, GTIDS, comment)
    assert tablet.requests == [tm.FullStatusRequest()]


async def test_a_stalled_disk_is_told_alone(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Nothing else of that answer is believed."""
    tablet.says("FullStatus", tm.FullStatusResponse(status=replicationdata_pb2.FullStatus(disk_stalled=True)))
    found = await client.full_status(tablet.record)
    assert found.disk_stalled is True
    assert found.semi_sync_blocked is None


async def test_journal_length_and_status_variables_are_read(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Numbers are checked, names are passed on."""
    tablet.says("ReadReparentJournalInfo", tm.ReadReparentJournalInfoResponse(length=3))
    tablet.says("GetGlobalStatusVars", tm.GetGlobalStatusVarsResponse(status_values={"Uptime": "9"}))
    assert await client.reparent_journal_length(tablet.record) == 3
    assert await client.global_status(tablet.record, ["Uptime"]) == {"Uptime": "9"}
    assert tablet.requests == [
        tm.ReadReparentJournalInfoRequest(),
        tm.GetGlobalStatusVarsRequest(variables=["Uptime"]),
    ]
    tablet.says("ReadReparentJournalInfo", tm.ReadReparentJournalInfoResponse(length=-1))
    with pytest.raises(TabletBadAnswer, match="length is -1: expected 0 or more"):
        await client.reparent_journal_length(tablet.record)


@pytest.mark.parametrize(
    ("code", "text", "errno"),
    [
        (grpc.StatusCode.UNKNOWN, "Access denied (errno 1045) (sqlstate 28000) during query: SHOW", 1045),
        (grpc.StatusCode.FAILED_PRECONDITION, "VT09013: semi-sync plugins are not loaded", 0),
        (grpc.StatusCode.PERMISSION_DENIED, "auth failure: caller vtorc", 0),
        (grpc.StatusCode.UNAVAILABLE, "net.Dial failed (errno 2002) (sqlstate HY000)", 2002),
        (grpc.StatusCode.UNAVAILABLE, "TabletManager.SetReadOnly on zone1-101: mysqld is starting", 0),
        (grpc.StatusCode.UNIMPLEMENTED, "not supported (errno 1235) (sqlstate 42000)", 1235),
    ],
)
async def test_a_tablets_own_errors_are_failures_of_the_call(
    tablet: FakeTablet, client: GrpcTabletManager, code: grpc.StatusCode, text: str, errno: int
) -> None:
    """Whatever code it uses, a tablet that answered has been reached; MySQL's error number is read from the text."""
    tablet.fails("SetReadOnly", text, code)
    with pytest.raises(TabletCallFailed, match="SetReadOnly of zone1-0000000101") as caught:
        await client.set_read_only(tablet.record)
    assert text in str(caught.value)
    assert caught.value.errno == errno


async def test_a_call_that_an_old_tablet_does_not_know_is_told_apart(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The caller can do without it."""
    with pytest.raises(TabletCallUnknown, match="ReadReparentJournalInfo of zone1-0000000101"):
        await client.reparent_journal_length(tablet.record)


def survey_answers(*, io_running: str = "Connecting") -> dict[str, query_pb2.QueryResult]:
    """What a server behind a tablet of 12 answers, by the first words of the statement."""
    replica = {
        "Master_Host": "db0",
        "Master_Port": "3306",
        "Slave_IO_Running": io_running,
        "Slave_SQL_Running": "Yes",
        "Retrieved_Gtid_Set": f"{UUID}:6",
        "Seconds_Behind_Master": None,
        "Auto_Position": "1",
        "Channel_Name": "",
    }
    return {
        "SHOW SLAVE STATUS": table(list(replica), list(replica.values())),
        "SELECT @@global.gtid_executed": table(["gtid_executed", "gtid_purged"], [f"{UUID}:1-5", ""]),
        "SHOW GLOBAL VARIABLES": table(
            ["Variable_name", "Value"], ["server_uuid", UUID], ["read_only", "ON"], ["version", "8.0.23"]
        ),
        "SHOW GLOBAL STATUS": table(["Variable_name", "Value"]),
    }


def table(names: list[str], *rows: list[str | None]) -> query_pb2.QueryResult:
    """Build a result as tablets send it."""
    return query_pb2.QueryResult(
        fields=[query_pb2.Field(name=name) for name in names],
        rows=[
            query_pb2.Row(
                lengths=[-1 if cell is None else len(cell) for cell in row],
                values="".join(cell or "" for cell in row).encode(),
            )
            for row in rows
        ],
    )


def statements(tablet: FakeTablet) -> list[str]:
    """The SQL that came in, in order."""
    return [each.request.query.decode() for each in tablet.seen if each.name == "ExecuteFetchAsDba"]


def answer_sql(tablet: FakeTablet, answers: dict[str, query_pb2.QueryResult]) -> None:
    """Let the tablet run statements."""

    async def handler(request: tm.ExecuteFetchAsDbaRequest, context: Any) -> tm.ExecuteFetchAsDbaResponse:
        sql = request.query.decode()
        return tm.ExecuteFetchAsDbaResponse(
            result=next(result for start, result in answers.items() if sql.startswith(start))
        )

    tablet.does("ExecuteFetchAsDba", handler)


async def test_a_tablet_without_full_status_is_asked_in_sql(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """What only later tablets know stays unknown, and a connecting IO thread is seen as such."""
    answer_sql(tablet, survey_answers())
    found = await client.full_status(tablet.record)
    assert found.replication is not None
    assert found.replication.io_state is ThreadState.CONNECTING
    assert found.received == GtidSet.of(UUID, 1, 6)
    assert (found.read_only, found.super_read_only, found.tablet_type) == (True, None, None)


async def test_the_io_thread_alone_is_stopped_in_sql(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Servers before 8.0.22 know the older words only; any other failure is the caller's."""
    answer_sql(tablet, {"STOP REPLICA IO_THREAD": query_pb2.QueryResult()})
    await client.stop_io_thread(tablet.record)
    assert statements(tablet) == ["STOP REPLICA IO_THREAD"]

    async def old_server(request: tm.ExecuteFetchAsDbaRequest, context: Any) -> tm.ExecuteFetchAsDbaResponse:
        if b"REPLICA" in request.query:
            await context.abort(grpc.StatusCode.UNKNOWN, "error in your SQL syntax (errno 1064) (sqlstate 42000)")
        return tm.ExecuteFetchAsDbaResponse()

    tablet.does("ExecuteFetchAsDba", old_server)
    await client.stop_io_thread(tablet.record)
    assert statements(tablet)[1:] == ["STOP REPLICA IO_THREAD", "STOP SLAVE IO_THREAD"]
    tablet.fails("ExecuteFetchAsDba", "denied (errno 1227) (sqlstate 42000)")
    with pytest.raises(TabletCallFailed) as caught:
        await client.stop_io_thread(tablet.record)
    assert caught.value.errno == 1227


async def test_full_status_is_not_tried_again_until_the_tablet_restarts(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """What the process does not know it will not learn, but its successor may."""
    answer_sql(tablet, survey_answers())
    for _ in range(3):
        await client.full_status(tablet.record)
    assert [each.name for each in tablet.seen].count("FullStatus") == 1
    async with aclosing(client.watch_connectivity(tablet.record)) as changes:
        assert await anext(changes) is True
        await tablet.stop()
        assert await anext(changes) is False
    tablet.says("FullStatus", tm.FullStatusResponse(status=replicationdata_pb2.FullStatus(server_uuid="upgraded")))
    await tablet.start()
    assert (await client.full_status(tablet.record)).server_uuid == "upgraded"


async def test_a_tablet_that_can_tell_nothing_is_an_old_tablet(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Without FullStatus and without SQL the call stays unknown."""
    with pytest.raises(TabletCallUnknown, match="ExecuteFetchAsDba"):
        await client.full_status(tablet.record)


async def test_a_tablet_that_was_shut_down_is_not_dialled(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Its record says so, and nothing is sent."""
    for record in (replace(tablet.record, shutdown_time=1), replace(tablet.record, hostname="", grpc_port=0)):
        with pytest.raises(TabletUnreachable, match="shut down on purpose") as caught:
            await client.ping(record)
        assert caught.value.reason == "shut down"
        with pytest.raises(TabletUnreachable):
            await anext(client.stream_health(record))
        with pytest.raises(TabletUnreachable):
            await anext(client.watch_connectivity(record))
    assert tablet.seen == []


async def test_credentials_go_along_with_every_call(tablet: FakeTablet, tmp_path: Path) -> None:
    """Name and password are metadata of calls and streams; a changed file counts once it is reloaded."""
    file = tmp_path / "creds.json"
    file.write_text('{"Username": "vtorc", "Password": "first"}')
    tablet.says("Ping", PING)
    tablet.health.put_nowait(query_pb2.StreamHealthResponse())
    client = GrpcTabletManager(ClientSettings(credentials_file=file))
    await client.ping(tablet.record)
    await anext(client.stream_health(tablet.record))
    file.write_text('{"Username": "vtorc", "Password": "second"}')
    await client.ping(tablet.record)
    client.reload_credentials()
    await client.ping(tablet.record)
    file.write_text("{}")
    with pytest.raises(TabletClientMisconfigured):
        client.reload_credentials()
    await client.ping(tablet.record)
    await client.close()
    assert {each.metadata["username"] for each in tablet.seen} == {"vtorc"}
    assert [each.metadata["password"] for each in tablet.seen] == ["first", "first", "first", "second", "second"]
