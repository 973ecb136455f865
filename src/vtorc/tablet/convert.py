"""Conversion of the tablet manager's messages to vtorc's values, for every release from 12 on.

Numbers, flags and texts of proto3 have no presence: a field that an old tablet does not send reads as 0, false or "".
That must not become "no". So such a field counts only if another part of the answer shows that the tablet is new enough
to send it:

* `tablet_type` is never UNKNOWN on a tablet of 22 or later, and `disk_stalled` and `semi_sync_blocked` came with it.
* `replication_configuration` is a message, so its absence is visible; tablets of 20 and later send it for replicas.
* `super_read_only` is sent from 17 on. True always counts. False counts if `read_only` is off, since in MySQL that
  implies it, or if the tablet is of 18 or later. One of the fields above shows that, or a `version` of three bare
  numbers; earlier tablets send the banner of `mysqld --version`.
* `log_bin_enabled` and `log_replica_updates` come from one statement with `binlog_format`, which is never empty.
* `sql_delay` and `has_replication_filters` came with 14, and so did the fields that tell 14 from 12 and 13 below.
* Thread states are numbers from 14 on and were flags up to 14. Numbers take precedence. If all four are unset, the
  tablet is a later one that does not know, or one of 12 or 13 that says "stopped". Other fields that came with 14 tell
  the two apart.

Sources: Vitess `proto/replicationdata.proto`, `go/mysql/replication/replication_status.go`,
`go/vt/vttablet/tabletmanager/rpc_replication.go`.
"""

import math
import re
from collections.abc import Callable

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import HIGHEST_PORT
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.errors import GtidParseError, TabletBadAnswer
from vtorc.mysql.survey import NO_UUID
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.tablet.api import HealthReport

_GTID_POSITION = "MySQL56/"
"""Prefix of a position that is a MySQL GTID set (Vitess `go/mysql/replication/replication_position.go`)."""

_FILE_POSITION = re.compile(r"FilePos/(?P<file>[^:]+):(?P<at>[0-9]+)", re.ASCII)
"""A position that names a file (Vitess `go/mysql/replication/filepos_gtid.go`)."""

ReadGtids = Callable[[str], GtidSet]
"""Reads the text of a GTID set; raises GtidParseError."""

_THREE_NUMBERS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)


def tablet_status(message: replicationdata_pb2.FullStatus, parse: ReadGtids = GtidSet.parse) -> TabletStatus:
    """Convert the answer to `FullStatus`, whose GTID sets `parse` reads; raises TabletBadAnswer."""
    if message.disk_stalled:
        return TabletStatus(disk_stalled=True)
    has_replication = message.HasField("replication_status")
    replication = replication_status(message.replication_status, parse) if has_replication else None
    type_ = tablet_type(message.tablet_type, field="tablet_type")
    since_22 = type_ is not TabletType.UNKNOWN or message.semi_sync_blocked
    heartbeat, net_timeout = _replication_configuration(message)
    return TabletStatus(
        server_id=message.server_id,
        server_uuid=message.server_uuid,
        version=message.version,
        version_comment=message.version_comment,
        read_only=message.read_only,
        super_read_only=_super_read_only(message, since_22=since_22),
        executed=_executed(message, replication, parse),
        binlog_end=_binlog_end(message),
        purged=_gtids_or_none(message.gtid_purged, field="gtid_purged", parse=parse) or EMPTY_GTID_SET,
        gtid_mode=message.gtid_mode,
        log_bin=message.log_bin_enabled if message.binlog_format else None,
        log_replica_updates=message.log_replica_updates if message.binlog_format else None,
        binlog_format=message.binlog_format,
        binlog_row_image=message.binlog_row_image,
        replication=replication,
        semi_sync=_semi_sync(message),
        semi_sync_blocked=message.semi_sync_blocked if since_22 else None,
        disk_stalled=False if since_22 else None,
        tablet_type=None if type_ is TabletType.UNKNOWN else type_,
        heartbeat_interval=heartbeat,
        replica_net_timeout=net_timeout,
    )


def _binlog_end(message: replicationdata_pb2.FullStatus) -> tuple[str, int] | None:
    """Return where the binary log ends; None without a binary log, or for a text that is no such position."""
    return _file_position(message.primary_status.file_position)


