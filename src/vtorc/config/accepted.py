"""Flags and keys of Vitess that have no effect in vtorc, accepted so that old command lines and files keep working.

Each row has the reason, then the names, which are those of Vitess v11 to v24. A key that forbids an action is refused
if vtorc cannot leave that action out, unless its value forbids nothing. Otherwise vtorc would act where it must not.
"""

from typing import Any

from vtorc.config.kinds import ANYTHING, SWITCH, ValueKind
from vtorc.config.orchestrator import harmless
from vtorc.config.setting import Setting, Spelling, Where

_ONE_LOG = "vtorc writes one log, to standard error and into --log-dir"
_NO_SERVER = "vtorc serves no gRPC and no MySQL protocol"
_OTHER_TOPO = "this version supports no topology server of that kind"
_NO_TRACING = "vtorc exports no traces"
_NO_PUSH = "vtorc pushes no statistics"
_NO_HTTP = "the HTTP server of this version does not have it"
_NO_DATABASE = "vtorc keeps the state of the shards in memory, not in a database"
_LEFTOVER = "a remainder of orchestrator's own commands"
_ONE_CALL = "each tablet has one connection, and one task probes it"
_VTTABLET_ONLY = "vtorc calls vttablet, which queries its mysqld"
_BY_RECORD = "vtorc finds tablets by their records in the topology server"
_NO_SWAP = "vtorc replaces no intermediate primary, and promotes once"
_FIXED = "vtorc's failover has no such step to tune"

# reason, switches, flags with a value
_FLAGS: tuple[tuple[str, str, str], ...] = (
    (_ONE_LOG, "logtostderr alsologtostderr", "stderrthreshold vmodule log-backtrace-at log-link v"),
    ("the last five log files are kept", "", "keep-logs keep-logs-by-mtime purge-logs-interval"),
    ("errors are logged with their cause", "stack log-err-stacks", ""),
    (_NO_HTTP, "pprof-http", "table-refresh-interval"),
    ("there is no Go runtime in vtorc", "catch-sigpipe", "pprof cpu-profile max-stack-size"),
    ("--shutdown-wait-time alone bounds the stop", "", "lameduck-period onterm-timeout onclose-timeout"),
    (
        _NO_SERVER,
        "grpc-server-keepalive-enforcement-policy-permit-without-stream",
        """
        grpc-port grpc-bind-address grpc-cert grpc-key grpc-ca grpc-crl grpc-server-ca grpc-auth-mode
        grpc-auth-static-password-file grpc-auth-mtls-allowed-substrings grpc-max-connection-age
        grpc-max-connection-age-grace grpc-server-initial-conn-window-size grpc-server-initial-window-size
        grpc-server-keepalive-enforcement-policy-min-time grpc-server-keepalive-time
        grpc-server-keepalive-timeout service-map socket-file mysql-server-version mysql-auth-server-impl
        mysql-auth-server-static-file mysql-auth-server-static-string mysql-auth-static-reload-interval
        mysql-clientcert-auth-method mysql-ldap-auth-config-file mysql-ldap-auth-config-string
        mysql-ldap-auth-method mysql-auth-vault-addr mysql-auth-vault-path mysql-auth-vault-role-mountpoint
        mysql-auth-vault-role-secretidfile mysql-auth-vault-roleid mysql-auth-vault-timeout
        mysql-auth-vault-tls-ca mysql-auth-vault-tokenfile mysql-auth-vault-ttl sql-max-length-errors
        sql-max-length-ui
        """,
    ),
    (
        _OTHER_TOPO,
        "",
        "topo-k8s-kubeconfig topo-k8s-context topo-k8s-namespace",
    ),
    (
        _NO_TRACING,
        "grpc-enable-tracing tracing-enable-logging",
        """
        tracer tracing-sampling-rate tracing-sampling-type jaeger-agent-host datadog-agent-host
        datadog-agent-port datadog-trace-debug-mode
        """,
    ),
    (
        _NO_PUSH,
        "emit-stats grpc-prometheus",
        "stats-backend stats-emit-period stats-common-tags stats-combine-dimensions stats-drop-variables",
    ),
    (
        _ONE_CALL,
        "",
        """
        tablet-manager-protocol tablet-manager-grpc-concurrency tablet-manager-grpc-connpool-size
        discovery-workers grpc-dial-concurrency-limit
        """,
    ),
    (
        "messages are not compressed, and windows are sized by gRPC",
        "",
        "grpc-compression grpc-initial-conn-window-size grpc-initial-window-size",
    ),
    ("revocation lists are not read", "", "tablet-manager-grpc-crl"),
    (
        _NO_DATABASE,
        "enable-database-update",
        "backend-read-concurrency backend-write-concurrency snapshot-topology-interval",
    ),
    ("--lock-timeout and --topo-etcd-lease-ttl bound a lock", "", "lock-shard-timeout"),
    ("vtorc never writes its settings file", "", "config-persistence-min-interval"),
    (
        _LEFTOVER,
        "skip-unresolve skip-unresolve-check skip-continuous-registration ignore-raft-setup grab-election",
        "binlog statement tag promotion-rule s d",
    ),
)

