"""v12's Instance: a tablet with its MySQL, in Go's field names, old and new."""

from vtorc.core.facts.ids import TabletType
from vtorc.forms.mysql import MysqlForm
from vtorc.forms.tablet import ReplicationForm, SemiSyncForm
from vtorc.server.v12 import downtime
from vtorc.server.v12.answers import GoObject, go_time, key_of, nullable, with_old_names
from vtorc.server.v12.clusters import Server, alias_of
from vtorc.server.v12.downtime import registered_rule

POLL_SECONDS = 5
"""InstancePollSeconds, by which v12 told a fresh answer from an old one."""

OLD_NAMES = {
    "SourceKey": "MasterKey",
    "SourceUUID": "MasterUUID",
    "IsDetachedPrimary": "IsDetachedMaster",
    "SecondsBehindPrimary": "SecondsBehindMaster",
    "IsCoPrimary": "IsCoMaster",
    "Replicas": "SlaveHosts",
    "ReplicationLagSeconds": "SlaveLagSeconds",
    "LogReplicationUpdatesEnabled": "LogSlaveUpdatesEnabled",
    "ReplicationSQLThreadRuning": "Slave_SQL_Running",
    "ReplicationIOThreadRuning": "Slave_IO_Running",
    "SemiSyncPrimaryEnabled": "SemiSyncMasterEnabled",
    "SemiSyncPrimaryTimeout": "SemiSyncMasterTimeout",
    "SemiSyncPrimaryWaitForReplicaCount": "SemiSyncMasterWaitForReplicaCount",
    "SemiSyncPrimaryStatus": "SemiSyncMasterStatus",
    "SemiSyncPrimaryClients": "SemiSyncMasterClients",
}
"""Fields that Vitess renamed, each with the name that orchestrator and Vitess 11 gave it."""

_THREAD_STATES = {"running": 1, "stopped": 0}
_OTHER_THREAD_STATE = 2
_NO_THREAD = -1

_FLAVORS = ("Percona", "MySQL")


def instance(server: Server, silence: float = 0.0) -> GoObject:
    """Return the Instance of a server, `silence` seconds after vtorc was heard last."""
    made: GoObject = {
        **_identity(server),
        **_binary_logs(server.tablet.mysql),
        **_replication(server),
        **_gtid(server),
        **_lag(server),
        **_place(server),
        **_semi_sync(server),
        **_checks(server, silence),
        **_promotion(server),
        "Problems": problems(server, silence),
        **_NO_GROUP,
    }
    return with_old_names(made, OLD_NAMES)


def problems(server: Server, silence: float = 0.0) -> list[str]:
    """Return what v12 calls the problems of an instance: the first thing wrong with its replication, errant GTIDs."""
    found = [problem] if (problem := _first_problem(server, silence)) is not None else []
    return found + (["errant_gtid"] if errant_gtids(server) else [])


def errant_gtids(server: Server) -> str:
    """Return the errant transactions of a server as MySQL writes them; empty if there are none."""
    return server.tablet.gtid.errant if server.tablet.gtid is not None else ""


def is_recently_checked(server: Server, silence: float = 0.0) -> bool:
    """Return whether the last question to it was over a short while ago."""
    return _checked_within(server, 5 * POLL_SECONDS, silence)


def lags(server: Server) -> bool:
    """Return whether it is further behind than it should be."""
    return server.lag is not None and abs(server.lag - server.delay) > server.limits.lag


def promotion_rule(server: Server) -> str:
    """Return the rule that operators gave a server, or by which v12's durability policies promote one of its type."""
    if (registered := registered_rule(server)) is not None:
        return registered
    return "neutral" if server.tablet.type in (TabletType.PRIMARY.name, TabletType.REPLICA.name) else "must_not"


def _first_problem(server: Server, silence: float) -> str | None:
    if not server.is_valid:
        return "last_check_invalid"
    if not is_recently_checked(server, silence):
        return "not_recently_checked"
    if server.is_replica and not server.replicates:
        return "not_replicating"
    return "replication_lag" if lags(server) else None


def _checked_within(server: Server, seconds: int, silence: float) -> bool:
    age = server.seconds_since(server.tablet.asked_at)
    return age is not None and age + silence <= seconds


def _identity(server: Server) -> GoObject:
    tablet, mysql = server.tablet, server.tablet.mysql
    comment = mysql.version_comment if mysql is not None else ""
    return {
        "Key": key_of(server.address),
        "InstanceAlias": tablet.alias,
        "Uptime": 0,
        "ServerID": mysql.server_id if mysql is not None else 0,
        "ServerUUID": tablet.server_uuid,
        "Version": tablet.version,
        "VersionComment": comment,
        "FlavorName": next((flavor for flavor in _FLAVORS if flavor.lower() in comment.lower()), "unknown"),
        "ReadOnly": tablet.read_only is True,
    }


def _binary_logs(mysql: MysqlForm | None) -> GoObject:
    return {
        "Binlog_format": mysql.binlog_format if mysql is not None else "",
        "BinlogRowImage": mysql.binlog_row_image if mysql is not None else "",
        "LogBinEnabled": mysql is not None and mysql.binlog_enabled is True,
        "LogReplicationUpdatesEnabled": mysql is not None and mysql.binlog_has_replicated is True,
        "SelfBinlogCoordinates": self_coordinates(mysql),
    }


def self_coordinates(mysql: MysqlForm | None) -> GoObject:
    """Return where the binary log of a server ends, as v12's coordinates."""
    return _coordinates(mysql.binlog_file, mysql.binlog_position) if mysql is not None else _coordinates()


def _coordinates(file: str | None = None, position: int | None = None, *, is_relay: bool = False) -> GoObject:
    return {"LogFile": file or "", "LogPos": position or 0, "Type": int(is_relay)}


