"""v12's ClusterInfo and ReplicationAnalysis: a shard with what is wrong in it."""

from collections import Counter

from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.forms.findings import FindingForm
from vtorc.forms.frames import StatusFrame
from vtorc.server.today.analyses import NO_PROBLEM
from vtorc.server.today.golang import ZERO_TIME
from vtorc.server.today.known import KnownTablet
from vtorc.server.today.structure import structure_warnings
from vtorc.server.today.summaries import summaries
from vtorc.server.v12 import downtime
from vtorc.server.v12.answers import GoObject, key_of, with_old_names
from vtorc.server.v12.clusters import Address, Cluster, Server
from vtorc.server.v12.instances import errant_gtids, lags, primary_semi_sync, self_coordinates

OLD_CLUSTER_NAMES = {
    "HasAutomatedPrimaryRecovery": "HasAutomatedMasterRecovery",
    "HasAutomatedIntermediatePrimaryRecovery": "HasAutomatedIntermediateMasterRecovery",
}
"""The renamed fields of ClusterInfo."""

OLD_ANALYSIS_NAMES = {
    "AnalyzedInstancePrimaryKey": "AnalyzedInstanceMasterKey",
    "PrimaryTimeStamp": "MasterTimeStamp",
    "IsPrimary": "IsMaster",
    "IsClusterPrimary": "IsClusterMaster",
    "IsCoPrimary": "IsCoMaster",
    "CountReplicasFailingToConnectToPrimary": "CountReplicasFailingToConnectToMaster",
    "Replicas": "SlaveHosts",
    "IsFailingToConnectToPrimary": "IsFailingToConnectToMaster",
    "SemiSyncPrimaryEnabled": "SemiSyncMasterEnabled",
    "SemiSyncPrimaryStatus": "SemiSyncMasterStatus",
    "SemiSyncPrimaryWaitForReplicaCount": "SemiSyncMasterWaitForReplicaCount",
    "SemiSyncPrimaryClients": "SemiSyncMasterClients",
}
"""The renamed fields of ReplicationAnalysis."""


def cluster_info(cluster: Cluster, status: StatusFrame | None) -> GoObject:
    """Return the ClusterInfo of a shard; `status` tells whether lost primaries are replaced."""
    replaces = status is not None and status.recoveries_allowed and status.emergency_reparents_allowed
    is_held = any(Effect.NO_FAILOVER.value in hold.effects for hold in cluster.shard.holds)
    return cluster_details(
        cluster.name,
        cluster.alias,
        len(cluster.servers),
        replaces=replaces and cluster.shard.controlled and not is_held,
    )


def cluster_details(name: str, alias: str, count: int = 0, *, replaces: bool = False) -> GoObject:
    """Return a ClusterInfo of these values; `replaces` is whether a lost primary is replaced."""
    made: GoObject = {
        "ClusterName": name,
        "ClusterAlias": alias,
        "ClusterDomain": "",
        "CountInstances": count,
        "HeuristicLag": 0,
        "HasAutomatedPrimaryRecovery": replaces,
        "HasAutomatedIntermediatePrimaryRecovery": False,
    }
    return with_old_names(made, OLD_CLUSTER_NAMES)


def analyses(cluster: Cluster, status: StatusFrame | None) -> list[GoObject]:
    """Return a ReplicationAnalysis for each finding of a shard, most urgent first, then what is told beside them.

    That is each code that sums up a server and its replicas, and each server with nothing but structure warnings.
    """
    found = [analysis(cluster, finding, status) for finding in cluster.shard.findings]
    for server in cluster.servers:
        own = {each.code for each in cluster.shard.findings if each.tablet == server.tablet.alias}
        summed_up = summaries(_known(server), own)
        found += [_entry(cluster, server, each.code, each.description, status) for each in summed_up]
        if not own and not summed_up and _warnings(server):
            found.append(_entry(cluster, server, NO_PROBLEM, "", status))
    return found


