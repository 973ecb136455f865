"""Names of flags and keys that Vitess knew, by version, as old command lines and settings files may have them."""

# flags of v11 and v12: `go/cmd/vtorc/main.go`, `go/vt/orchestrator/app/http.go`, and the libraries linked in
V12_SWITCHES = """
discovery quiet verbose debug stack noop grab-election enable-database-update skip-unresolve
skip-unresolve-check skip-continuous-registration ignore-raft-setup logtostderr alsologtostderr
grpc_enable_tracing grpc_prometheus tracing-enable-logging emit_stats catch-sigpipe log_err_stacks
grpc_server_keepalive_enforcement_policy_permit_without_stream
"""
V12_FLAGS = """
orc_web_dir=web clusters_to_watch=ks shutdown_wait_time=30s promotion-rule=prefer s=a d=b
topo_implementation=etcd2 topo_global_server_address=h:1 topo_global_root=/v remote_operation_timeout=30s
topo_etcd_lease_ttl=30 topo_etcd_tls_cert=c topo_etcd_tls_key=k topo_etcd_tls_ca=a topo_consul_lock_delay=15s
topo_consul_lock_session_checks=serfHealth topo_consul_lock_session_ttl=15s
topo_consul_watch_poll_duration=30s consul_auth_static_file=f topo_zk_base_timeout=30s
topo_zk_max_concurrency=64 topo_zk_auth_file=f topo_zk_tls_cert=c topo_zk_tls_key=k topo_zk_tls_ca=a
topo_k8s_kubeconfig=f topo_k8s_context=c topo_k8s_namespace=n tablet_manager_protocol=grpc
tablet_manager_grpc_cert=c tablet_manager_grpc_key=k tablet_manager_grpc_ca=a
tablet_manager_grpc_server_name=n tablet_manager_grpc_concurrency=8 tablet_manager_grpc_connpool_size=100
grpc_auth_static_client_creds=f grpc_compression=snappy grpc_keepalive_time=10s grpc_keepalive_timeout=10s
grpc_max_message_size=16777216 grpc_initial_conn_window_size=0 grpc_initial_window_size=0 log_dir=d
stderrthreshold=ERROR v=2 vmodule=a=1 log_backtrace_at=:0 log_rotate_max_size=1887436800 binlog=b statement=s
tag=t port=16000 grpc_port=1 pid_file=p service_map=m socket_file=s pprof=cpu cpu_profile=f
lameduck-period=50ms onterm_timeout=10s onclose_timeout=1ns stats_backend=b stats_emit_period=1m0s
stats_common_tags=a stats_combine_dimensions=a stats_drop_variables=a tracer=noop tracing-sampling-rate=0.1
tracing-sampling-type=const jaeger-agent-host=h datadog-agent-host=h datadog-agent-port=1
security_policy=read-only mysql_server_version=8.0 mysql_auth_server_static_file=f
mysql_auth_server_static_string=s mysql_auth_static_reload_interval=1s mysql_clientcert_auth_method=m
mysql_auth_server_impl=static mysql_ldap_auth_config_file=f mysql_ldap_auth_config_string=s
mysql_ldap_auth_method=m sql-max-length-errors=1 sql-max-length-ui=1 keep_logs=0s keep_logs_by_mtime=0s
purge_logs_interval=1h0m0s grpc_cert=c grpc_key=k grpc_ca=a grpc_crl=l grpc_server_ca=a grpc_auth_mode=m
grpc_auth_static_password_file=f grpc_auth_mtls_allowed_substrings=s grpc_max_connection_age=1s
grpc_max_connection_age_grace=1s grpc_server_initial_conn_window_size=0 grpc_server_initial_window_size=0
grpc_server_keepalive_enforcement_policy_min_time=10s
"""

