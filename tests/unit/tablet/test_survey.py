from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.errors import TabletBadAnswer
from vtorc.proto.query_pb2 import Field, QueryResult, Row
from vtorc.tablet.survey import SELECT_GTIDS, SHOW_REPLICA, SHOW_STATUS, SHOW_VARIABLES, rows, survey

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
REPLICA: dict[str, str | None] = {
    "Slave_IO_State": "Waiting for master to send event",
    "Master_Host": "db0",
    "Master_User": "vt_repl",
    "Master_Port": "3306",
    "Slave_IO_Running": "Yes",
    "Slave_SQL_Running": "Yes",
    "Replicate_Do_DB": "",
    "Replicate_Wild_Ignore_Table": "",
    "Seconds_Behind_Master": "2",
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Master_UUID": UUID,
    "SQL_Delay": "60",
    "Retrieved_Gtid_Set": f"{UUID}:4-12",
    "Executed_Gtid_Set": f"{UUID}:1-8",
    "Auto_Position": "1",
    "Channel_Name": "",
}
VARIABLES = {
    "server_id": "7",
    "server_uuid": UUID,
    "version": "8.0.23",
    "version_comment": "MySQL Community Server - GPL",
    "read_only": "ON",
    "super_read_only": "OFF",
    "gtid_mode": "ON",
    "log_bin": "ON",
    "log_slave_updates": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "rpl_semi_sync_master_enabled": "OFF",
    "rpl_semi_sync_slave_enabled": "ON",
    "rpl_semi_sync_master_timeout": "1000000000000000000",
    "rpl_semi_sync_master_wait_for_slave_count": "1",
}
STATUS = {
    "Rpl_semi_sync_master_status": "OFF",
    "Rpl_semi_sync_slave_status": "ON",
    "Rpl_semi_sync_master_clients": "0",
}


def table(*found: dict[str, str | None]) -> QueryResult:
    """Build a result as tablets send it."""
    return QueryResult(
        fields=[Field(name=name) for name in (found[0] if found else {})],
        rows=[
            Row(
                lengths=[-1 if cell is None else len(cell.encode()) for cell in row.values()],
                values="".join(cell or "" for cell in row.values()).encode(),
            )
            for row in found
        ],
    )


def pairs(found: dict[str, str]) -> QueryResult:
    named: list[dict[str, str | None]] = [{"Variable_name": name, "Value": value} for name, value in found.items()]
    return table(*named)


def server(**changes: QueryResult) -> dict[str, QueryResult]:
    """The answers of a replica behind a tablet of 12; changes are `replica`, `gtids`, `variables`, `status`."""
    sets: dict[str, str | None] = {"gtid_executed": f"{UUID}:1-9", "gtid_purged": f"{UUID}:1-3"}
    return {
        SHOW_REPLICA: changes.get("replica", table(REPLICA)),
        SELECT_GTIDS: changes.get("gtids", table(sets)),
        SHOW_VARIABLES: changes.get("variables", pairs(VARIABLES)),
        SHOW_STATUS: changes.get("status", pairs(STATUS)),
    }


async def ask(answers: dict[str, QueryResult]) -> TabletStatus:
    async def fetch(sql: str) -> QueryResult:
        return answers[sql]

    return await survey(fetch)


async def test_a_replica_has_the_status_of_full_status() -> None:
    """Each value has its place; the position is that of the last statement."""
    executed, received = GtidSet.of(UUID, 1, 9), GtidSet.of(UUID, 1, 12)
    assert await ask(server()) == TabletStatus(
        server_id=7,
        server_uuid=UUID,
        version="8.0.23",
        version_comment="MySQL Community Server - GPL",
        read_only=True,
        super_read_only=False,
        executed=executed,
        purged=GtidSet.of(UUID, 1, 3),
        gtid_mode="ON",
        log_bin=True,
        log_replica_updates=True,
        binlog_format="ROW",
        binlog_row_image="FULL",
        replication=ReplicationStatus(
            source_host="db0",
            source_port=3306,
            source_uuid=UUID,
            source_user="vt_repl",
            io_state=ThreadState.RUNNING,
            sql_state=ThreadState.RUNNING,
            executed=executed,
            received=received,
            lag=2,
            sql_delay=60,
            auto_position=True,
            has_filters=False,
        ),
        semi_sync=SemiSyncStatus(replica_enabled=True, replica_active=True, timeout=10**18, wait_for_replica_count=1),
    )


async def test_a_variable_that_did_not_come_is_unknown() -> None:
    """A server that leaves out a variable is not taken for one that has it off."""
    status = await ask(server(variables=pairs({"server_id": "7", "log_bin": "OFF"})))
    assert (status.log_bin, status.log_replica_updates, status.binlog_format) == (False, None, "")