def analysis(cluster: Cluster, finding: FindingForm, status: StatusFrame | None) -> GoObject:
    """Return the ReplicationAnalysis of one finding; one of the whole shard is told of its primary."""
    server = cluster.server(finding.tablet) if finding.tablet is not None else cluster.primary
    return _entry(cluster, server, finding.code, finding.problem, status, acts=finding.acts)


def _entry(
    cluster: Cluster,
    server: Server | None,
    code: str,
    description: str,
    status: StatusFrame | None,
    *,
    acts: bool = False,
) -> GoObject:
    replicas = [other for other in cluster.servers if server is not None and other.source == server.address]
    return analysis_entry(
        address=server.address if server is not None else Address.parse(cluster.name),
        code=code,
        description=description,
        cluster=cluster_info(cluster, status),
        alias=cluster.alias,
        details={
            **(_of_server(server) if server is not None else {}),
            **_of_replicas(replicas),
            "IsActionableRecovery": acts,
        },
    )


def _known(server: Server) -> KnownTablet:
    return KnownTablet(server.shard, server.tablet, server.limits)


def _warnings(server: Server) -> list[str]:
    known = _known(server)
    return structure_warnings(known) if known.is_analysed else []


def analysis_entry(
    *, address: Address, code: str, description: str, cluster: GoObject, alias: str, details: GoObject
) -> GoObject:
    """Return a ReplicationAnalysis; `details` are the fields that are known beside the others."""
    made: GoObject = {
        **_UNKNOWN,
        "AnalyzedInstanceKey": key_of(address),
        "SuggestedClusterAlias": alias,
        "ClusterDetails": cluster,
        "Analysis": code,
        "Description": description,
        **details,
    }
    return with_old_names(made, OLD_ANALYSIS_NAMES)


def _of_server(server: Server) -> GoObject:
    tablet, replication = server.tablet, server.tablet.replication
    return {
        "AnalyzedInstancePrimaryKey": key_of(server.source),
        "TabletType": TabletType[tablet.type].value,
        "PrimaryTimeStamp": tablet.term_start or ZERO_TIME,
        "AnalyzedInstanceDataCenter": tablet.cell,
        "AnalyzedInstanceBinlogCoordinates": self_coordinates(tablet.mysql),
        "IsPrimary": not server.is_replica,
        "IsClusterPrimary": tablet.is_primary,
        "LastCheckValid": server.is_valid,
        "LastCheckPartialSuccess": server.is_valid,
        "ReplicationDepth": server.depth,
        "IsFailingToConnectToPrimary": _fails_to_connect(server),
        "ReplicationStopped": replication is not None
        and server.is_replica
        and "stopped" in (replication.io_thread, replication.sql_thread),
        "StructureAnalysis": _warnings(server),
        **primary_semi_sync(tablet.semi_sync),
        "SemiSyncReplicaEnabled": tablet.semi_sync is not None and tablet.semi_sync.acknowledges is True,
        "GTIDMode": tablet.mysql.gtid_mode if tablet.mysql is not None else "",
        "IsReadOnly": tablet.read_only is True,
        **downtime.analysis_fields(server),
    }


def _of_replicas(replicas: list[Server]) -> GoObject:
    valid = [replica for replica in replicas if replica.is_valid]
    logging = [replica for replica in valid if _logs_updates(replica)]
    formats = Counter(replica.tablet.mysql.binlog_format for replica in logging if replica.tablet.mysql is not None)
    modes = sorted(replica.tablet.mysql.gtid_mode for replica in valid if replica.tablet.mysql is not None)
    versions = {tuple(replica.tablet.version.split(".")[:2]) for replica in logging}
    return {
        "CountReplicas": len(replicas),
        "CountDowntimedReplicas": sum(downtime.downtime_of(replica) is not None for replica in replicas),
        "CountValidReplicas": len(valid),
        "CountValidReplicatingReplicas": sum(replica.replicates for replica in valid),
        "CountReplicasFailingToConnectToPrimary": sum(map(_fails_to_connect, valid)),
        "Replicas": [key_of(address) for address in sorted(replica.address for replica in replicas)],
        "OracleGTIDImmediateTopology": bool(valid) and all(map(_uses_gtid, valid)),
        "CountSemiSyncReplicasEnabled": sum(
            replica.tablet.semi_sync is not None and replica.tablet.semi_sync.acknowledges is True for replica in valid
        ),
        "CountLoggingReplicas": len(logging),
        "CountStatementBasedLoggingReplicas": formats["STATEMENT"],
        "CountMixedBasedLoggingReplicas": formats["MIXED"],
        "CountRowBasedLoggingReplicas": formats["ROW"],
        "CountDistinctMajorVersionsLoggingReplicas": len(versions),
        "CountDelayedReplicas": sum(replica.delay > 0 for replica in valid),
        "CountLaggingReplicas": sum(map(lags, valid)),
        "MinReplicaGTIDMode": modes[0] if modes else "",
        "MaxReplicaGTIDMode": modes[-1] if modes else "",
        "MaxReplicaGTIDErrant": max(map(errant_gtids, valid), default=""),
    }