# flags of v14 to v24: `go/flags/endtoend/vtorc.txt`
V24_SWITCHES = """
allow-emergency-reparent allow-recovery prevent-cross-cell-failover change-tablets-with-errant-gtid-to-drained
enable-primary-disk-stalled-recovery audit-to-backend audit-to-syslog catch-sigpipe pprof-http log-structured
log-err-stacks emit-stats grpc-enable-tracing grpc-prometheus logtostderr alsologtostderr
"""
V24_FLAGS = """
instance-poll-time=5s discovery-workers=300 recovery-poll-duration=1s topo-information-refresh-duration=15s
wait-replicas-timeout=30s tolerable-replication-lag=0s reasonable-replication-lag=10s
clusters-to-watch=ks1,ks2/-80 cells-to-watch=zone1 cell=zone1 shutdown-wait-time=30s sqlite-data-file=f
backend-read-concurrency=32 backend-write-concurrency=24 audit-file-location=f audit-purge-duration=168h0m0s
snapshot-topology-interval=0s topo-implementation=etcd2 topo-global-server-address=h:1 topo-global-root=/v
topo-read-concurrency=32 lock-timeout=45s remote-operation-timeout=15s topo-etcd-lease-ttl=30
topo-etcd-tls-ca=a topo-etcd-tls-cert=c topo-etcd-tls-key=k topo-consul-lock-delay=15s
topo-consul-lock-session-checks=serfHealth topo-consul-lock-session-ttl=15s
topo-consul-watch-poll-duration=30s consul-auth-static-file=f topo-zk-base-timeout=30s
topo-zk-max-concurrency=64 topo-zk-auth-file=f topo-zk-tls-ca=a topo-zk-tls-cert=c topo-zk-tls-key=k
tablet-manager-protocol=grpc-cached tablet-manager-grpc-cert=c tablet-manager-grpc-key=k
tablet-manager-grpc-ca=a tablet-manager-grpc-crl= tablet-manager-grpc-server-name=n
tablet-manager-grpc-concurrency=8 tablet-manager-grpc-connpool-size=100 grpc-auth-static-client-creds=f
grpc-compression=snappy grpc-keepalive-time=10s grpc-keepalive-timeout=10s grpc-initial-conn-window-size=0
grpc-initial-window-size=0 grpc-max-message-size=16777216 grpc-dial-concurrency-limit=1024 port=0
bind-address=0.0.0.0 pid-file=p security-policy=deny-all lameduck-period=50ms onterm-timeout=10s
onclose-timeout=10s max-stack-size=67108864 table-refresh-interval=0 pprof=cpu log-level=info log-format=json
log-rotate-max-size=1887436800 keep-logs=0s keep-logs-by-mtime=0s purge-logs-interval=1h0m0s stats-backend=b
stats-emit-period=1m0s stats-common-tags=a stats-combine-dimensions=a stats-drop-variables=a stderrthreshold=1
log_dir=d log_backtrace_at=:0 log_link=l vmodule=a=1 v=2 config-path=. config-name=vtconfig config-type=json
config-file-not-found-handling=warn config-persistence-min-interval=1s recovery-period-block-duration=30s
lock-shard-timeout=30s
"""