async def test_a_server_without_source_has_no_replication_status() -> None:
    """A server has no replication source if the answer is empty, or lists only channels of group replication."""
    assert (await ask(server(replica=QueryResult()))).replication is None
    group = {**REPLICA, "Channel_Name": "group_replication_applier"}
    assert (await ask(server(replica=table(group)))).replication is None
    found = (await ask(server(replica=table(group, REPLICA)))).replication
    assert found is not None
    assert found.source_host == "db0"


@pytest.mark.parametrize(
    ("column", "value", "field", "expected"),
    [
        ("Slave_IO_Running", "Connecting", "io_state", ThreadState.CONNECTING),
        ("Slave_IO_Running", "No", "io_state", ThreadState.STOPPED),
        ("Slave_IO_Running", "Preparing", "io_state", ThreadState.UNKNOWN),
        ("Slave_SQL_Running", "No", "sql_state", ThreadState.STOPPED),
        ("Last_IO_Error", "error connecting to master", "last_io_error", "error connecting to master"),
        ("Last_SQL_Error", "duplicate entry", "last_sql_error", "duplicate entry"),
        ("Seconds_Behind_Master", None, "lag", None),
        ("Replicate_Do_DB", "commerce", "has_filters", True),
        ("Replicate_Wild_Ignore_Table", "commerce.%", "has_filters", True),
        ("Auto_Position", "0", "auto_position", False),
        ("Master_UUID", "", "source_uuid", ""),
        ("Master_Host", "dbé", "source_host", "dbé"),
    ],
)
async def test_columns_of_the_replica_are_understood(
    column: str, value: str | None, field: str, expected: object
) -> None:
    """NULL is not zero, and an unknown word is not "no"."""
    found = (await ask(server(replica=table({**REPLICA, column: value})))).replication
    assert found is not None
    assert getattr(found, field) == expected


async def test_missing_variables_are_off_or_unknown() -> None:
    """Without the plugin semi-sync is off; without the variable super_read_only is unknown."""
    few = {name: value for name, value in VARIABLES.items() if "semi_sync" not in name and name != "super_read_only"}
    status = await ask(server(variables=pairs(few), status=QueryResult()))
    assert status.semi_sync == SemiSyncStatus()
    assert status.super_read_only is None
    everything = await ask(server())
    assert replace(status, super_read_only=False, semi_sync=everything.semi_sync) == everything


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (server(gtids=QueryResult()), "0 rows: expected one"),
        (server(gtids=table({"gtid_executed": "x", "gtid_purged": ""})), "gtid_executed: GTID set 'x'"),
        (server(replica=table({**REPLICA, "Master_Port": "-1"})), "Master_Port is '-1': expected a number, 0 or more"),
        (server(replica=table({**REPLICA, "Master_Port": "70000"})), "Master_Port is 70000: expected a port"),
        (server(replica=table({**REPLICA, "Retrieved_Gtid_Set": "x"})), "Retrieved_Gtid_Set: GTID set 'x'"),
        (server(variables=pairs({"server_id": "seven"})), "server_id is 'seven': expected a number"),
        (server(variables=pairs({"server_id": "1" * 5000})), "server_id is '1111"),
        (server(replica=QueryResult(rows=[Row(lengths=[1], values=b"x")])), "expected 0 values in 1 bytes"),
    ],
)
async def test_garbage_is_refused_by_name(answers: dict[str, QueryResult], expected: str) -> None:
    """The error names the column, its value and what was expected."""
    with pytest.raises(TabletBadAnswer) as caught:
        await ask(answers)
    assert expected in str(caught.value)


def test_names_are_asked_for_one_by_one() -> None:
    """The statements have no pattern that would match other variables, and do not fail on missing ones."""
    assert SHOW_STATUS == (
        "SHOW GLOBAL STATUS WHERE Variable_name IN "
        "('Rpl_semi_sync_master_status', 'Rpl_semi_sync_slave_status', 'Rpl_semi_sync_master_clients')"
    )


@given(st.lists(st.lists(st.text(max_size=5) | st.none(), min_size=2, max_size=2), max_size=4))
def test_cells_are_cut_as_they_were_joined(cells: list[list[str | None]]) -> None:
    """NULL, empty and multi-byte values survive."""
    found = [dict(zip(("a", "b"), row, strict=True)) for row in cells]
    assert rows(table(*found)) == found


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3), st.binary(max_size=8))
def test_any_row_is_read_or_refused(lengths: list[int], values: bytes) -> None:
    """Any answers give a status or TabletBadAnswer."""
    names = [Field(name=name) for name in ("a", "b")]
    with suppress(TabletBadAnswer):
        found: list[Any] = rows(QueryResult(fields=names, rows=[Row(lengths=lengths, values=values)]))
        assert [*found[0]] == ["a", "b"]
