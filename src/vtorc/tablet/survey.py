"""The status of a tablet that lacks the `FullStatus` call (releases 12 and 13), read in SQL through the tablet.

`ReplicationStatus` of these releases reports a connecting IO thread as running, and a connecting thread is the sign of
a dead source. So vtorc sends the statements that the tablet itself would use. These releases manage only MySQL 5.7 and
8.0, which understand the old names below (MySQL manual, "SHOW REPLICA | SLAVE STATUS Statement").
"""

from collections.abc import Awaitable, Callable, Mapping

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.errors import GtidParseError, TabletBadAnswer
from vtorc.proto import query_pb2
from vtorc.tablet.convert import NO_UUID, port

Fetch = Callable[[str], Awaitable[query_pb2.QueryResult]]
"""Runs one statement as the tablet's dba user."""

Row = Mapping[str, str | None]

_VARIABLES = (
    "server_id",
    "server_uuid",
    "version",
    "version_comment",
    "read_only",
    "super_read_only",
    "gtid_mode",
    "log_bin",
    "log_slave_updates",
    "binlog_format",
    "binlog_row_image",
    "rpl_semi_sync_master_enabled",
    "rpl_semi_sync_slave_enabled",
    "rpl_semi_sync_master_timeout",
    "rpl_semi_sync_master_wait_for_slave_count",
)
_STATUS = ("Rpl_semi_sync_master_status", "Rpl_semi_sync_slave_status", "Rpl_semi_sync_master_clients")
_FILTERS = ("Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table", "Rewrite_DB")
_LONGEST_NUMBER = len(str(2**64))
_THREAD_STATES = {"Yes": ThreadState.RUNNING, "No": ThreadState.STOPPED, "Connecting": ThreadState.CONNECTING}


def _show(kind: str, names: tuple[str, ...]) -> str:
    return f"SHOW GLOBAL {kind} WHERE Variable_name IN ({', '.join(map(repr, names))})"


SHOW_REPLICA = "SHOW SLAVE STATUS"
# SHOW VARIABLES cuts long values, such as GTID sets.
SELECT_GTIDS = "SELECT @@global.gtid_executed AS gtid_executed, @@global.gtid_purged AS gtid_purged"
# SHOW leaves out variables that a server lacks, such as those of semi-sync without the plugin; SELECT would fail.
SHOW_VARIABLES = _show("VARIABLES", _VARIABLES)
SHOW_STATUS = _show("STATUS", _STATUS)


async def survey(fetch: Fetch) -> TabletStatus:
    """Return the status as `FullStatus` would; fields that only the tablet itself knows stay unknown.

    Raises TabletBadAnswer, and the errors of `fetch`.
    """
    replica_rows = rows(await fetch(SHOW_REPLICA))
    sets = rows(await fetch(SELECT_GTIDS))
    variables = _pairs(rows(await fetch(SHOW_VARIABLES)))
    status = _pairs(rows(await fetch(SHOW_STATUS)))
    if len(sets) != 1:
        raise TabletBadAnswer(f"{SELECT_GTIDS}: {len(sets)} rows: expected one")
    executed = _gtids(sets[0], "gtid_executed")
    return TabletStatus(
        server_id=_number(variables, "server_id"),
        server_uuid=variables.get("server_uuid") or "",
        version=variables.get("version") or "",
        version_comment=variables.get("version_comment") or "",
        read_only=_is_on(variables, "read_only"),
        super_read_only=_is_on(variables, "super_read_only") if "super_read_only" in variables else None,
        executed=executed,
        purged=_gtids(sets[0], "gtid_purged"),
        gtid_mode=variables.get("gtid_mode") or "",
        log_bin=_is_on(variables, "log_bin") if "log_bin" in variables else None,
        log_replica_updates=_is_on(variables, "log_slave_updates") if "log_slave_updates" in variables else None,
        binlog_format=variables.get("binlog_format") or "",
        binlog_row_image=variables.get("binlog_row_image") or "",
        replication=_replication(replica_rows, executed),
        semi_sync=SemiSyncStatus(
            primary_enabled=_is_on(variables, "rpl_semi_sync_master_enabled"),
            replica_enabled=_is_on(variables, "rpl_semi_sync_slave_enabled"),
            primary_active=_is_on(status, "Rpl_semi_sync_master_status"),
            replica_active=_is_on(status, "Rpl_semi_sync_slave_status"),
            primary_clients=_number(status, "Rpl_semi_sync_master_clients"),
            timeout=_number(variables, "rpl_semi_sync_master_timeout"),
            wait_for_replica_count=_number(variables, "rpl_semi_sync_master_wait_for_slave_count"),
        ),
    )


def rows(result: query_pb2.QueryResult) -> list[Row]:
    """Return the rows by column name, SQL NULL as None; raises TabletBadAnswer."""
    names = [field.name for field in result.fields]
    return [dict(zip(names, _cells(row, len(names)), strict=True)) for row in result.rows]


def _cells(row: query_pb2.Row, columns: int) -> list[str | None]:
    found: list[str | None] = []
    end = 0
    for length in row.lengths:
        start, end = end, end + max(length, 0)
        found.append(None if length < 0 else row.values[start:end].decode(errors="replace"))
    if len(found) != columns or end != len(row.values):
        raise TabletBadAnswer(
            f"a row of {len(found)} values in {len(row.values)} bytes: expected {columns} values in {end} bytes"
        )
    return found


def _pairs(found: list[Row]) -> dict[str, str | None]:
    return {row.get("Variable_name") or "": row.get("Value") for row in found}


def _replication(found: list[Row], executed: GtidSet) -> ReplicationStatus | None:
    # Vitess uses the channel without a name; the result also lists the channels of group replication.
    row = next((row for row in found if not row.get("Channel_Name")), None)
    if row is None:
        return None
    uuid = row.get("Master_UUID") or ""
    lag = row.get("Seconds_Behind_Master")
    return ReplicationStatus(
        source_host=row.get("Master_Host") or "",
        source_port=port(_number(row, "Master_Port"), field="Master_Port"),
        source_uuid="" if uuid == NO_UUID else uuid,
        source_user=row.get("Master_User") or "",
        io_state=_THREAD_STATES.get(row.get("Slave_IO_Running") or "", ThreadState.UNKNOWN),
        sql_state=_THREAD_STATES.get(row.get("Slave_SQL_Running") or "", ThreadState.UNKNOWN),
        last_io_error=row.get("Last_IO_Error") or "",
        last_sql_error=row.get("Last_SQL_Error") or "",
        executed=executed,
        received=executed.union(_gtids(row, "Retrieved_Gtid_Set")),
        lag=None if lag is None else _number(row, "Seconds_Behind_Master"),
        sql_delay=_number(row, "SQL_Delay"),
        auto_position=row.get("Auto_Position") == "1",
        has_filters=any(row.get(f"Replicate_{name}") for name in _FILTERS),
    )


def _gtids(row: Row, column: str) -> GtidSet:
    try:
        return GtidSet.parse(row.get(column) or "")
    except GtidParseError as error:
        raise TabletBadAnswer(f"{column}: {error}") from error


def _number(row: Row, column: str) -> int:
    text = row.get(column) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise TabletBadAnswer(f"{column} is {text[:120]!r}: expected a number, 0 or more, of 64 bits")
    return int(text)


def _is_on(row: Row, column: str) -> bool:
    return (row.get(column) or "").upper() in ("ON", "1")