# keys of v12's file: `go/vt/orchestrator/config/config.go`
V12_KEYS = """
MySQLTopologyUser MySQLTopologyPassword MySQLTopologyCredentialsConfigFile MySQLReplicaUser
MySQLReplicaPassword MySQLTopologyUseMutualTLS MySQLTopologyUseMixedTLS MySQLTopologySSLCAFile
MySQLTopologySSLCertFile MySQLTopologySSLPrivateKeyFile MySQLTopologySSLSkipVerify TLSCacheTTLFactor
MySQLConnectTimeoutSeconds MySQLDiscoveryReadTimeoutSeconds MySQLTopologyReadTimeoutSeconds
MySQLConnectionLifetimeSeconds DefaultInstancePort UseSuperReadOnly InstanceDBExecContextTimeoutSeconds
MaxConcurrentReplicaOperations ReplicationCredentialsQuery ListenAddress ListenSocket URLPrefix StatusEndpoint
StatusOUVerify UseSSL SSLCertFile SSLPrivateKeyFile SSLCAFile SSLSkipVerify UseMutualTLS SSLValidOUs
AuthenticationMethod HTTPAuthUser HTTPAuthPassword AuthUserHeader PowerAuthUsers PowerAuthGroups ReadOnly
AccessTokenUseExpirySeconds AccessTokenExpiryMinutes OAuthClientId OAuthClientSecret OAuthScopes
RemoveTextFromHostnameDisplay WebMessage ProblemIgnoreHostnameFilters HTTPAdvertise InstancePollSeconds
DiscoveryMaxConcurrency DiscoveryQueueCapacity DiscoveryQueueMaxStatisticsSize
DiscoveryCollectionRetentionSeconds DiscoverySeeds DiscoveryIgnoreHostnameFilters
DiscoveryIgnoreReplicaHostnameFilters DiscoveryIgnorePrimaryHostnameFilters DiscoverByShowSlaveHosts
BufferInstanceWrites InstanceWriteBufferSize InstanceFlushIntervalMilliseconds UnseenInstanceForgetHours
SnapshotTopologiesIntervalHours HostnameResolveMethod MySQLHostnameResolveMethod ExpiryHostnameResolvesMinutes
RejectHostnameResolvePattern SkipBinlogServerUnresolveCheck ReplicationLagQuery DataCenterPattern
DetectDataCenterQuery RegionPattern DetectRegionQuery PhysicalEnvironmentPattern
DetectPhysicalEnvironmentQuery DetectInstanceAliasQuery DetectClusterDomainQuery DetectSemiSyncEnforcedQuery
DetectClusterAliasQuery DetectPromotionRuleQuery ClusterNameToAlias ReasonableReplicationLagSeconds
ReasonableMaintenanceReplicationLagSeconds VerifyReplicationFilters InstanceBulkOperationsWaitTimeoutSeconds
CandidateInstanceExpireMinutes InstancePoolExpiryMinutes SupportFuzzyPoolHostnames OSCIgnoreHostnameFilters
BinlogEventsChunkSize ReduceReplicationAnalysisCount Durability DurabilityParams LockShardTimeoutSeconds
RecoveryPeriodBlockSeconds RecoveryPeriodBlockMinutes FailureDetectionPeriodBlockMinutes
RecoveryIgnoreHostnameFilters RecoverPrimaryClusterFilters RecoverIntermediatePrimaryClusterFilters
PromotionIgnoreHostnameFilters PreventCrossDataCenterPrimaryFailover PreventCrossRegionPrimaryFailover
FailPrimaryPromotionOnLagMinutes FailPrimaryPromotionIfSQLThreadNotUpToDate
DelayPrimaryPromotionIfSQLThreadNotUpToDate DetachLostReplicasAfterPrimaryFailover
PrimaryFailoverDetachReplicaPrimaryHost ApplyMySQLPromotionAfterPrimaryFailover
CoPrimaryRecoveryMustPromoteOtherCoPrimary PostponeReplicaRecoveryOnLagMinutes
PrimaryFailoverLostInstancesDowntimeMinutes ProcessesShellCommand OnFailureDetectionProcesses
PreGracefulTakeoverProcesses PreFailoverProcesses PostFailoverProcesses PostUnsuccessfulFailoverProcesses
PostPrimaryFailoverProcesses PostIntermediatePrimaryFailoverProcesses PostGracefulTakeoverProcesses
PostTakePrimaryProcesses Debug EnableSyslog AuditLogFile AuditToSyslog AuditToBackendDB AuditPurgeDays
BackendDB SQLite3DataFile SkipOrchestratorDatabaseUpdate PanicIfDifferentDatabaseDeploy MySQLOrchestratorHost
MySQLOrchestratorPort MySQLOrchestratorDatabase MySQLOrchestratorUser MySQLOrchestratorPassword
MySQLOrchestratorCredentialsConfigFile MySQLOrchestratorSSLPrivateKeyFile MySQLOrchestratorSSLCertFile
MySQLOrchestratorSSLCAFile MySQLOrchestratorSSLSkipVerify MySQLOrchestratorUseMutualTLS
MySQLOrchestratorMaxPoolConnections MySQLOrchestratorReadTimeoutSeconds MySQLOrchestratorRejectReadOnly
KVClusterPrimaryPrefix ConsulAddress ConsulScheme ConsulAclToken ConsulCrossDataCenterDistribution ZkAddress
RaftEnabled RaftBind RaftAdvertise RaftDataDir DefaultRaftPort RaftNodes ExpectFailureAnalysisConcensus
AgentsServerPort ServeAgentsHttp AgentsUseSSL AgentsUseMutualTLS AgentSSLSkipVerify AgentSSLPrivateKeyFile
AgentSSLCertFile AgentSSLCAFile AgentSSLValidOUs AgentPollMinutes UnseenAgentForgetHours StaleSeedFailMinutes
SeedAcceptableBytesDiff SeedWaitSecondsBeforeSend
"""
