"""A DetectionAnalysis of today's API: a tablet with its problems and warnings."""

from collections.abc import Iterator, Mapping, Sequence

from vtorc.core.facts.ids import TabletType
from vtorc.forms.findings import SEVERITIES, FindingForm
from vtorc.server.memory import ServerMemory
from vtorc.server.today.golang import go_time, number
from vtorc.server.today.instances import coordinates
from vtorc.server.today.known import KnownTablet, findings_by_tablet, known_tablets, watched_shards
from vtorc.server.today.structure import (
    gtid_modes,
    logging_replicas,
    major_versions,
    structure_warnings,
    uses_gtids,
    with_format,
)
from vtorc.server.today.summaries import Summary, summaries

NO_PROBLEM = "NoProblem"
"""Vitess' code of a tablet that has nothing wrong with it."""
NO_ALIAS = "<nil>"
"""A tablet alias that is missing, as Vitess writes it."""


def analyses(memory: ServerMemory, keyspace: str = "", shard: str = "") -> Iterator[dict[str, object]]:
    """Yield the analysis of each tablet that has a problem or a structure warning."""
    told = {form.name: findings_by_tablet(form) for form in watched_shards(memory, keyspace, shard)}
    for known in known_tablets(memory, keyspace, shard):
        findings = told[known.shard.name].get(known.tablet.alias, [])
        warnings = structure_warnings(known) if known.is_analysed else []
        matched = [*map(_matched, findings), *map(_summed_up, summaries(known, {each.code for each in findings}))]
        if matched or warnings:
            yield _analysis(known, matched, warnings)


def _analysis(known: KnownTablet, matched: Sequence[Mapping[str, object]], warnings: list[str]) -> dict[str, object]:
    first = matched[0] if matched else {"Analysis": NO_PROBLEM, "Description": ""}
    return {
        **_identity(known),
        **_mysql(known),
        **_replicas(known),
        "Analysis": first["Analysis"],
        "AnalysisMatchedProblems": matched,
        "Description": first["Description"],
        "StructureAnalysis": warnings,
        # Vitess sets both only while a recovery runs, so its API shows these.
        "IsActionableRecovery": False,
        "RecoveryId": 0,
    }


def _matched(finding: FindingForm) -> Mapping[str, object]:
    return {
        "Analysis": finding.code,
        "Description": finding.problem,
        "Priority": SEVERITIES.index(finding.severity),
    }


def _summed_up(summary: Summary) -> Mapping[str, object]:
    return {"Analysis": summary.code, "Description": summary.description, "Priority": summary.priority}


def _identity(known: KnownTablet) -> Mapping[str, object]:
    shard, tablet = known.shard, known.tablet
    return {
        "AnalyzedInstanceAlias": tablet.alias,
        "AnalyzedInstancePrimaryAlias": known.replication.source_tablet or NO_ALIAS,
        "TabletType": TabletType[tablet.type].value,
        "CurrentTabletType": TabletType[tablet.current_type or "UNKNOWN"].value,
        "PrimaryTimeStamp": go_time(tablet.term_start),
        "AnalyzedKeyspace": shard.keyspace,
        "AnalyzedShard": shard.shard,
        "AnalyzedKeyspaceEmergencyReparentDisabled": shard.keyspace_forbids_emergency_reparent,
        "AnalyzedShardEmergencyReparentDisabled": shard.forbids_emergency_reparent,
        "ShardPrimaryTermTimestamp": go_time(shard.term_start),
        "IsPrimary": known.mysql is not None and not known.has_source,
        "IsClusterPrimary": tablet.is_primary,
        "LastCheckValid": known.is_valid,
        "PrimaryHealthUnhealthy": tablet.is_primary and tablet.reach == "fails",
        "LastCheckPartialSuccess": known.is_valid,
    }


def _mysql(known: KnownTablet) -> Mapping[str, object]:
    mysql, told = known.mysql, known.semi_sync
    return {
        "AnalyzedInstanceBinlogCoordinates": coordinates(
            mysql.binlog_file if mysql is not None else None,
            mysql.binlog_position if mysql is not None else None,
        ),
        "ReplicationStopped": known.has_source and not known.is_replicating,
        "ErrantGTID": known.gtid.errant,
        "ReplicaNetTimeout": (mysql.replica_net_timeout or 0) if mysql is not None else 0,
        "HeartbeatInterval": number(mysql.heartbeat_interval if mysql is not None else None),
        "SemiSyncPrimaryEnabled": bool(told.waits),
        "SemiSyncPrimaryStatus": bool(told.is_waiting),
        "SemiSyncPrimaryWaitForReplicaCount": told.wait_for_replica_count or 0,
        "SemiSyncPrimaryClients": told.clients or 0,
        "SemiSyncReplicaEnabled": bool(told.acknowledges),
        "SemiSyncBlocked": mysql is not None and bool(mysql.semi_sync_blocked),
        "GTIDMode": mysql.gtid_mode if mysql is not None else "",
        "IsReadOnly": bool(known.tablet.read_only),
        "IsDiskStalled": mysql is not None and bool(mysql.disk_stalled),
    }


def _replicas(known: KnownTablet) -> Mapping[str, object]:
    valid = known.valid_replicas
    replicating = [replica for replica in valid if replica.is_replicating]
    logging = logging_replicas(known)
    modes = gtid_modes(known)
    return {
        "CountReplicas": len(known.replicas),
        "CountValidReplicas": len(valid),
        "CountValidReplicatingReplicas": len(replicating),
        "CountValidSemiSyncReplicatingReplicas": sum(bool(r.semi_sync.acknowledges) for r in replicating),
        "CountSemiSyncReplicasEnabled": sum(bool(r.semi_sync.acknowledges) for r in known.replicas),
        "CountLoggingReplicas": len(logging),
        "CountStatementBasedLoggingReplicas": with_format(logging, "STATEMENT"),
        "CountMixedBasedLoggingReplicas": with_format(logging, "MIXED"),
        "CountRowBasedLoggingReplicas": with_format(logging, "ROW"),
        "CountDistinctMajorVersionsLoggingReplicas": len(major_versions(logging)),
        "CountDelayedReplicas": sum(bool(r.replication.delay_seconds) for r in known.replicas),
        "CountLaggingReplicas": sum((r.replication.lag_seconds or 0) > known.limits.lag for r in known.replicas),
        "OracleGTIDImmediateTopology": uses_gtids(known),
        "BinlogServerImmediateTopology": False,
        "MinReplicaGTIDMode": modes[0] if modes else "",
        "MaxReplicaGTIDMode": modes[-1] if modes else "",
        "MaxReplicaGTIDErrant": max((replica.gtid.errant for replica in known.replicas), default=""),
    }
