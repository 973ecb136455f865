"""The client's errors for tablets that fail, and for tablets that are older than a call."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.wire.fake_tablet import FakeTablet, running
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ThreadState
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletUnreachable
from vtorc.proto import query_pb2, replicationdata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.api import StopMode
from vtorc.tablet.client import GrpcTabletManager

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
NOT_A_REPLICA = "no replication status (errno 100) (sqlstate HY000)"


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


@pytest.mark.parametrize(
    "text",
    [
        f"TabletManager.X on zone1-0000000101 error: {NOT_A_REPLICA}: {NOT_A_REPLICA}",
        f"TabletManager.X on zone1-0000000101: {NOT_A_REPLICA}",
        "TabletManager.X on zone1-0000000101 error: no replication status: no replication status",
    ],
    ids=["13 to 22", "23 and later", "12"],
)
async def test_a_server_without_source_is_no_error(tablet: FakeTablet, client: GrpcTabletManager, text: str) -> None:
    """Each release has its own text for it, and all become None."""
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
    """An answer with any code is a failure of the call; MySQL's error number is read from the text."""
    tablet.fails("SetReadOnly", text, code)
    with pytest.raises(TabletCallFailed, match="SetReadOnly of zone1-0000000101") as caught:
        await client.set_read_only(tablet.record)
    assert text in str(caught.value)
    assert caught.value.errno == errno


async def test_a_call_that_an_old_tablet_lacks_has_its_own_error(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The error is TabletCallUnknown, so that the caller can use other calls."""
    with pytest.raises(TabletCallUnknown, match="GetGlobalStatusVars of zone1-0000000101"):
        await client.global_status(tablet.record, ["Uptime"])


def survey_answers(*, io_running: str = "Connecting") -> dict[str, query_pb2.QueryResult]:
    """The answers of a server behind a tablet of 12, by the first words of the statement."""
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
            ["Variable_name", "Value"], ["server_uuid", UUID], ["read_only", "ON"], ["version", "8.0.21"]
        ),
        "SHOW GLOBAL STATUS": table(["Variable_name", "Value"]),
        "SHOW MASTER STATUS": table(["File", "Position"], ["binlog.000001", "157"]),
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
    """The received SQL, in order."""
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
    """Fields that only later tablets have stay unknown, and a connecting IO thread is recognised."""
    answer_sql(tablet, survey_answers())
    found = await client.full_status(tablet.record)
    assert found.replication is not None
    assert found.replication.io_state is ThreadState.CONNECTING
    assert found.received == GtidSet.of(UUID, 1, 6)
    assert (found.read_only, found.super_read_only, found.tablet_type) == (True, None, None)


async def test_the_io_thread_alone_is_stopped_in_sql(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Servers before 8.0.22 know only the old names; any other failure is raised."""
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


PARSER = "syntax error at position 5 near 'STOP'"
"""The error of a tablet from 17 on whose sidecar database is not `_vt`."""


async def test_the_io_thread_is_stopped_by_a_prepared_statement(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """A tablet that parses statements does not parse prepared ones; the old names are tried there, too."""
    tablet.fails("ExecuteFetchAsDba", PARSER)
    tablet.answers("ExecuteMultiFetchAsDba", tm.ExecuteMultiFetchAsDbaResponse())
    await client.stop_io_thread(tablet.record)
    assert tablet.seen[-1].request.sql == b"PREPARE vtorc FROM 'STOP REPLICA IO_THREAD'; EXECUTE vtorc"

    async def old_server(request: tm.ExecuteMultiFetchAsDbaRequest, context: Any) -> tm.ExecuteMultiFetchAsDbaResponse:
        if b"REPLICA" in request.sql:
            await context.abort(grpc.StatusCode.UNKNOWN, "error in your SQL syntax (errno 1064) (sqlstate 42000)")
        return tm.ExecuteMultiFetchAsDbaResponse()

    tablet.does("ExecuteMultiFetchAsDba", old_server)
    await client.stop_io_thread(tablet.record)
    assert tablet.seen[-1].request.sql == b"PREPARE vtorc FROM 'STOP SLAVE IO_THREAD'; EXECUTE vtorc"


async def test_both_threads_are_stopped_once_nothing_is_left_to_apply(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """On a tablet of 17 to 19 that parses statements there is no other way to stop the IO thread."""
    tablet.fails("ExecuteFetchAsDba", PARSER)
    status = replicationdata_pb2.Status(
        position=f"MySQL56/{UUID}:1-5", relay_log_position=f"MySQL56/{UUID}:1-7", io_state=1, sql_state=3
    )
    tablet.answers("ReplicationStatus", tm.ReplicationStatusResponse(status=status))
    tablet.answers("WaitForPosition", tm.WaitForPositionResponse())
    tablet.answers("StopReplication", tm.StopReplicationResponse())
    await client.stop_io_thread(tablet.record)
    assert [each.name for each in tablet.seen[2:]] == ["ReplicationStatus", "WaitForPosition", "StopReplication"]
    assert tablet.seen[3].request.position == f"MySQL56/{UUID}:1-7"


async def test_the_clock_is_read_in_sql(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """The result is in nanoseconds; an answer without a row, or without a column, is a bad answer."""
    sql = "SELECT UTC_TIMESTAMP(6)"
    answer_sql(tablet, {sql: table(["UTC_TIMESTAMP(6)"], ["1970-01-01 00:00:02.000001"])})
    assert await client.wall_clock(tablet.record) == 2_000_001_000
    assert statements(tablet) == [sql]
    answer_sql(tablet, {sql: table(["UTC_TIMESTAMP(6)"])})
    with pytest.raises(TabletBadAnswer, match="0 rows: expected one"):
        await client.wall_clock(tablet.record)
    answer_sql(tablet, {sql: table([], [])})
    with pytest.raises(TabletBadAnswer, match=r"UTC_TIMESTAMP\(6\) is ''"):
        await client.wall_clock(tablet.record)


async def test_full_status_is_not_tried_again_until_the_tablet_restarts(
    tablet: FakeTablet, client: GrpcTabletManager
) -> None:
    """The process will not come to know the call, but the next process at its address may."""
    answer_sql(tablet, survey_answers())
    for _ in range(3):
        await client.full_status(tablet.record)
    assert [each.name for each in tablet.seen].count("FullStatus") == 1
    await tablet.stop()
    with pytest.raises(TabletUnreachable):
        await client.full_status(tablet.record)
    tablet.answers("FullStatus", tm.FullStatusResponse(status=replicationdata_pb2.FullStatus(server_uuid="upgraded")))
    await tablet.start()
    assert (await client.full_status(tablet.record)).server_uuid == "upgraded"


async def test_a_tablet_that_can_tell_nothing_is_an_old_tablet(tablet: FakeTablet, client: GrpcTabletManager) -> None:
    """Without FullStatus and without SQL the call stays unknown."""
    with pytest.raises(TabletCallUnknown, match="ExecuteFetchAsDba"):
        await client.full_status(tablet.record)
