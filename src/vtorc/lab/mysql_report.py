"""Reads a mysqld's state over SQL into the values that a tablet reports."""

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.vttablet.mysql_api import PrimaryReport, ReplicaReport, ServerReport
from vtorc.vttablet.sql_session import Row, SqlSession

_THREAD_STATES = {"Yes": ThreadState.RUNNING, "Connecting": ThreadState.CONNECTING, "No": ThreadState.STOPPED}
_VARIABLES = (
    "server_id",
    "server_uuid",
    "version",
    "version_comment",
    "read_only",
    "super_read_only",
    "gtid_purged",
    "gtid_executed",
    "gtid_mode",
    "binlog_format",
    "binlog_row_image",
    "log_bin",
    "log_replica_updates",
    "replica_net_timeout",
)
_SELECT_VARIABLES = "SELECT " + ", ".join(f"@@global.{name} AS {name}" for name in _VARIABLES)
_HEARTBEAT = (
    "SELECT heartbeat_interval AS seconds FROM performance_schema.replication_connection_configuration "
    "WHERE channel_name = ''"
)
_UNSET_UUID = "00000000-0000-0000-0000-000000000000"


async def server_report(session: SqlSession, log_status: str) -> ServerReport:
    """Read all that FullStatus reports; `log_status` is the statement that shows the server's binary log position."""
    variables = await session.row(_SELECT_VARIABLES)
    replication = await replica_report(session)
    log = await session.rows(log_status)
    semi = await semi_sync(session)
    heartbeat = await session.rows(_HEARTBEAT)
    return ServerReport(
        server_id=int(variables["server_id"]),
        server_uuid=variables["server_uuid"],
        version=variables["version"].partition("-")[0],
        version_comment=variables["version_comment"],
        read_only=variables["read_only"] == "1",
        super_read_only=variables["super_read_only"] == "1",
        executed=GtidSet.parse(variables["gtid_executed"]),
        purged=GtidSet.parse(variables["gtid_purged"]),
        gtid_mode=variables["gtid_mode"],
        log_bin=variables["log_bin"] == "1",
        log_replica_updates=variables["log_replica_updates"] == "1",
        replication=replication,
        semi_sync=semi or SemiSyncStatus(),
        heartbeat_interval=float(heartbeat[0]["seconds"]) if heartbeat else 0.0,
        replica_net_timeout=int(variables["replica_net_timeout"]),
        coordinates=_coordinates(log[0], "File", "Position") if log else "",
        binlog_format=variables["binlog_format"],
        binlog_row_image=variables["binlog_row_image"],
    )


async def replica_report(session: SqlSession) -> ReplicaReport | None:
    """Read SHOW REPLICA STATUS; None if the server has no replication source."""
    rows = await session.rows("SHOW REPLICA STATUS")
    if not rows:
        return None
    row = rows[0]
    executed = GtidSet.parse(row["Executed_Gtid_Set"])
    return ReplicaReport(
        source_host=row["Source_Host"],
        source_port=int(row["Source_Port"]),
        source_uuid=row["Source_UUID"] or _UNSET_UUID,
        source_user=row["Source_User"],
        source_server_id=int(row["Source_Server_Id"]),
        io_state=_THREAD_STATES.get(row["Replica_IO_Running"], ThreadState.UNKNOWN),
        sql_state=_THREAD_STATES.get(row["Replica_SQL_Running"], ThreadState.UNKNOWN),
        last_io_error=row["Last_IO_Error"],
        last_sql_error=row["Last_SQL_Error"],
        executed=executed,
        received=executed.union(GtidSet.parse(row["Retrieved_Gtid_Set"])),
        lag=int(row["Seconds_Behind_Source"]) if row["Seconds_Behind_Source"] else None,
        sql_delay=int(row["SQL_Delay"]),
        auto_position=row["Auto_Position"] == "1",
        has_filters=any(
            value
            for name, value in row.items()
            if name.startswith("Replicate_") and name != "Replicate_Ignore_Server_Ids"
        ),
        connect_retry=int(row["Connect_Retry"]),
        source_read_coordinates=_coordinates(row, "Source_Log_File", "Read_Source_Log_Pos"),
        source_executed_coordinates=_coordinates(row, "Relay_Source_Log_File", "Exec_Source_Log_Pos"),
        relay_log_coordinates=_coordinates(row, "Relay_Log_File", "Relay_Log_Pos"),
        ssl_allowed=row["Source_SSL_Allowed"] == "Yes",
    )


async def primary_report(session: SqlSession, log_status: str) -> PrimaryReport | None:
    """Read the server's position as a source; None without binary logs."""
    rows = await session.rows(log_status)
    if not rows:
        return None
    uuid = await session.value("SELECT @@global.server_uuid")
    executed = GtidSet.parse(rows[0]["Executed_Gtid_Set"])
    return PrimaryReport(executed=executed, server_uuid=uuid, coordinates=_coordinates(rows[0], "File", "Position"))


async def semi_sync(session: SqlSession) -> SemiSyncStatus | None:
    """Read the settings and the state of semi-sync; None without the plugins."""
    variables = await _pairs(session, "SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'")
    if "rpl_semi_sync_source_enabled" not in variables:
        return None
    status = await _pairs(session, "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'")
    return SemiSyncStatus(
        primary_enabled=variables["rpl_semi_sync_source_enabled"] == "ON",
        replica_enabled=variables.get("rpl_semi_sync_replica_enabled") == "ON",
        primary_active=status.get("Rpl_semi_sync_source_status") == "ON",
        replica_active=status.get("Rpl_semi_sync_replica_status") == "ON",
        primary_clients=int(status.get("Rpl_semi_sync_source_clients", "0")),
        timeout=int(variables["rpl_semi_sync_source_timeout"]),
        wait_for_replica_count=int(variables["rpl_semi_sync_source_wait_for_replica_count"]),
    )


async def _pairs(session: SqlSession, sql: str) -> Row:
    return {row["Variable_name"]: row["Value"] for row in await session.rows(sql)}


def _coordinates(row: Row, file: str, position: str) -> str:
    return f"{row[file]}:{row[position]}"
