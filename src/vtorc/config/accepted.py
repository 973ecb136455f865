"""Flags and keys of Vitess that change nothing in vtorc, accepted so that old command lines and files keep working.

Each row has the reason, then the names, which are those of Vitess v11 to v24. There are two kinds of them. Some ask for
a thing that vtorc, or Vitess itself, does not have. The others ask for what vtorc always does, or for a step that its
own rules replace. A key may forbid an action that vtorc always takes. It is refused then, and accepted only with a
value that allows the action. Otherwise vtorc would act where it must not.
"""

from typing import Any

from vtorc.config.kinds import ANYTHING, SWITCH, ValueKind, choice
from vtorc.config.orchestrator import harmless
from vtorc.config.setting import Setting, Spelling, Where

# Things that do not exist: reason, switches, flags with a value
_ABSENT_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("vtorc is no Go program", "catch-sigpipe pprof-http", "pprof cpu-profile max-stack-size vmodule log-backtrace-at"),
    ("vtorc.log keeps its name, so that no link has to lead to it", "", "log-link"),
    ("the pages of vtorc follow changes, and have no interval", "", "table-refresh-interval"),
    (
        "vtorc serves no gRPC and no MySQL protocol",
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
        "--topo-implementation refuses k8s: vtorc has no topology server in Kubernetes",
        "",
        "topo-k8s-kubeconfig topo-k8s-context topo-k8s-namespace",
    ),
    (
        "--tracer exports each recovery whole, to where the OTEL_* variables of the environment say",
        "grpc-enable-tracing tracing-enable-logging",
        "tracing-sampling-rate tracing-sampling-type jaeger-agent-host datadog-agent-host datadog-agent-port "
        "datadog-trace-debug-mode",
    ),
    (
        "Vitess builds no vtorc with a backend that statistics are pushed to; Prometheus reads /metrics",
        "emit-stats grpc-prometheus",
        "stats-backend stats-emit-period stats-common-tags",
    ),
    (
        "vtorc keeps the state of the shards in memory, not in a database",
        "enable-database-update",
        "backend-read-concurrency backend-write-concurrency snapshot-topology-interval",
    ),
    ("vtorc never writes its settings file", "", "config-persistence-min-interval"),
    (
        "a word of orchestrator's own commands, which vtorc does not have",
        "skip-unresolve skip-unresolve-check skip-continuous-registration ignore-raft-setup grab-election",
        "binlog statement tag promotion-rule s d",
    ),
)

_NO_CRAWL = "vtorc finds tablets by their records in the topology server, and does not crawl or resolve names"
_NO_QUERY = "vttablet queries its mysqld, and vtorc sends no such query"