def _replication(server: Server) -> GoObject:
    replication = server.tablet.replication
    source_uuid = replication.source_uuid if replication is not None else ""
    return {
        "SourceKey": key_of(server.source),
        "SourceUUID": source_uuid,
        "AncestryUUID": ",".join(uuid for uuid in (source_uuid, server.tablet.server_uuid) if uuid),
        "IsDetachedPrimary": False,
        "ReplicationSQLThreadRuning": _thread_runs(replication, "sql"),
        "ReplicationIOThreadRuning": _thread_runs(replication, "io"),
        "ReplicationSQLThreadState": _thread_state(server, replication, "sql"),
        "ReplicationIOThreadState": _thread_state(server, replication, "io"),
        "HasReplicationFilters": replication is not None and replication.has_filters is True,
        "ReadBinlogCoordinates": _coordinates(replication.read_file, replication.read_position)
        if replication is not None
        else _coordinates(),
        "ExecBinlogCoordinates": _coordinates(),
        "IsDetached": False,
        "RelaylogCoordinates": _coordinates(is_relay=True),
        "LastSQLError": replication.sql_error if replication is not None else "",
        "LastIOError": replication.io_error if replication is not None else "",
    }


def _thread(replication: ReplicationForm, name: str) -> str:
    return replication.sql_thread if name == "sql" else replication.io_thread


def _thread_runs(replication: ReplicationForm | None, name: str) -> bool:
    return replication is not None and _thread(replication, name) == "running"


def _thread_state(server: Server, replication: ReplicationForm | None, name: str) -> int:
    if replication is None or not server.is_replica:
        return _NO_THREAD
    return _THREAD_STATES.get(_thread(replication, name), _OTHER_THREAD_STATE)


def _gtid(server: Server) -> GoObject:
    tablet, mysql, replication = server.tablet, server.tablet.mysql, server.tablet.replication
    mode = mysql.gtid_mode if mysql is not None else ""
    return {
        "UsingOracleGTID": replication is not None and replication.auto_position,
        "UsingMariaDBGTID": False,
        "UsingPseudoGTID": False,
        "GTIDMode": mode,
        "SupportsOracleGTID": mode.upper() == "ON",
        "ExecutedGtidSet": tablet.gtid.executed if tablet.gtid is not None else "",
        "GtidPurged": mysql.purged if mysql is not None else "",
        "GtidErrant": errant_gtids(server),
    }


def _lag(server: Server) -> GoObject:
    return {
        "SecondsBehindPrimary": nullable(server.lag),
        "ReplicationLagSeconds": nullable(server.lag),
        "SQLDelay": server.delay,
        "AllowTLS": False,
    }


def _place(server: Server) -> GoObject:
    replication = server.tablet.replication
    return {
        "Replicas": [key_of(address) for address in server.replicas],
        "ClusterName": server.cluster_name,
        "SuggestedClusterAlias": alias_of(server.shard.name),
        "DataCenter": server.tablet.cell,
        "Region": "",
        "PhysicalEnvironment": "",
        "ReplicationDepth": server.depth,
        "IsCoPrimary": False,
        "HasReplicationCredentials": replication is not None and replication.has_user,
        "ReplicationCredentialsAvailable": False,
    }


def _semi_sync(server: Server) -> GoObject:
    told = server.tablet.semi_sync
    return {
        "SemiSyncAvailable": told is not None,
        "SemiSyncEnforced": server.shard.acks is not None and server.shard.acks.needed > 0,
        **primary_semi_sync(told),
        "SemiSyncReplicaEnabled": told is not None and told.acknowledges is True,
        "SemiSyncPrimaryTimeout": (told.timeout_ms or 0) if told is not None else 0,
        "SemiSyncReplicaStatus": told is not None and told.is_acknowledging is True,
    }


def primary_semi_sync(told: SemiSyncForm | None) -> GoObject:
    """Return how a server waits for acknowledgements, in the fields that Instance and ReplicationAnalysis share."""
    return {
        "SemiSyncPrimaryEnabled": told is not None and told.waits is True,
        "SemiSyncPrimaryStatus": told is not None and told.is_waiting is True,
        "SemiSyncPrimaryWaitForReplicaCount": (told.wait_for_replica_count or 0) if told is not None else 0,
        "SemiSyncPrimaryClients": (told.clients or 0) if told is not None else 0,
    }


def _checks(server: Server, silence: float) -> GoObject:
    tablet = server.tablet
    seen = server.seconds_since(tablet.answered_at)
    return {
        "LastSeenTimestamp": go_time(tablet.answered_at),
        "SecondsSinceLastSeen": nullable(int(seen + silence) if seen is not None else None),
        "IsLastCheckValid": server.is_valid,
        "IsUpToDate": _checked_within(server, POLL_SECONDS, silence),
        "IsRecentlyChecked": is_recently_checked(server, silence),
        "LastDiscoveryLatency": int((tablet.answer_seconds or 0.0) * 1e9),
        "CountMySQLSnapshots": 0,
        "UnresolvedHostname": "",
    }


def _promotion(server: Server) -> GoObject:
    return {
        "IsCandidate": registered_rule(server) == "prefer",
        "PromotionRule": promotion_rule(server),
        **downtime.instance_fields(server),
    }


_NO_GROUP: GoObject = {
    "ReplicationGroupName": "",
    "ReplicationGroupIsSinglePrimary": False,
    "ReplicationGroupMemberState": "",
    "ReplicationGroupMemberRole": "",
    "ReplicationGroupMembers": [],
    "ReplicationGroupPrimaryInstanceKey": key_of(None),
}
"""Group replication, which Vitess does not use."""
