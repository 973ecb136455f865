"""The answers of today's API have the fields, tables and metrics that Vitess' vtorc has, by the reference."""

import json
import re
from typing import Any

import pytest

from tests.unit.core.builders import CONNECTING, failing, primary, replica, shard
from tests.unit.server.today.memories import (
    app_of,
    decision_frames,
    heartbeat,
    memory_of,
    metrics_frame,
    recovery_frame,
    settings_frame,
    status_frame,
)
from tests.unit.server.told import ask_app
from vtorc.server.memory import ServerMemory

R1, R2 = "zone1-101", "zone1-102"
BROKEN = shard(primary(dead_for=3), replica(R1, io=CONNECTING, executed="100:1-50,101:1-2"), failing(replica(R2)))
ERRANT = shard(primary(), replica(R1, executed="100:1-50,101:1-2"), replica(R2))


def words_of(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


COORDINATES = ["LogFile", "LogPos", "Type"]
INSTANCE = words_of("""
    Hostname Port InstanceAlias TabletType Cell ServerID ServerUUID Version VersionComment FlavorName ReadOnly
    BinlogFormat BinlogRowImage LogBinEnabled LogReplicationUpdatesEnabled SelfBinlogCoordinates SourceHost
    SourcePort SourceUUID AncestryUUID ReplicaNetTimeout HeartbeatInterval ReplicationSQLThreadRuning
    ReplicationIOThreadRuning ReplicationSQLThreadState ReplicationIOThreadState HasReplicationFilters GTIDMode
    SupportsOracleGTID UsingOracleGTID ReadBinlogCoordinates ExecBinlogCoordinates IsDetached RelaylogCoordinates
    LastSQLError LastIOError SecondsBehindPrimary SQLDelay ExecutedGtidSet GtidPurged GtidErrant
    ReplicationLagSeconds ReplicationDepth IsCoPrimary HasReplicationCredentials SemiSyncEnforced
    SemiSyncPrimaryEnabled SemiSyncReplicaEnabled SemiSyncPrimaryTimeout SemiSyncPrimaryWaitForReplicaCount
    SemiSyncPrimaryStatus SemiSyncPrimaryClients SemiSyncReplicaStatus SemiSyncBlocked LastSeenTimestamp
    IsLastCheckValid IsUpToDate IsRecentlyChecked SecondsSinceLastSeen StalledDisk AllowTLS Problems
    LastDiscoveryLatency
""")
ANALYSIS = words_of("""
    AnalyzedInstanceAlias AnalyzedInstancePrimaryAlias TabletType CurrentTabletType PrimaryTimeStamp
    AnalyzedKeyspace AnalyzedShard AnalyzedKeyspaceEmergencyReparentDisabled AnalyzedShardEmergencyReparentDisabled
    ShardPrimaryTermTimestamp AnalyzedInstanceBinlogCoordinates IsPrimary IsClusterPrimary LastCheckValid
    PrimaryHealthUnhealthy LastCheckPartialSuccess CountReplicas CountValidReplicas CountValidReplicatingReplicas
    CountValidSemiSyncReplicatingReplicas ReplicationStopped ErrantGTID ReplicaNetTimeout HeartbeatInterval Analysis
    AnalysisMatchedProblems Description StructureAnalysis OracleGTIDImmediateTopology BinlogServerImmediateTopology
    SemiSyncPrimaryEnabled SemiSyncPrimaryStatus SemiSyncPrimaryWaitForReplicaCount SemiSyncPrimaryClients
    SemiSyncReplicaEnabled SemiSyncBlocked CountSemiSyncReplicasEnabled CountLoggingReplicas
    CountStatementBasedLoggingReplicas CountMixedBasedLoggingReplicas CountRowBasedLoggingReplicas
    CountDistinctMajorVersionsLoggingReplicas CountDelayedReplicas CountLaggingReplicas IsActionableRecovery
    RecoveryId GTIDMode MinReplicaGTIDMode MaxReplicaGTIDMode MaxReplicaGTIDErrant IsReadOnly IsDiskStalled
""")
TABLES = {
    "database_instance": """
        alias hostname port tablet_type cell last_checked last_seen server_id version binlog_format log_bin
        log_replica_updates binary_log_file binary_log_pos source_host source_port replica_net_timeout
        heartbeat_interval replica_sql_running replica_io_running source_log_file read_source_log_pos
        relay_source_log_file exec_source_log_pos replication_lag_seconds replica_lag_seconds read_only last_sql_error
        last_io_error oracle_gtid relay_log_file relay_log_pos replication_depth has_replication_filters is_co_primary
        sql_delay binlog_server supports_oracle_gtid executed_gtid_set server_uuid last_attempted_check gtid_purged
        has_replication_credentials allow_tls semi_sync_enforced version_comment major_version binlog_row_image
        last_discovery_latency semi_sync_primary_enabled semi_sync_replica_enabled gtid_mode
        last_check_partial_success source_uuid gtid_errant ancestry_uuid replication_sql_thread_state
        replication_io_thread_state semi_sync_primary_timeout semi_sync_primary_wait_for_replica_count
        semi_sync_primary_status semi_sync_replica_status semi_sync_primary_clients semi_sync_blocked is_disk_stalled
    """,
    "vitess_tablet": "alias hostname port keyspace shard cell tablet_type primary_timestamp info",
    "vitess_keyspace": "keyspace keyspace_type durability_policy disable_emergency_reparent",
    "vitess_shard": "keyspace shard primary_alias primary_timestamp disable_emergency_reparent",
    "primary_health": "alias health_state last_updated",
    "topology_recovery": """
        recovery_id alias start_recovery end_recovery successor_alias analysis keyspace shard is_successful all_errors
        detection_id
    """,
    "topology_recovery_steps": "recovery_step_id recovery_id audit_at message",
    "recovery_detection": "detection_id alias analysis keyspace shard detection_timestamp",
    "database_instance_last_analysis": "alias analysis_timestamp analysis",
    "database_instance_analysis_changelog": "changelog_id alias analysis_timestamp analysis",
    "audit": "",
    "global_recovery_disable": "disable_recovery",
    "node_health": "last_seen_active",
    "database_instance_stale_binlog_coordinates": "",
    "database_instance_topology_history": "",
    "vtorc_db_deployments": "deployed_version deployed_timestamp",
}
"""Columns by table; an empty text stands for a table that has no rows, in Vitess' vtorc either by default."""

METRICS = words_of("""
    AnalysisChangeWrite AuditWrite CurrentErrantGTIDCount DetectedProblems DiscoveriesAttempt DiscoveriesFail
    DiscoveriesInstancePollSecondsExceeded DiscoveriesQueueLength DiscoveriesRecentCount DiscoveryInstanceTimings
    DiscoveryWorkers DiscoveryWorkersActive EmergencyReparentCounts PlannedReparentCounts
    ReparentShardOperationTimings EmergencyReparentShardDisabled ErrantGtidTabletCount RecoveriesCount
    SuccessfulRecoveries FailedRecoveries SkippedRecoveries PendingRecoveries InstanceRead InstanceReadTopology
    ShardLockTimings ShardLocksActive TabletsWatchedByCell TabletsWatchedByShard TopologyConnOperations
    TopologyConnReadWaits TopologyConnErrors Uptime MaxFds BuildTimestamp BuildNumber BuildVersion
    tabletmanagerclient_cachedconn_new tabletmanagerclient_cachedconn_reuse
    tabletmanagerclient_cachedconn_dial_timeouts tabletmanagerclient_cachedconn_dial_timings
""")
UNLABELLED = words_of("""
    vtorc_analysis_change_write:counter vtorc_audit_write:counter vtorc_discoveries_attempt:counter
    vtorc_discoveries_fail:counter vtorc_discoveries_instance_poll_seconds_exceeded:counter
    vtorc_discoveries_queue_length:gauge vtorc_discoveries_recent_count:gauge vtorc_discovery_workers:gauge
    vtorc_discovery_workers_active:gauge vtorc_errant_gtid_tablet_count:gauge vtorc_pending_recoveries:gauge
    vtorc_instance_read:counter vtorc_instance_read_topology:counter vtorc_shard_locks_active:gauge
    vtorc_uptime:gauge vtorc_max_fds:gauge vtorc_build_timestamp:gauge vtorc_build_number:gauge
    vtorc_tabletmanagerclient_cachedconn_new:gauge vtorc_tabletmanagerclient_cachedconn_reuse:gauge
    vtorc_tabletmanagerclient_cachedconn_dial_timeouts:gauge
""")
"""Metrics that Prometheus sees without any event, each with its type."""


def full_memory() -> ServerMemory:
    """Return a memory that has something for every table."""
    return memory_of(
        status_frame(allowed=False), settings_frame(), BROKEN, recovery_frame(), *decision_frames(BROKEN), heartbeat()
    )


async def answer_of(path: str, memory: ServerMemory) -> Any:
    """Return the JSON that a path answers."""
    answer = await ask_app(app_of(memory), path)
    assert answer.status == 200
    return json.loads(answer.text)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/problems", INSTANCE),
        ("/api/errant-gtids", INSTANCE),
        ("/api/detection-analysis", ANALYSIS),
        ("/api/replication-analysis", ANALYSIS),
    ],
)
async def test_a_list_has_exactly_the_fields_of_vitess_in_alphabetical_order(path: str, fields: list[str]) -> None:
    """Each row has the keys of the reference, sorted as Go sorts them."""
    rows = await answer_of(path, memory_of(settings_frame(), ERRANT))
    assert rows
    assert all(list(row) == sorted(fields) for row in rows)


