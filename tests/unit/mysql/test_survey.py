from dataclasses import dataclass, replace

import pytest

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.errors import TabletBadAnswer
from vtorc.mysql.survey import SELECT_GTIDS, SHOW_STATUS, SHOW_VARIABLES, Row, show_log, show_replica, survey

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
REPLICA: dict[str, str | None] = {
    "Slave_IO_State": "Waiting for master to send event",
    "Master_Host": "db0",
    "Master_User": "vt_repl",
    "Master_Port": "3306",
    "Master_Log_File": "binlog.000003",
    "Read_Master_Log_Pos": "4711",
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
    "version_comment": "MySQL Community Server - GPL",
    "read_only": "ON",
    "super_read_only": "OFF",
    "gtid_mode": "ON",
    "log_bin": "ON",
    "log_slave_updates": "ON",
    "slave_net_timeout": "60",
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


def pairs(found: dict[str, str]) -> list[Row]:
    return [{"Variable_name": name, "Value": value} for name, value in found.items()]


LOG: Row = {"File": "binlog.000007", "Position": "157", "Executed_Gtid_Set": f"{UUID}:1-9"}


def server(version: str = "8.0.21", **changes: list[Row]) -> dict[str, list[Row]]:
    """The answers of a replica of that version; changes are `replica`, `gtids`, `variables`, `status`, `log`."""
    return {
        show_replica(version): changes.get("replica", [REPLICA]),
        SELECT_GTIDS: changes.get("gtids", [{"gtid_executed": f"{UUID}:1-9", "gtid_purged": f"{UUID}:1-3"}]),
        show_log(version): changes.get("log", [LOG]),
        SHOW_VARIABLES: changes.get("variables", pairs({**VARIABLES, "version": version})),
        SHOW_STATUS: changes.get("status", pairs(STATUS)),
    }


async def ask(answers: dict[str, list[Row]]) -> TabletStatus:
    async def fetch(sql: str) -> list[Row]:
        return answers[sql]

    return await survey(fetch)


async def test_a_replica_has_the_status_of_full_status() -> None:
    """Each value has its place, and what only a tablet manager knows stays unknown."""
    executed, received = GtidSet.of(UUID, 1, 9), GtidSet.of(UUID, 1, 12)
    assert await ask(server()) == TabletStatus(
        server_id=7,
        server_uuid=UUID,
        version="8.0.21",
        version_comment="MySQL Community Server - GPL",
        read_only=True,
        super_read_only=False,
        executed=executed,
        binlog_end=("binlog.000007", 157),
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
            read_to=("binlog.000003", 4711),
            lag=2,
            sql_delay=60,
            auto_position=True,
            has_filters=False,
        ),
        semi_sync=SemiSyncStatus(replica_enabled=True, replica_active=True, timeout=10**18, wait_for_replica_count=1),
        replica_net_timeout=60,
    )


async def test_a_variable_that_did_not_come_is_unknown() -> None:
    """A server that leaves out a variable is not taken for one that has it off."""
    status = await ask(server(variables=pairs({"server_id": "7", "log_bin": "OFF"})))
    assert (status.log_bin, status.log_replica_updates, status.binlog_format) == (False, None, "")


async def test_a_server_without_source_has_no_replication_status() -> None:
    """A server has no replication source if the answer is empty, or lists only channels of group replication."""
    assert (await ask(server(replica=[]))).replication is None
    group = {**REPLICA, "Channel_Name": "group_replication_applier"}
    assert (await ask(server(replica=[group]))).replication is None
    found = (await ask(server(replica=[group, REPLICA]))).replication
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
    found = (await ask(server(replica=[{**REPLICA, column: value}]))).replication
    assert found is not None
    assert getattr(found, field) == expected


async def test_missing_variables_are_off_or_unknown() -> None:
    """Without the plugin semi-sync is off; without the variable super_read_only is unknown."""
    few = {name: value for name, value in VARIABLES.items() if "semi_sync" not in name and name != "super_read_only"}
    status = await ask(server(variables=pairs(few), status=[]))
    assert status.semi_sync == SemiSyncStatus()
    assert status.super_read_only is None
    everything = await ask(server())
    assert replace(status, version="8.0.21", super_read_only=False, semi_sync=everything.semi_sync) == everything


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (server(gtids=[]), "0 rows: expected one"),
        (server(gtids=[{"gtid_executed": "x", "gtid_purged": ""}]), "gtid_executed: GTID set 'x'"),
        (server(replica=[{**REPLICA, "Master_Port": "-1"}]), "Source_Port is '-1': expected a number, 0 or more"),
        (server(replica=[{**REPLICA, "Master_Port": "70000"}]), "Source_Port is 70000: expected a port"),
        (server(replica=[{**REPLICA, "Retrieved_Gtid_Set": "x"}]), "Retrieved_Gtid_Set: GTID set 'x'"),
        (server(variables=pairs({"server_id": "seven"})), "server_id is 'seven': expected a number"),
        (server(variables=pairs({"server_id": str(2**64)})), "server_id is '18446744073709551616': expected a number"),
        (server(variables=pairs({"server_id": "1" * 5000})), "server_id is '1111"),
    ],
)
async def test_garbage_is_refused_by_name(answers: dict[str, list[Row]], expected: str) -> None:
    """The error names the column, its value and what was expected."""
    with pytest.raises(TabletBadAnswer) as caught:
        await ask(answers)
    assert expected in str(caught.value)


