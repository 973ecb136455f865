"""A row of Vitess' table `database_instance`: one MySQL server as its tablet told of it; None is null."""

from collections.abc import Mapping

from vtorc.core.facts.ids import TabletType
from vtorc.server.today.golang import number, sql_time
from vtorc.server.today.instances import ancestry, source_address, thread_state
from vtorc.server.today.known import KnownTablet
from vtorc.server.today.structure import major_version

Row = Mapping[str, object]


def instance_row(known: KnownTablet) -> Row:
    """Return the row of a tablet that has answered once."""
    return {**_identity(known), **_mysql(known), **_replication(known), **_semi_sync(known)}


def _identity(known: KnownTablet) -> Row:
    tablet = known.tablet
    latency = tablet.answer_seconds
    return {
        "alias": tablet.alias,
        "hostname": tablet.mysql_host,
        "port": tablet.mysql_port,
        "tablet_type": TabletType[tablet.current_type or tablet.type].value,
        "cell": tablet.cell,
        "last_checked": sql_time(tablet.asked_at),
        "last_seen": sql_time(known.seen_at),
        "last_attempted_check": sql_time(tablet.asked_at),
        "last_check_partial_success": known.is_valid,
        "last_discovery_latency": None if latency is None else round(latency * 1e9),
        "version": tablet.version,
        "major_version": major_version(tablet.version),
        "server_uuid": tablet.server_uuid,
        "read_only": tablet.read_only,
        "executed_gtid_set": known.gtid.executed,
        "gtid_errant": known.gtid.errant,
    }


def _mysql(known: KnownTablet) -> Row:
    mysql = known.mysql
    if mysql is None:
        return {}
    return {
        "server_id": mysql.server_id,
        "version_comment": mysql.version_comment,
        "binlog_format": mysql.binlog_format,
        "binlog_row_image": mysql.binlog_row_image,
        "log_bin": mysql.binlog_enabled,
        "log_replica_updates": mysql.binlog_has_replicated,
        "binary_log_file": mysql.binlog_file,
        "binary_log_pos": mysql.binlog_position,
        "binlog_server": False,
        "replica_net_timeout": mysql.replica_net_timeout,
        "heartbeat_interval": None if mysql.heartbeat_interval is None else number(mysql.heartbeat_interval),
        "gtid_mode": mysql.gtid_mode,
        "supports_oracle_gtid": mysql.gtid_mode == "ON",
        "gtid_purged": mysql.purged,
        "semi_sync_blocked": mysql.semi_sync_blocked,
        "is_disk_stalled": mysql.disk_stalled,
    }


def _replication(known: KnownTablet) -> Row:
    replication = known.replication
    host, port = source_address(known)
    return {
        "source_host": host,
        "source_port": port,
        "source_uuid": replication.source_uuid,
        "ancestry_uuid": ancestry(known),
        "replication_depth": len(known.sources),
        "is_co_primary": known.is_co_primary,
        "replica_sql_running": replication.sql_thread == "running",
        "replica_io_running": replication.io_thread == "running",
        "replication_sql_thread_state": thread_state(replication.sql_thread),
        "replication_io_thread_state": thread_state(replication.io_thread),
        "source_log_file": replication.read_file,
        "read_source_log_pos": replication.read_position,
        "relay_source_log_file": None,
        "exec_source_log_pos": None,
        "relay_log_file": None,
        "relay_log_pos": None,
        "replication_lag_seconds": replication.lag_seconds,
        "replica_lag_seconds": replication.lag_seconds,
        "sql_delay": replication.delay_seconds,
        "last_sql_error": replication.sql_error,
        "last_io_error": replication.io_error,
        "oracle_gtid": replication.auto_position,
        "has_replication_filters": replication.has_filters,
        "has_replication_credentials": replication.has_user,
        "allow_tls": None,
    }


def _semi_sync(known: KnownTablet) -> Row:
    told = known.semi_sync
    return {
        "semi_sync_enforced": None,
        "semi_sync_primary_enabled": told.waits,
        "semi_sync_replica_enabled": told.acknowledges,
        "semi_sync_primary_timeout": told.timeout_ms,
        "semi_sync_primary_wait_for_replica_count": told.wait_for_replica_count,
        "semi_sync_primary_status": told.is_waiting,
        "semi_sync_primary_clients": told.clients,
        "semi_sync_replica_status": told.is_acknowledging,
    }