# The same for keys of the file
_ABSENT_KEYS: tuple[tuple[str, str], ...] = (
    (_NO_QUERY, "ReplicationCredentialsQuery ReplicationLagQuery DetectSemiSyncEnforcedQuery DetectPromotionRuleQuery"),
    (
        "vtorc holds one idle connection to each mysqld, and gives each question to one two seconds",
        """
        MySQLConnectTimeoutSeconds MySQLDiscoveryReadTimeoutSeconds MySQLTopologyReadTimeoutSeconds
        MySQLConnectionLifetimeSeconds InstanceDBExecContextTimeoutSeconds
        """,
    ),
    ("tablet records name the ports", "DefaultInstancePort"),
    ("vtorc listens on addresses, not on a socket file", "ListenSocket"),
    (
        "vtorc has no OAuth and none of its tokens",
        "AccessTokenUseExpirySeconds AccessTokenExpiryMinutes OAuthClientId OAuthClientSecret OAuthScopes",
    ),
    ("vtorc is no client of an HTTP server of its own kind", "SSLSkipVerify"),
    (
        "vtorc has no queue of discoveries",
        """
        DiscoveryMaxConcurrency DiscoveryQueueCapacity DiscoveryQueueMaxStatisticsSize
        DiscoveryCollectionRetentionSeconds
        """,
    ),
    (
        _NO_CRAWL,
        """
        DiscoverySeeds DiscoveryIgnoreReplicaHostnameFilters DiscoveryIgnorePrimaryHostnameFilters
        DiscoverByShowSlaveHosts UnseenInstanceForgetHours HostnameResolveMethod MySQLHostnameResolveMethod
        ExpiryHostnameResolvesMinutes RejectHostnameResolvePattern SkipBinlogServerUnresolveCheck
        """,
    ),
    (
        "a tablet record names cell, keyspace and shard; Vitess has no regions, pools, domains or aliases of hosts",
        """
        DataCenterPattern DetectDataCenterQuery RegionPattern DetectRegionQuery PhysicalEnvironmentPattern
        DetectPhysicalEnvironmentQuery DetectInstanceAliasQuery DetectClusterDomainQuery
        DetectClusterAliasQuery ClusterNameToAlias InstancePoolExpiryMinutes SupportFuzzyPoolHostnames
        OSCIgnoreHostnameFilters
        """,
    ),
    (
        "Vitess has no intermediate primaries, co-primaries and binlog servers",
        """
        RecoverIntermediatePrimaryClusterFilters CoPrimaryRecoveryMustPromoteOtherCoPrimary
        PostIntermediatePrimaryFailoverProcesses PostTakePrimaryProcesses BinlogEventsChunkSize
        """,
    ),
    (
        "vtorc keeps the state of the shards in memory, not in a database",
        """
        BackendDB SkipOrchestratorDatabaseUpdate PanicIfDifferentDatabaseDeploy MySQLOrchestratorHost
        MySQLOrchestratorPort MySQLOrchestratorDatabase MySQLOrchestratorUser MySQLOrchestratorPassword
        MySQLOrchestratorCredentialsConfigFile MySQLOrchestratorSSLPrivateKeyFile
        MySQLOrchestratorSSLCertFile MySQLOrchestratorSSLCAFile MySQLOrchestratorSSLSkipVerify
        MySQLOrchestratorUseMutualTLS MySQLOrchestratorMaxPoolConnections
        MySQLOrchestratorReadTimeoutSeconds MySQLOrchestratorRejectReadOnly BufferInstanceWrites
        InstanceWriteBufferSize InstanceFlushIntervalMilliseconds SnapshotTopologiesIntervalHours
        ReduceReplicationAnalysisCount
        """,
    ),
    (
        "in Vitess only the topology server names the primary",
        "KVClusterPrimaryPrefix ConsulAddress ConsulScheme ConsulAclToken ConsulCrossDataCenterDistribution ZkAddress",
    ),
    (
        "Vitess has no raft: several vtorcs coordinate through the shard lock",
        """
        RaftEnabled RaftBind RaftAdvertise RaftDataDir DefaultRaftPort RaftNodes ExpectFailureAnalysisConcensus
        HTTPAdvertise
        """,
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

_ONE_LOG = "all lines go to standard error, and with --log-dir into vtorc.log as well, from --log-level on"
_APPLIED = (
    "a replica is promoted only after it has applied all that it received; after --wait-replicas-timeout the promotion "
    "is refused"
)

# Conduct of vtorc whatever the value is: sentence, switches, flags with a value
_ALWAYS_FLAGS: tuple[tuple[str, str, str], ...] = (
    (_ONE_LOG, "logtostderr alsologtostderr", "stderrthreshold v"),
    (
        "the last five log files are kept, of --log-rotate-max-size each",
        "",
        """
        keep-logs keep-logs-by-mtime purge-logs-interval
        """,
    ),
    ("an error is logged with its cause, and a mistake of vtorc itself with its traceback", "stack log-err-stacks", ""),
    ("--shutdown-wait-time alone bounds the stop", "", "lameduck-period onterm-timeout onclose-timeout"),
    (
        "each tablet has one lasting connection, and at most 16 are opened at a time",
        "",
        """
        tablet-manager-grpc-concurrency tablet-manager-grpc-connpool-size discovery-workers
        grpc-dial-concurrency-limit
        """,
    ),
    (
        "messages are not compressed, and gRPC sizes its windows by the delay of the network",
        "",
        "grpc-compression grpc-initial-conn-window-size grpc-initial-window-size",
    ),
)

_ALWAYS_KEYS: tuple[tuple[str, str], ...] = (
    ("MySQLTopologyUseMutualTLS decides for all servers alike", "MySQLTopologyUseMixedTLS TLSCacheTTLFactor"),
    (
        _APPLIED,
        """
        FailPrimaryPromotionIfSQLThreadNotUpToDate DelayPrimaryPromotionIfSQLThreadNotUpToDate
        FailPrimaryPromotionOnLagMinutes
        """,
    ),
    ("vttablet sets super_read_only together with read_only", "UseSuperReadOnly"),
    (
        "a replica with filters is no full copy, and is not promoted (`TabletUnfit`)",
        "VerifyReplicationFilters",
    ),
    ("a problem is detected once, until it is gone", "FailureDetectionPeriodBlockMinutes"),
    (
        "a promoted tablet loses its source and takes writes; a replica that did not answer is attached later",
        """
        ApplyMySQLPromotionAfterPrimaryFailover PrimaryFailoverDetachReplicaPrimaryHost
        DetachLostReplicasAfterPrimaryFailover
        """,
    ),
    (
        "a lost tablet is told until it is back, or a hold silences it",
        "PrimaryFailoverLostInstancesDowntimeMinutes",
    ),
    (
        "all replicas are re-pointed at the same time, and none delays the promotion",
        """
        MaxConcurrentReplicaOperations InstanceBulkOperationsWaitTimeoutSeconds PostponeReplicaRecoveryOnLagMinutes
        ReasonableMaintenanceReplicationLagSeconds
        """,
    ),
    ("a promotion rule that a client registers stays until it is taken back", "CandidateInstanceExpireMinutes"),
)

_FORBIDDING: tuple[tuple[str, Where, ValueKind[Any], str], ...] = (
    (
        "PreventCrossRegionPrimaryFailover",
        Where.KEY,
        harmless("use --prevent-cross-cell-failover", False),
        "Vitess has no regions; true is refused",
    ),
    (
        "tablet-manager-grpc-crl",
        Where.FLAG,
        harmless("gRPC reads no revocation lists here, and a revoked vttablet would be trusted", ""),
        "a list of revoked certificates is refused, as vtorc would not heed it",
    ),
    (
        "tablet-manager-protocol",
        Where.FLAG,
        choice("grpc", "grpc-oneshot", "grpc-cached"),
        "vttablets are called over gRPC; another protocol is refused",
    ),
)
"""Name, where, the values that are taken, and what is said of them."""


def _accepted(name: str, where: Where, kind: ValueKind[Any], *, absent: str = "", always: str = "") -> Setting:
    return Setting(
        name=name,
        field=None,
        kind=kind,
        default=None,
        doc="",
        group="",
        spellings=(Spelling(name=name, where=where, kind=kind),),
        no_effect=absent,
        always=always,
    )


def _all() -> tuple[Setting, ...]:
    made = [
        _accepted(name, Where.FLAG, kind, absent=reason)
        for reason, switches, valued in _ABSENT_FLAGS
        for names, kind in ((switches, SWITCH), (valued, ANYTHING))
        for name in names.split()
    ]
    made += [_accepted(name, Where.KEY, ANYTHING, absent=why) for why, names in _ABSENT_KEYS for name in names.split()]
    made += [
        _accepted(name, Where.FLAG, kind, always=sentence)
        for sentence, switches, valued in _ALWAYS_FLAGS
        for names, kind in ((switches, SWITCH), (valued, ANYTHING))
        for name in names.split()
    ]
    made += [_accepted(name, Where.KEY, ANYTHING, always=why) for why, names in _ALWAYS_KEYS for name in names.split()]
    return (*made, *(_accepted(name, where, kind, always=why) for name, where, kind, why in _FORBIDDING))


ACCEPTED = _all()