def _file_position(text: str) -> tuple[str, int] | None:
    found = _FILE_POSITION.fullmatch(text)
    return (found["file"], int(found["at"])) if found is not None else None


def replication_status(message: replicationdata_pb2.Status, parse: ReadGtids = GtidSet.parse) -> ReplicationStatus:
    """Convert a replication status, whose GTID sets `parse` reads; raises TabletBadAnswer.

    Tablets of 12 and 13 report a connecting IO thread as a running one, so its state is RUNNING here, too.
    """
    io_state, sql_state = _thread_states(message)
    since_14 = _is_since_14(message)
    executed = _gtids_or_none(message.position, field="position", parse=parse) or EMPTY_GTID_SET
    relayed = _gtids_or_none(message.relay_log_position, field="relay_log_position", parse=parse) or EMPTY_GTID_SET
    return ReplicationStatus(
        source_host=message.source_host,
        source_port=port(message.source_port, field="source_port"),
        source_uuid="" if message.source_uuid == NO_UUID else message.source_uuid,
        source_user=message.source_user,
        io_state=io_state,
        sql_state=sql_state,
        last_io_error=message.last_io_error,
        last_sql_error=message.last_sql_error,
        executed=executed,
        received=executed.union(relayed),
        read_to=_file_position(message.relay_log_source_binlog_equivalent_position),
        lag=_lag(message),
        sql_delay=message.sql_delay if since_14 else None,
        auto_position=message.auto_position,
        has_filters=message.has_replication_filters if since_14 else None,
        backup_running=message.backup_running,
    )


def health_report(message: query_pb2.StreamHealthResponse) -> HealthReport:
    """Convert one message of the health stream; raises TabletBadAnswer."""
    return HealthReport(
        alias=alias(message.tablet_alias) if message.HasField("tablet_alias") else None,
        type=tablet_type(message.target.tablet_type, field="target.tablet_type"),
        serving=message.serving,
        health_error=message.realtime_stats.health_error,
        primary_term_start_seconds=not_negative(
            message.primary_term_start_timestamp, field="primary_term_start_timestamp"
        ),
    )


def gtids(text: str, *, field: str) -> GtidSet:
    """Convert a position that must not be empty; raises TabletBadAnswer."""
    found = _gtids_or_none(text, field=field)
    if found is None:
        raise TabletBadAnswer(f"{field} is empty: expected a position such as {_GTID_POSITION} with a GTID set")
    return found


def position_text(position: GtidSet | None) -> str:
    """Return a position in Vitess' encoding, `MySQL56/` included; None becomes the empty text."""
    return "" if position is None else f"{_GTID_POSITION}{position}"


def alias(message: topodata_pb2.TabletAlias) -> TabletAlias:
    """Convert a tablet alias."""
    return TabletAlias(message.cell, message.uid)


def alias_message(name: TabletAlias) -> topodata_pb2.TabletAlias:
    """Convert a tablet alias to its message."""
    return topodata_pb2.TabletAlias(cell=name.cell, uid=name.uid)


def tablet_type(number: int, *, field: str) -> TabletType:
    """Convert a tablet type; raises TabletBadAnswer."""
    try:
        return TabletType(number)
    except ValueError:
        expected = ", ".join(f"{known.value} ({known})" for known in TabletType)
        raise TabletBadAnswer(f"{field} is {number}: expected one of {expected}") from None


def port(number: int, *, field: str) -> int:
    """Check a port, 0 for none; raises TabletBadAnswer."""
    if not 0 <= number <= HIGHEST_PORT:
        raise TabletBadAnswer(f"{field} is {number}: expected a port from 0 to {HIGHEST_PORT}")
    return number


def not_negative(number: int, *, field: str) -> int:
    """Check a count or a time; raises TabletBadAnswer."""
    if number < 0:
        raise TabletBadAnswer(f"{field} is {number}: expected 0 or more")
    return number