_KEYS: tuple[tuple[str, str], ...] = (
    (
        _VTTABLET_ONLY,
        """
        MySQLTopologyUseMutualTLS MySQLTopologyUseMixedTLS MySQLTopologySSLCAFile MySQLTopologySSLCertFile
        MySQLTopologySSLPrivateKeyFile MySQLTopologySSLSkipVerify TLSCacheTTLFactor
        MySQLConnectTimeoutSeconds MySQLDiscoveryReadTimeoutSeconds MySQLTopologyReadTimeoutSeconds
        MySQLConnectionLifetimeSeconds DefaultInstancePort UseSuperReadOnly
        InstanceDBExecContextTimeoutSeconds ReplicationCredentialsQuery ReplicationLagQuery
        DetectSemiSyncEnforcedQuery
        """,
    ),
    (
        _NO_HTTP,
        """
        ListenSocket ProblemIgnoreHostnameFilters HTTPAdvertise
        """,
    ),
    (
        "vtorc has no tokens and no OAuth",
        "AccessTokenUseExpirySeconds AccessTokenExpiryMinutes OAuthClientId OAuthClientSecret OAuthScopes",
    ),
    ("PowerAuthUsers names the operators one by one", "PowerAuthGroups"),
    ("vtorc is no client of an HTTP server", "SSLSkipVerify"),
    (
        _ONE_CALL,
        """
        DiscoveryMaxConcurrency DiscoveryQueueCapacity DiscoveryQueueMaxStatisticsSize
        DiscoveryCollectionRetentionSeconds
        """,
    ),
    (
        _BY_RECORD,
        """
        DiscoverySeeds DiscoveryIgnoreReplicaHostnameFilters DiscoveryIgnorePrimaryHostnameFilters
        DiscoverByShowSlaveHosts UnseenInstanceForgetHours HostnameResolveMethod MySQLHostnameResolveMethod
        ExpiryHostnameResolvesMinutes RejectHostnameResolvePattern SkipBinlogServerUnresolveCheck
        DataCenterPattern DetectDataCenterQuery RegionPattern DetectRegionQuery PhysicalEnvironmentPattern
        DetectPhysicalEnvironmentQuery DetectInstanceAliasQuery DetectClusterDomainQuery
        DetectClusterAliasQuery ClusterNameToAlias CandidateInstanceExpireMinutes InstancePoolExpiryMinutes
        SupportFuzzyPoolHostnames OSCIgnoreHostnameFilters
        """,
    ),
    ("a tablet's type decides whether it may be promoted", "DetectPromotionRuleQuery"),
    (
        _FIXED,
        """
        MaxConcurrentReplicaOperations ReasonableMaintenanceReplicationLagSeconds VerifyReplicationFilters
        InstanceBulkOperationsWaitTimeoutSeconds BinlogEventsChunkSize ReduceReplicationAnalysisCount
        FailureDetectionPeriodBlockMinutes RecoverIntermediatePrimaryClusterFilters
        FailPrimaryPromotionIfSQLThreadNotUpToDate DelayPrimaryPromotionIfSQLThreadNotUpToDate
        DetachLostReplicasAfterPrimaryFailover PrimaryFailoverDetachReplicaPrimaryHost
        ApplyMySQLPromotionAfterPrimaryFailover CoPrimaryRecoveryMustPromoteOtherCoPrimary
        PostponeReplicaRecoveryOnLagMinutes PrimaryFailoverLostInstancesDowntimeMinutes
        """,
    ),
    ("a replica is promoted only after it applied all that it received", "FailPrimaryPromotionOnLagMinutes"),
    (_NO_SWAP, "PostIntermediatePrimaryFailoverProcesses PostTakePrimaryProcesses"),
    (
        _NO_DATABASE,
        """
        BackendDB SkipOrchestratorDatabaseUpdate PanicIfDifferentDatabaseDeploy MySQLOrchestratorHost
        MySQLOrchestratorPort MySQLOrchestratorDatabase MySQLOrchestratorUser MySQLOrchestratorPassword
        MySQLOrchestratorCredentialsConfigFile MySQLOrchestratorSSLPrivateKeyFile
        MySQLOrchestratorSSLCertFile MySQLOrchestratorSSLCAFile MySQLOrchestratorSSLSkipVerify
        MySQLOrchestratorUseMutualTLS MySQLOrchestratorMaxPoolConnections
        MySQLOrchestratorReadTimeoutSeconds MySQLOrchestratorRejectReadOnly BufferInstanceWrites
        InstanceWriteBufferSize InstanceFlushIntervalMilliseconds SnapshotTopologiesIntervalHours
        """,
    ),
    (
        "only the topology server names the primary",
        "KVClusterPrimaryPrefix ConsulAddress ConsulScheme ConsulAclToken ConsulCrossDataCenterDistribution ZkAddress",
    ),
    (
        "several vtorcs coordinate through the shard lock",
        "RaftEnabled RaftBind RaftAdvertise RaftDataDir DefaultRaftPort RaftNodes ExpectFailureAnalysisConcensus",
    ),
    (
        "there are no orchestrator agents in Vitess",
        """
        AgentsServerPort ServeAgentsHttp AgentsUseSSL AgentsUseMutualTLS AgentSSLSkipVerify
        AgentSSLPrivateKeyFile AgentSSLCertFile AgentSSLCAFile AgentSSLValidOUs AgentPollMinutes
        UnseenAgentForgetHours StaleSeedFailMinutes SeedAcceptableBytesDiff SeedWaitSecondsBeforeSend
        """,
    ),
)

