"""The status of a mysqld, read in SQL: through a tablet that lacks `FullStatus` (releases 12 and 13), or from MySQL.

`ReplicationStatus` of these releases reports a connecting IO thread as running, and a connecting thread is the sign of
a dead source. So vtorc sends the statements that the tablet itself would use. MySQL renamed its statements, variables
and columns in several steps. Here each has its present name, whatever the server calls it (MySQL manual, "SHOW REPLICA
STATUS Statement", "SHOW BINARY LOG STATUS Statement", "Replication Source Options and Variables").
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.records import HIGHEST_PORT
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.errors import GtidParseError, TabletBadAnswer

Row = Mapping[str, str | None]
"""One row by column name, SQL NULL as None."""

Fetch = Callable[[str], Awaitable[list[Row]]]
"""Runs one statement, as a user that may read the status."""

NO_UUID = "00000000-0000-0000-0000-000000000000"
"""The UUID of a source that is not known."""

_LONGEST_NUMBER = len(str(2**64))
_THREAD_STATES = {"Yes": ThreadState.RUNNING, "No": ThreadState.STOPPED, "Connecting": ThreadState.CONNECTING}
_FILTERS = ("Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table", "Rewrite_DB")

# Both names of each: a server has the old ones, the present ones, or both.
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
    "log_replica_updates",
    "slave_net_timeout",
    "replica_net_timeout",
    "binlog_format",
    "binlog_row_image",
    "rpl_semi_sync_master_enabled",
    "rpl_semi_sync_source_enabled",
    "rpl_semi_sync_slave_enabled",
    "rpl_semi_sync_replica_enabled",
    "rpl_semi_sync_master_timeout",
    "rpl_semi_sync_source_timeout",
    "rpl_semi_sync_master_wait_for_slave_count",
    "rpl_semi_sync_source_wait_for_replica_count",
)
_STATUS = (
    "Rpl_semi_sync_master_status",
    "Rpl_semi_sync_source_status",
    "Rpl_semi_sync_slave_status",
    "Rpl_semi_sync_replica_status",
    "Rpl_semi_sync_master_clients",
    "Rpl_semi_sync_source_clients",
)
_PRESENT_WORDS = (("Master", "Source"), ("master", "source"), ("Slave", "Replica"), ("slave", "replica"))


def _show(kind: str, names: tuple[str, ...]) -> str:
    return f"SHOW GLOBAL {kind} WHERE Variable_name IN ({', '.join(map(repr, names))})"


# SHOW VARIABLES cuts long values, such as GTID sets.
SELECT_GTIDS = "SELECT @@global.gtid_executed AS gtid_executed, @@global.gtid_purged AS gtid_purged"
# SHOW leaves out variables that a server lacks, such as those of semi-sync without the plugin; SELECT would fail.
SHOW_VARIABLES = _show("VARIABLES", _VARIABLES)
SHOW_STATUS = _show("STATUS", _STATUS)


def show_replica(version: str) -> str:
    """Return the statement with which a server of that version shows its state as a replica."""
    return "SHOW REPLICA STATUS" if _numbers(version) >= (8, 0, 22) else "SHOW SLAVE STATUS"


def show_log(version: str) -> str:
    """Return the statement with which a server of that version shows where its binary log ends."""
    return "SHOW BINARY LOG STATUS" if _numbers(version) >= (8, 2, 0) else "SHOW MASTER STATUS"


def refuse_mariadb(version: str) -> None:
    """Raise TabletBadAnswer if a server of that version is MariaDB, which has another kind of replication."""
    if "MariaDB" in version:
        raise TabletBadAnswer(f"it runs MariaDB ({version[:60]}): expected MySQL, since vtorc needs MySQL's GTIDs")


async def survey(fetch: Fetch) -> TabletStatus:
    """Return the status as `FullStatus` would; fields that only the tablet itself knows stay unknown.

    Raises TabletBadAnswer, also for MariaDB, and the errors of `fetch`.
    """
    variables = _pairs(await fetch(SHOW_VARIABLES))
    version = variables.get("version") or ""
    refuse_mariadb(version)
    replica_rows = _named_as_now(await fetch(show_replica(version)))
    sets = await fetch(SELECT_GTIDS)
    # Later than the sets: a commit in between must not look like one that waits in the binary log for ever.
    log_rows = await fetch(show_log(version))
    status = _pairs(await fetch(SHOW_STATUS))
    if len(sets) != 1:
        raise TabletBadAnswer(f"{SELECT_GTIDS}: {len(sets)} rows: expected one")
    executed = _gtids(sets[0], "gtid_executed")
    return TabletStatus(
        server_id=_number(variables, "server_id"),
        server_uuid=variables.get("server_uuid") or "",
        version=version,
        version_comment=variables.get("version_comment") or "",
        read_only=_is_on(variables, "read_only"),
        super_read_only=_is_on_or_unknown(variables, "super_read_only"),
        executed=executed,
        binlog_end=_place(log_rows[0], "File", "Position") if log_rows else None,
        purged=_gtids(sets[0], "gtid_purged"),
        gtid_mode=variables.get("gtid_mode") or "",
        log_bin=_is_on_or_unknown(variables, "log_bin"),
        log_replica_updates=_is_on_or_unknown(variables, "log_replica_updates"),
        binlog_format=variables.get("binlog_format") or "",
        binlog_row_image=variables.get("binlog_row_image") or "",
        replication=_replication(replica_rows, executed),
        semi_sync=SemiSyncStatus(
            primary_enabled=_is_on(variables, "rpl_semi_sync_source_enabled"),
            replica_enabled=_is_on(variables, "rpl_semi_sync_replica_enabled"),
            primary_active=_is_on(status, "Rpl_semi_sync_source_status"),
            replica_active=_is_on(status, "Rpl_semi_sync_replica_status"),
            primary_clients=_number(status, "Rpl_semi_sync_source_clients"),
            timeout=_number(variables, "rpl_semi_sync_source_timeout"),
            wait_for_replica_count=_number(variables, "rpl_semi_sync_source_wait_for_replica_count"),
        ),
        replica_net_timeout=_number(variables, "replica_net_timeout") if "replica_net_timeout" in variables else None,
    )


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version; of text without them, those of the oldest one."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", version)
    return tuple(map(int, found.groups())) if found is not None else (0,)


def _present_name(name: str) -> str:
    for old, new in _PRESENT_WORDS:
        name = name.replace(old, new)
    return name


def _named_as_now(found: Iterable[Row]) -> list[Row]:
    return [{_present_name(name): value for name, value in row.items()} for row in found]


def _pairs(found: Iterable[Row]) -> dict[str, str | None]:
    return {_present_name(row.get("Variable_name") or ""): row.get("Value") for row in found}


def _replication(found: list[Row], executed: GtidSet) -> ReplicationStatus | None:
    # Vitess uses the channel without a name; the result also lists the channels of group replication.
    row = next((row for row in found if not row.get("Channel_Name")), None)
    if row is None:
        return None
    uuid = row.get("Source_UUID") or ""
    lag = row.get("Seconds_Behind_Source")
    return ReplicationStatus(
        source_host=row.get("Source_Host") or "",
        source_port=_port(row, "Source_Port"),
        source_uuid="" if uuid == NO_UUID else uuid,
        source_user=row.get("Source_User") or "",
        io_state=_THREAD_STATES.get(row.get("Replica_IO_Running") or "", ThreadState.UNKNOWN),
        sql_state=_THREAD_STATES.get(row.get("Replica_SQL_Running") or "", ThreadState.UNKNOWN),
        last_io_error=row.get("Last_IO_Error") or "",
        last_sql_error=row.get("Last_SQL_Error") or "",
        executed=executed,
        received=executed.union(_gtids(row, "Retrieved_Gtid_Set")),
        read_to=_place(row, "Source_Log_File", "Read_Source_Log_Pos"),
        lag=None if lag is None else _number(row, "Seconds_Behind_Source"),
        sql_delay=_number(row, "SQL_Delay"),
        auto_position=row.get("Auto_Position") == "1",
        has_filters=any(row.get(f"Replicate_{name}") for name in _FILTERS),
    )


def _place(row: Row, file: str, position: str) -> tuple[str, int] | None:
    """Return a file and a position; None if the server names no file."""
    return (row.get(file) or "", _number(row, position)) if row.get(file) else None


def _gtids(row: Row, column: str) -> GtidSet:
    try:
        return GtidSet.parse(row.get(column) or "")
    except GtidParseError as error:
        raise TabletBadAnswer(f"{column}: {error}") from error


def _port(row: Row, column: str) -> int:
    number = _number(row, column)
    if number > HIGHEST_PORT:
        raise TabletBadAnswer(f"{column} is {number}: expected a port from 0 to {HIGHEST_PORT}")
    return number


def _number(row: Row, column: str) -> int:
    text = row.get(column) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise TabletBadAnswer(f"{column} is {text[:120]!r}: expected a number, 0 or more, of 64 bits")
    return int(text)


def _is_on(row: Row, column: str) -> bool:
    return (row.get(column) or "").upper() in ("ON", "1")


def _is_on_or_unknown(row: Row, column: str) -> bool | None:
    return _is_on(row, column) if column in row else None