def _gtids_or_none(text: str, *, field: str, parse: ReadGtids = GtidSet.parse) -> GtidSet | None:
    """Convert a position: the empty text is None, `MySQL56/` the empty set; raises TabletBadAnswer."""
    if not text:
        return None
    if not text.startswith(_GTID_POSITION):
        raise TabletBadAnswer(
            f"{field} is {text[:120]!r}: expected {_GTID_POSITION} and a GTID set, as vtorc works with GTIDs only"
        )
    try:
        return parse(text.removeprefix(_GTID_POSITION))
    except GtidParseError as error:
        raise TabletBadAnswer(f"{field}: {error}") from error


def _executed(
    message: replicationdata_pb2.FullStatus, replication: ReplicationStatus | None, parse: ReadGtids
) -> GtidSet:
    """Return the server's own position, which the tablet reads last; without a binary log, the replica's."""
    own = _gtids_or_none(message.primary_status.position, field="primary_status.position", parse=parse)
    if own is not None:
        return own
    return EMPTY_GTID_SET if replication is None else replication.executed


def _semi_sync(message: replicationdata_pb2.FullStatus) -> SemiSyncStatus:
    return SemiSyncStatus(
        primary_enabled=message.semi_sync_primary_enabled,
        replica_enabled=message.semi_sync_replica_enabled,
        primary_active=message.semi_sync_primary_status,
        replica_active=message.semi_sync_replica_status,
        primary_clients=message.semi_sync_primary_clients,
        timeout=message.semi_sync_primary_timeout,
        wait_for_replica_count=message.semi_sync_wait_for_replica_count,
    )


def _super_read_only(message: replicationdata_pb2.FullStatus, *, since_22: bool) -> bool | None:
    since_18 = (
        since_22 or message.HasField("replication_configuration") or bool(_THREE_NUMBERS.fullmatch(message.version))
    )
    if message.super_read_only or since_18 or not message.read_only:
        return message.super_read_only
    return None


def _replication_configuration(message: replicationdata_pb2.FullStatus) -> tuple[float | None, int | None]:
    if not message.HasField("replication_configuration"):
        return None, None
    configuration = message.replication_configuration
    interval = configuration.heartbeat_interval
    if not (math.isfinite(interval) and interval >= 0):
        raise TabletBadAnswer(
            f"replication_configuration.heartbeat_interval is {interval}: expected seconds, 0 or more"
        )
    net_timeout = not_negative(configuration.replica_net_timeout, field="replication_configuration.replica_net_timeout")
    return interval, net_timeout


def _thread_states(message: replicationdata_pb2.Status) -> tuple[ThreadState, ThreadState]:
    if message.io_state or message.sql_state:
        return _thread_state(message.io_state, field="io_state"), _thread_state(message.sql_state, field="sql_state")
    if _has_v14_fields(message):
        return ThreadState.UNKNOWN, ThreadState.UNKNOWN
    return _thread_flag(message.io_thread_running), _thread_flag(message.sql_thread_running)


def _thread_state(number: int, *, field: str) -> ThreadState:
    try:
        return ThreadState(number)
    except ValueError:
        expected = ", ".join(f"{known.value} ({known.name.lower()})" for known in ThreadState)
        raise TabletBadAnswer(f"{field} is {number}: expected one of {expected}") from None


def _thread_flag(running: bool) -> ThreadState:
    return ThreadState.RUNNING if running else ThreadState.STOPPED


def _is_since_14(message: replicationdata_pb2.Status) -> bool:
    return bool(message.io_state or message.sql_state) or _has_v14_fields(message)


def _has_v14_fields(message: replicationdata_pb2.Status) -> bool:
    """Return whether a field that came with 14 is set; every replica of Vitess has `auto_position`, `source_user`."""
    return bool(
        message.auto_position
        or message.using_gtid
        or message.source_user
        or message.relay_log_file_position
        or message.replication_lag_unknown
        or message.last_io_error
        or message.last_sql_error
    )


def _lag(message: replicationdata_pb2.Status) -> int | None:
    """Return the seconds behind the source, None if MySQL does not know them.

    MySQL knows them only while both threads run; tablets of 12 and 13 send 0 otherwise.
    """
    if message.replication_lag_unknown:
        return None
    both_run = message.io_thread_running and message.sql_thread_running
    if not _is_since_14(message) and not both_run and message.replication_lag_seconds == 0:
        return None
    return message.replication_lag_seconds