_BY_TYPE = "a tablet of type DRAINED is left alone"
_FORBIDDING: tuple[tuple[str, ValueKind[Any]], ...] = (
    ("DiscoveryIgnoreHostnameFilters", harmless(_BY_TYPE, [])),
    ("RecoveryIgnoreHostnameFilters", harmless(_BY_TYPE, [])),
    ("PromotionIgnoreHostnameFilters", harmless("a tablet of type RDONLY is never promoted", [])),
    ("PreventCrossRegionPrimaryFailover", harmless("use --prevent-cross-cell-failover", False)),
)


def _accepted(name: str, *, reason: str, where: Where, kind: ValueKind[Any]) -> Setting:
    return Setting(
        name=name,
        field=None,
        kind=kind,
        default=None,
        doc="",
        group="",
        spellings=(Spelling(name=name, where=where, kind=kind),),
        no_effect=reason,
    )


def _all() -> tuple[Setting, ...]:
    flags = [
        _accepted(name, reason=reason, where=Where.FLAG, kind=kind)
        for reason, switches, valued in _FLAGS
        for names, kind in ((switches, SWITCH), (valued, ANYTHING))
        for name in names.split()
    ]
    keys = [
        _accepted(name, reason=reason, where=Where.KEY, kind=ANYTHING)
        for reason, names in _KEYS
        for name in names.split()
    ]
    refused = [
        _accepted(name, reason="its value forbids nothing", where=Where.KEY, kind=kind) for name, kind in _FORBIDDING
    ]
    return (*flags, *keys, *refused)


ACCEPTED = _all()
