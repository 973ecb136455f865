"""Converts the agent's values to messages of the tabletmanager service and back.

The messages follow Vitess' field conventions of every release from 12 on.
"""

import zlib

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.proto import query_pb2, replicationdata_pb2, tabletmanagerdata_pb2, topodata_pb2
from vtorc.vttablet.errors import TabletActionError
from vtorc.vttablet.mysql_api import Fetched, PrimaryReport, ReplicaReport, ServerReport

FLAVOUR = "MySQL56/"
_FILE_FLAVOUR = "FilePos/"


def position(gtids: GtidSet) -> str:
    """Write a position in its wire form, with its flavour."""
    return f"{FLAVOUR}{gtids}"


def gtids(text: str) -> GtidSet:
    """Read a position; raises TabletActionError for another flavour, GtidParseError for an invalid GTID set."""
    if not text.startswith(FLAVOUR):
        raise TabletActionError(f"parse error: unknown GTIDSet flavor in {text!r}: this tablet's server is MySQL")
    return GtidSet.parse(text.removeprefix(FLAVOUR))


def optional_gtids(text: str) -> GtidSet | None:
    """Read a position; None if it is left out."""
    return gtids(text) if text else None


def alias(message: topodata_pb2.TabletAlias) -> TabletAlias:
    """Read a tablet alias."""
    return TabletAlias(message.cell, message.uid)


def status(report: ReplicaReport, semi_sync: SemiSyncStatus | None = None) -> replicationdata_pb2.Status:
    """Write a replication status, thread states both as flags (up to 14) and as numbers (from 14 on)."""
    message = replicationdata_pb2.Status(
        position=position(report.executed),
        relay_log_position=position(report.received),
        file_position=_file_position(report.source_executed_coordinates),
        relay_log_source_binlog_equivalent_position=_file_position(report.source_read_coordinates),
        relay_log_file_position=_file_position(report.relay_log_coordinates),
        io_thread_running=report.is_receiving,
        sql_thread_running=report.sql_state is ThreadState.RUNNING,
        io_state=report.io_state.value,
        sql_state=report.sql_state.value,
        last_io_error=report.last_io_error,
        last_sql_error=report.last_sql_error,
        source_host=report.source_host,
        source_port=report.source_port,
        source_user=report.source_user,
        source_uuid=report.source_uuid,
        source_server_id=report.source_server_id,
        connect_retry=report.connect_retry,
        replication_lag_seconds=report.lag or 0,
        replication_lag_unknown=report.lag is None,
        sql_delay=report.sql_delay or 0,
        auto_position=report.auto_position,
        using_gtid=report.auto_position,
        has_replication_filters=bool(report.has_filters),
        ssl_allowed=report.ssl_allowed,
        backup_running=report.backup_running,
    )
    if semi_sync is not None:
        message.semi_sync_primary_enabled = semi_sync.primary_enabled
        message.semi_sync_replica_enabled = semi_sync.replica_enabled
        message.semi_sync_primary_status = semi_sync.primary_active
        message.semi_sync_replica_status = semi_sync.replica_active
    return message


def primary_status(report: PrimaryReport) -> replicationdata_pb2.PrimaryStatus:
    """Write a server's status as a source."""
    return replicationdata_pb2.PrimaryStatus(
        position=position(report.executed),
        file_position=_file_position(report.coordinates),
        server_uuid=report.server_uuid,
    )


def full_status(report: ServerReport) -> replicationdata_pb2.FullStatus:
    """Write a full status; with a stalled disk it has no other field."""
    if report.disk_stalled:
        return replicationdata_pb2.FullStatus(disk_stalled=True)
    message = replicationdata_pb2.FullStatus(
        server_id=report.server_id,
        server_uuid=report.server_uuid,
        gtid_purged=position(report.purged),
        version=report.version,
        version_comment=report.version_comment,
        read_only=report.read_only,
        super_read_only=bool(report.super_read_only),
        gtid_mode=report.gtid_mode,
        binlog_format=report.binlog_format,
        binlog_row_image=report.binlog_row_image,
        log_bin_enabled=bool(report.log_bin),
        log_replica_updates=bool(report.log_replica_updates),
        semi_sync_primary_enabled=report.semi_sync.primary_enabled,
        semi_sync_replica_enabled=report.semi_sync.replica_enabled,
        semi_sync_primary_status=report.semi_sync.primary_active,
        semi_sync_replica_status=report.semi_sync.replica_active,
        semi_sync_primary_clients=report.semi_sync.primary_clients,
        semi_sync_primary_timeout=report.semi_sync.timeout,
        semi_sync_wait_for_replica_count=report.semi_sync.wait_for_replica_count,
        replication_configuration=replicationdata_pb2.Configuration(
            heartbeat_interval=report.heartbeat_interval or 0.0, replica_net_timeout=report.replica_net_timeout or 0
        ),
        disk_stalled=False,
        semi_sync_blocked=bool(report.semi_sync_blocked),
        tablet_type=topodata_pb2.TabletType.ValueType(report.tablet_type.value if report.tablet_type else 0),
    )
    if isinstance(report.replication, ReplicaReport):
        message.replication_status.CopyFrom(status(report.replication))
    if report.coordinates:
        message.primary_status.position = position(report.executed)
        message.primary_status.file_position = _file_position(report.coordinates)
        message.primary_status.server_uuid = report.server_uuid
    return message


def query_result(fetched: Fetched) -> query_pb2.QueryResult:
    """Write the result of a statement."""
    message = query_pb2.QueryResult(rows_affected=fetched.affected, insert_id=fetched.insert_id)
    for column in fetched.columns:
        message.fields.add(name=column.name, type=query_pb2.Type.ValueType(column.type))
    for row in fetched.rows:
        message.rows.add(
            lengths=[-1 if value is None else len(value) for value in row],
            values=b"".join(value for value in row if value is not None),
        )
    return message


def permissions(users: Fetched, databases: Fetched) -> tabletmanagerdata_pb2.Permissions:
    """Write the privilege tables, with a checksum in the place of each password."""
    message = tabletmanagerdata_pb2.Permissions()
    for row in _texts(users):
        secret = row.pop("authentication_string", "")
        message.user_permissions.add(
            host=row.pop("host"), user=row.pop("user"), password_checksum=zlib.crc32(secret.encode()), privileges=row
        )
    for row in _texts(databases):
        message.db_permissions.add(host=row.pop("host"), db=row.pop("db"), user=row.pop("user"), privileges=row)
    return message


def _texts(fetched: Fetched) -> list[dict[str, str]]:
    names = [column.name.lower() for column in fetched.columns]
    return [
        {name: (value or b"").decode("utf-8", "replace") for name, value in zip(names, row, strict=True)}
        for row in fetched.rows
    ]


def _file_position(coordinates: str) -> str:
    return f"{_FILE_FLAVOUR}{coordinates}" if coordinates else ""
