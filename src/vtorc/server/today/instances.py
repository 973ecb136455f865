"""An Instance of today's API: one MySQL server as its tablet told of it."""

from collections.abc import Mapping

from vtorc.core.facts.ids import TabletType
from vtorc.server.today.golang import number, sql_time
from vtorc.server.today.known import RECENT_POLLS, KnownTablet

_THREADS = {"running": 1, "stopped": 0, "connecting": 2}
"""Thread states by Vitess' numbers; -1 stands for no thread."""
NO_THREAD = -1
_BINARY_LOG, _RELAY_LOG = 0, 1


def instance(known: KnownTablet) -> dict[str, object]:
    """Return the Instance of a tablet that has answered once."""
    return {**_identity(known), **_server(known), **_replication(known), **_semi_sync(known), **_checks(known)}


def is_problem(known: KnownTablet) -> bool:
    """Return whether `/api/problems` lists the tablet."""
    if known.is_ignored:
        return False
    threads = (known.replication.io_thread, known.replication.sql_thread)
    halted = known.has_source and any(thread_state(thread) not in (NO_THREAD, 1) for thread in threads)
    return not known.is_valid or halted or known.is_lagging or bool(known.gtid.errant)


def thread_state(thread: str) -> int:
    """Return Vitess' number of a thread's state."""
    return _THREADS.get(thread, NO_THREAD)


def source_address(known: KnownTablet) -> tuple[str, int]:
    """Return host and port of the server that the tablet replicates from; empty and 0 without one."""
    host, _, port = known.replication.source.rpartition(":")
    return (host, int(port)) if known.has_source else ("", 0)


def ancestry(known: KnownTablet) -> str:
    """Return the server_uuids from the first source down to the tablet's own, joined by commas."""
    line = [each.tablet.server_uuid for each in (known, *known.sources)]
    return ",".join(uuid for uuid in reversed(line) if uuid)


def flavor(version_comment: str) -> str:
    """Return the name of the flavour."""
    return "Percona" if "percona" in version_comment.lower() else "MySQL"


def coordinates(file: str | None, position: int | None, *, relay: bool = False) -> dict[str, object]:
    """Return a place in a binary or relay log; empty and 0 if it is not known."""
    return {"LogFile": file or "", "LogPos": position or 0, "Type": _RELAY_LOG if relay else _BINARY_LOG}


def nullable(value: float | None) -> dict[str, object]:
    """Return a whole number that may be unknown, as Go's `sql.NullInt64`."""
    return {"Int64": int(value or 0), "Valid": value is not None}


def _identity(known: KnownTablet) -> Mapping[str, object]:
    tablet = known.tablet
    return {
        "Hostname": tablet.mysql_host,
        "Port": tablet.mysql_port,
        "InstanceAlias": tablet.alias,
        "TabletType": TabletType[tablet.type].value,
        "Cell": tablet.cell,
        "ServerUUID": tablet.server_uuid,
        "Version": tablet.version,
        "ReadOnly": bool(tablet.read_only),
        "ExecutedGtidSet": known.gtid.executed,
        "GtidErrant": known.gtid.errant,
    }


def _server(known: KnownTablet) -> Mapping[str, object]:
    mysql = known.mysql
    if mysql is None:
        return {}
    return {
        "ServerID": mysql.server_id,
        "VersionComment": mysql.version_comment,
        "FlavorName": flavor(mysql.version_comment),
        "BinlogFormat": mysql.binlog_format,
        "BinlogRowImage": mysql.binlog_row_image,
        "LogBinEnabled": bool(mysql.binlog_enabled),
        "LogReplicationUpdatesEnabled": bool(mysql.binlog_has_replicated),
        "SelfBinlogCoordinates": coordinates(mysql.binlog_file, mysql.binlog_position),
        "ReplicaNetTimeout": mysql.replica_net_timeout or 0,
        "HeartbeatInterval": number(mysql.heartbeat_interval),
        "GTIDMode": mysql.gtid_mode,
        "SupportsOracleGTID": mysql.gtid_mode == "ON",
        "GtidPurged": mysql.purged,
        "SemiSyncBlocked": bool(mysql.semi_sync_blocked),
        "StalledDisk": bool(mysql.disk_stalled),
    }


def _replication(known: KnownTablet) -> Mapping[str, object]:
    replication = known.replication
    host, port = source_address(known)
    return {
        "SourceHost": host,
        "SourcePort": port,
        "SourceUUID": replication.source_uuid,
        "AncestryUUID": ancestry(known),
        "ReplicationSQLThreadRuning": replication.sql_thread == "running",
        "ReplicationIOThreadRuning": replication.io_thread == "running",
        "ReplicationSQLThreadState": thread_state(replication.sql_thread),
        "ReplicationIOThreadState": thread_state(replication.io_thread),
        "HasReplicationFilters": bool(replication.has_filters),
        "UsingOracleGTID": replication.auto_position,
        "ReadBinlogCoordinates": coordinates(replication.read_file, replication.read_position),
        "ExecBinlogCoordinates": coordinates(None, None),
        "IsDetached": host.startswith("//"),
        "RelaylogCoordinates": coordinates(None, None, relay=True),
        "LastSQLError": replication.sql_error,
        "LastIOError": replication.io_error,
        "SecondsBehindPrimary": nullable(replication.lag_seconds),
        "SQLDelay": replication.delay_seconds or 0,
        "ReplicationLagSeconds": nullable(replication.lag_seconds),
        "ReplicationDepth": len(known.sources),
        "IsCoPrimary": known.is_co_primary,
        "HasReplicationCredentials": replication.has_user,
        "AllowTLS": False,
    }


def _semi_sync(known: KnownTablet) -> Mapping[str, object]:
    told = known.semi_sync
    return {
        "SemiSyncEnforced": False,
        "SemiSyncPrimaryEnabled": bool(told.waits),
        "SemiSyncReplicaEnabled": bool(told.acknowledges),
        "SemiSyncPrimaryTimeout": told.timeout_ms or 0,
        "SemiSyncPrimaryWaitForReplicaCount": told.wait_for_replica_count or 0,
        "SemiSyncPrimaryStatus": bool(told.is_waiting),
        "SemiSyncPrimaryClients": told.clients or 0,
        "SemiSyncReplicaStatus": bool(told.is_acknowledging),
    }


def _checks(known: KnownTablet) -> Mapping[str, object]:
    tablet = known.tablet
    return {
        "LastSeenTimestamp": sql_time(known.seen_at) or "",
        "IsLastCheckValid": known.is_valid,
        "IsUpToDate": known.was_checked_within(known.limits.poll),
        "IsRecentlyChecked": known.was_checked_within(RECENT_POLLS * known.limits.poll),
        "SecondsSinceLastSeen": nullable(known.seconds_since_seen),
        "Problems": _problems(known),
        "LastDiscoveryLatency": round((tablet.answer_seconds or 0) * 1e9),
    }


def _problems(known: KnownTablet) -> list[str]:
    checks = {
        "last_check_invalid": not known.is_valid,
        "not_recently_checked": not known.was_checked_within(RECENT_POLLS * known.limits.poll),
        "not_replicating": known.has_source and not known.is_replicating,
        "replication_lag": known.is_lagging,
    }
    first = next((name for name, holds in checks.items() if holds), None)
    return [name for name in (first, "errant_gtid" if known.gtid.errant else None) if name is not None]