async def test_places_in_logs_and_unknown_numbers_are_objects() -> None:
    """Coordinates and nullable numbers have the keys of Go's structs."""
    row = (await answer_of("/api/problems", memory_of(ERRANT)))[0]
    names = ("SelfBinlogCoordinates", "ReadBinlogCoordinates", "ExecBinlogCoordinates", "RelaylogCoordinates")
    assert [list(row[name]) for name in names] == [COORDINATES] * 4
    nullable = ("SecondsBehindPrimary", "ReplicationLagSeconds", "SecondsSinceLastSeen")
    assert [list(row[name]) for name in nullable] == [["Int64", "Valid"]] * 3


async def test_the_state_of_the_database_has_all_tables_with_their_columns() -> None:
    """There are 16 tables; each row has the columns of the reference, and every value is a text or null."""
    tables = await answer_of("/api/database-state", full_memory())
    assert [table["TableName"] for table in tables] == list(TABLES)
    for table in tables:
        columns = words_of(TABLES[table["TableName"]])
        if not columns:
            assert table["Rows"] is None, table["TableName"]
            continue
        assert table["Rows"], table["TableName"]
        assert all(list(row) == sorted(columns) for row in table["Rows"]), table["TableName"]
        values = [value for row in table["Rows"] for value in row.values()]
        assert all(value is None or isinstance(value, str) for value in values)


async def test_the_variables_have_every_name_of_vitess() -> None:
    """A metric that has had no event yet is there too, as 0 or as an empty object."""
    variables = await answer_of("/debug/vars", memory_of(status_frame()))
    assert set(METRICS) <= set(variables)
    assert variables["RecoveriesCount"] == {}
    assert variables["DiscoveriesAttempt"] == 0
    assert variables["ShardLockTimings"] == {"TotalCount": 0, "TotalTime": 0, "Histograms": {}}


async def test_prometheus_sees_the_names_and_types_of_vitess() -> None:
    """Counters have no `_total`, and metrics with labels appear with their first value."""
    text = (await ask_app(app_of(memory_of(status_frame(), metrics_frame())), "/metrics")).text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    expected = dict(row.split(":") for row in UNLABELLED)
    assert {name: types.get(name) for name in expected} == expected
    assert "vtorc_recoveries_count" not in types
    assert "_total" not in text