@dataclass(frozen=True)
class Dialect:
    """How one version of MySQL calls the things of replication."""

    version: str
    replica: str
    """The statement that shows a server's state as a replica."""
    log: str
    """The statement that shows where its binary log ends."""
    columns: bool
    """Whether the columns of the first have their present names."""
    variables: tuple[str, ...]
    """What variables are called: "old", "new", or both."""
    plugin: str
    """The names of the semi-sync plugins: "old" or "new"."""


DIALECTS = [
    Dialect("5.7.44-log", "SHOW SLAVE STATUS", "SHOW MASTER STATUS", False, ("old",), "old"),
    Dialect("8.0.21", "SHOW SLAVE STATUS", "SHOW MASTER STATUS", False, ("old",), "old"),
    Dialect("8.0.23", "SHOW REPLICA STATUS", "SHOW MASTER STATUS", True, ("old",), "old"),
    Dialect("8.0.36-28", "SHOW REPLICA STATUS", "SHOW MASTER STATUS", True, ("old", "new"), "old"),
    Dialect("8.0.40", "SHOW REPLICA STATUS", "SHOW MASTER STATUS", True, ("old", "new"), "new"),
    Dialect("8.4.3", "SHOW REPLICA STATUS", "SHOW BINARY LOG STATUS", True, ("new",), "new"),
    Dialect("9.1.0", "SHOW REPLICA STATUS", "SHOW BINARY LOG STATUS", True, ("new",), "new"),
]

NEW_COLUMNS = {
    "Replica_IO_State": "Waiting for source to send event",
    "Source_Host": "db0",
    "Source_User": "vt_repl",
    "Source_Port": "3306",
    "Source_Log_File": "binlog.000003",
    "Read_Source_Log_Pos": "4711",
    "Replica_IO_Running": "Yes",
    "Replica_SQL_Running": "Yes",
    "Replicate_Do_DB": "",
    "Replicate_Wild_Ignore_Table": "",
    "Seconds_Behind_Source": "2",
    "Last_IO_Error": "",
    "Last_SQL_Error": "",
    "Source_UUID": UUID,
    "SQL_Delay": "60",
    "Retrieved_Gtid_Set": f"{UUID}:4-12",
    "Executed_Gtid_Set": f"{UUID}:1-8",
    "Auto_Position": "1",
    "Channel_Name": "",
}
NEW_SERVER_NAMES = {"log_slave_updates": "log_replica_updates", "slave_net_timeout": "replica_net_timeout"}
NEW_PLUGIN_NAMES = {
    "rpl_semi_sync_master_enabled": "rpl_semi_sync_source_enabled",
    "rpl_semi_sync_slave_enabled": "rpl_semi_sync_replica_enabled",
    "rpl_semi_sync_master_timeout": "rpl_semi_sync_source_timeout",
    "rpl_semi_sync_master_wait_for_slave_count": "rpl_semi_sync_source_wait_for_replica_count",
    "Rpl_semi_sync_master_status": "Rpl_semi_sync_source_status",
    "Rpl_semi_sync_slave_status": "Rpl_semi_sync_replica_status",
    "Rpl_semi_sync_master_clients": "Rpl_semi_sync_source_clients",
}


def spoken(dialect: Dialect, values: dict[str, str]) -> list[Row]:
    """Return the variables under the names that the version has for them."""
    found: dict[str, str] = {}
    for name, value in values.items():
        names = [name]
        if name in NEW_PLUGIN_NAMES:
            names = [NEW_PLUGIN_NAMES[name] if dialect.plugin == "new" else name]
        elif name in NEW_SERVER_NAMES:
            names = [{"old": name, "new": NEW_SERVER_NAMES[name]}[kind] for kind in dialect.variables]
        found |= dict.fromkeys(names, value)
    return pairs(found)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.version)
async def test_every_version_of_mysql_is_understood(dialect: Dialect) -> None:
    """The same server has the same status, whatever its version calls statements, columns and variables."""
    asked: list[str] = []
    answers: dict[str, list[Row]] = {
        dialect.replica: [NEW_COLUMNS if dialect.columns else REPLICA],
        dialect.log: [LOG],
        SELECT_GTIDS: server()[SELECT_GTIDS],
        SHOW_VARIABLES: spoken(dialect, {**VARIABLES, "version": dialect.version}),
        SHOW_STATUS: spoken(dialect, STATUS),
    }

    async def fetch(sql: str) -> list[Row]:
        asked.append(sql)
        names = {row["Variable_name"] for row in answers[sql] if "Variable_name" in row}
        assert all(repr(name) in sql for name in names), "each variable is asked for by its own name"
        return answers[sql]

    status = await survey(fetch)
    assert sorted(asked) == sorted(answers)
    assert replace(status, version="8.0.21") == await ask(server())


async def test_the_sets_are_read_before_the_end_of_the_log() -> None:
    """A commit between the two statements is in the log and not in the set: the other way it would seem to wait."""
    asked: list[str] = []
    answers = server()

    async def fetch(sql: str) -> list[Row]:
        asked.append(sql)
        return answers[sql]

    await survey(fetch)
    assert asked.index(SELECT_GTIDS) < asked.index("SHOW MASTER STATUS")


async def test_a_server_without_binary_log_has_no_end_of_it() -> None:
    """Where nothing names a file, the place in it is unknown."""
    status = await ask(server(log=[], replica=[{**REPLICA, "Master_Log_File": ""}]))
    assert status.binlog_end is None
    assert status.replication is not None
    assert status.replication.read_to is None


async def test_mariadb_is_refused() -> None:
    """MariaDB is named as what it is, before any statement that it would not understand."""
    with pytest.raises(TabletBadAnswer, match=r"it runs MariaDB \(10.6.16-MariaDB\): expected MySQL"):
        await ask({SHOW_VARIABLES: pairs({"version": "10.6.16-MariaDB"})})