def _logs_updates(server: Server) -> bool:
    mysql = server.tablet.mysql
    return mysql is not None and mysql.binlog_enabled is True and mysql.binlog_has_replicated is True


def _uses_gtid(server: Server) -> bool:
    return server.tablet.replication is not None and server.tablet.replication.auto_position


def _fails_to_connect(server: Server) -> bool:
    replication = server.tablet.replication
    return replication is not None and replication.io_thread == "connecting" and bool(replication.io_error)


_UNKNOWN: GoObject = {
    "AnalyzedInstanceKey": key_of(None),
    "AnalyzedInstancePrimaryKey": key_of(None),
    "TabletType": 0,
    "PrimaryTimeStamp": ZERO_TIME,
    "SuggestedClusterAlias": "",
    "ClusterDetails": cluster_details("", ""),
    "AnalyzedInstanceDataCenter": "",
    "AnalyzedInstanceRegion": "",
    "AnalyzedInstancePhysicalEnvironment": "",
    "AnalyzedInstanceBinlogCoordinates": self_coordinates(None),
    "IsPrimary": False,
    "IsClusterPrimary": False,
    "IsCoPrimary": False,
    "LastCheckValid": False,
    "LastCheckPartialSuccess": False,
    "CountReplicas": 0,
    "CountValidReplicas": 0,
    "CountValidReplicatingReplicas": 0,
    "CountReplicasFailingToConnectToPrimary": 0,
    "CountDowntimedReplicas": 0,
    "ReplicationDepth": 0,
    "Replicas": [],
    "IsFailingToConnectToPrimary": False,
    "ReplicationStopped": False,
    "Analysis": NO_PROBLEM,
    "Description": "",
    "StructureAnalysis": [],
    "IsDowntimed": False,
    "IsReplicasDowntimed": False,
    "DowntimeEndTimestamp": "",
    "DowntimeRemainingSeconds": 0,
    "IsBinlogServer": False,
    "OracleGTIDImmediateTopology": False,
    "MariaDBGTIDImmediateTopology": False,
    "BinlogServerImmediateTopology": False,
    **primary_semi_sync(None),
    "SemiSyncReplicaEnabled": False,
    "CountSemiSyncReplicasEnabled": 0,
    "CountLoggingReplicas": 0,
    "CountStatementBasedLoggingReplicas": 0,
    "CountMixedBasedLoggingReplicas": 0,
    "CountRowBasedLoggingReplicas": 0,
    "CountDistinctMajorVersionsLoggingReplicas": 0,
    "CountDelayedReplicas": 0,
    "CountLaggingReplicas": 0,
    "IsActionableRecovery": False,
    "ProcessingNodeHostname": "",
    "ProcessingNodeToken": "",
    "CountAdditionalAgreeingNodes": 0,
    "StartActivePeriod": "",
    "SkippableDueToDowntime": False,
    "GTIDMode": "",
    "MinReplicaGTIDMode": "",
    "MaxReplicaGTIDMode": "",
    "MaxReplicaGTIDErrant": "",
    "CommandHint": "",
    "IsReadOnly": False,
}
"""All fields of a ReplicationAnalysis, with Go's zero values."""
