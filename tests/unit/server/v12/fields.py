"""The fields of the objects of Vitess 12's API, as its Go structs name them, and those that were renamed there."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


INSTANCE = _names("""
    Key InstanceAlias Uptime ServerID ServerUUID Version VersionComment FlavorName ReadOnly Binlog_format BinlogRowImage
    LogBinEnabled LogReplicationUpdatesEnabled SelfBinlogCoordinates SourceKey SourceUUID AncestryUUID IsDetachedPrimary
    ReplicationSQLThreadRuning ReplicationIOThreadRuning ReplicationSQLThreadState ReplicationIOThreadState
    ReadBinlogCoordinates ExecBinlogCoordinates IsDetached RelaylogCoordinates LastSQLError LastIOError
    HasReplicationFilters HasReplicationCredentials UsingOracleGTID UsingMariaDBGTID UsingPseudoGTID GTIDMode
    SupportsOracleGTID ExecutedGtidSet GtidPurged GtidErrant SecondsBehindPrimary ReplicationLagSeconds SQLDelay
    AllowTLS
    Replicas ClusterName SuggestedClusterAlias DataCenter Region PhysicalEnvironment ReplicationDepth IsCoPrimary
    ReplicationCredentialsAvailable SemiSyncAvailable SemiSyncEnforced SemiSyncPrimaryEnabled SemiSyncReplicaEnabled
    SemiSyncPrimaryTimeout SemiSyncPrimaryWaitForReplicaCount SemiSyncPrimaryStatus SemiSyncPrimaryClients
    SemiSyncReplicaStatus LastSeenTimestamp SecondsSinceLastSeen IsLastCheckValid IsUpToDate IsRecentlyChecked
    LastDiscoveryLatency IsCandidate PromotionRule IsDowntimed DowntimeReason DowntimeOwner DowntimeEndTimestamp
    ElapsedDowntime UnresolvedHostname CountMySQLSnapshots Problems ReplicationGroupName
    ReplicationGroupIsSinglePrimary ReplicationGroupMemberState ReplicationGroupMemberRole ReplicationGroupMembers
    ReplicationGroupPrimaryInstanceKey
    MasterKey MasterUUID IsDetachedMaster SecondsBehindMaster IsCoMaster SlaveHosts SlaveLagSeconds
    LogSlaveUpdatesEnabled Slave_SQL_Running Slave_IO_Running SemiSyncMasterEnabled SemiSyncMasterTimeout
    SemiSyncMasterWaitForReplicaCount SemiSyncMasterStatus SemiSyncMasterClients
    """)

KEY = _names("Hostname Port")

CLUSTER_INFO = _names("""
    ClusterName ClusterAlias ClusterDomain CountInstances HeuristicLag HasAutomatedPrimaryRecovery
    HasAutomatedIntermediatePrimaryRecovery HasAutomatedMasterRecovery HasAutomatedIntermediateMasterRecovery
    """)

ANALYSIS = _names("""
    AnalyzedInstanceKey AnalyzedInstancePrimaryKey TabletType PrimaryTimeStamp SuggestedClusterAlias ClusterDetails
    AnalyzedInstanceDataCenter AnalyzedInstanceRegion AnalyzedInstancePhysicalEnvironment
    AnalyzedInstanceBinlogCoordinates IsPrimary IsClusterPrimary IsCoPrimary LastCheckValid LastCheckPartialSuccess
    CountReplicas CountValidReplicas CountValidReplicatingReplicas CountReplicasFailingToConnectToPrimary
    CountDowntimedReplicas ReplicationDepth Replicas IsFailingToConnectToPrimary ReplicationStopped Analysis Description
    StructureAnalysis IsDowntimed IsReplicasDowntimed DowntimeEndTimestamp DowntimeRemainingSeconds IsBinlogServer
    OracleGTIDImmediateTopology MariaDBGTIDImmediateTopology BinlogServerImmediateTopology SemiSyncPrimaryEnabled
    SemiSyncPrimaryStatus SemiSyncPrimaryWaitForReplicaCount SemiSyncPrimaryClients SemiSyncReplicaEnabled
    CountSemiSyncReplicasEnabled CountLoggingReplicas CountStatementBasedLoggingReplicas
    CountMixedBasedLoggingReplicas CountRowBasedLoggingReplicas CountDistinctMajorVersionsLoggingReplicas
    CountDelayedReplicas CountLaggingReplicas IsActionableRecovery ProcessingNodeHostname ProcessingNodeToken
    CountAdditionalAgreeingNodes StartActivePeriod SkippableDueToDowntime GTIDMode MinReplicaGTIDMode
    MaxReplicaGTIDMode MaxReplicaGTIDErrant CommandHint IsReadOnly
    AnalyzedInstanceMasterKey MasterTimeStamp IsMaster IsClusterMaster IsCoMaster
    CountReplicasFailingToConnectToMaster SlaveHosts IsFailingToConnectToMaster SemiSyncMasterEnabled
    SemiSyncMasterStatus SemiSyncMasterWaitForReplicaCount SemiSyncMasterClients
    """)

RECOVERY = _names("""
    Id UID AnalysisEntry SuccessorKey SuccessorAlias IsActive IsSuccessful LostReplicas ParticipatingInstanceKeys
    AllErrors RecoveryStartTimestamp RecoveryEndTimestamp ProcessingNodeHostname ProcessingNodeToken Acknowledged
    AcknowledgedAt AcknowledgedBy AcknowledgedComment LastDetectionId RelatedRecoveryId Type RecoveryType
    """)

STEP = _names("Id RecoveryUID AuditAt Message")
BLOCKED = _names("FailedInstanceKey ClusterName Analysis LastBlockedTimestamp BlockingRecoveryId")
CHANGELOG = _names("AnalyzedInstanceKey Changelog")
AUDIT = _names("AuditId AuditTimestamp AuditType AuditInstanceKey Message")
CANDIDATE = _names("Hostname Port PromotionRule LastSuggestedString PromotionRuleExpiry")
FILTERS = _names("RecoverPrimaryClusterFilters RecoverIntermediatePrimaryClusterFilters RecoveryIgnoreHostnameFilters")
HEALTH = _names("""
    Healthy Hostname Token IsActiveNode ActiveNode Error AvailableNodes RaftLeader IsRaftLeader RaftLeaderURI
    RaftAdvertise RaftHealthyMembers
    """)
NODE = _names("""
    Hostname Token AppVersion FirstSeenActive LastSeenActive ExtraInfo Command DBBackend LastReported
    """)
MAINTENANCE = _names("MaintenanceId Key BeginTimestamp SecondsElapsed IsActive Owner Reason")
