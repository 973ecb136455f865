"""Every setting of vtorc, declared once: type, default, meaning, other spellings, whether a reload changes it.

A part of vtorc that needs only some of them takes the group it needs (`TopoSettings`, `TabletSettings` …), of which
`Settings` is all. Times are in seconds. Defaults are those of Vitess v24 (`go/flags/endtoend/vtorc.txt`) where nothing
else is said; the keys in capitals are those of Vitess v11 to v21 (`go/vt/orchestrator/config/config.go`, later
`go/vt/vtorc/config/config.go`).
"""

from dataclasses import dataclass

from vtorc.config.file_settings import FileSettings
from vtorc.config.kinds import (
    DAYS,
    DURATION,
    MINUTES,
    POSITIVE_DURATION,
    SECONDS,
    SWITCH,
    TEXT,
    WORDS,
    choice,
    whole,
)
from vtorc.config.orchestrator import (
    host_of_address,
    port_of_address,
    promotion_filter,
    promotion_rules,
)
from vtorc.config.setting import UNSET, flag, key, setting
from vtorc.core.facts.durability import POLICY_NAMES, PromotionRule
from vtorc.core.facts.ids import TabletAlias

TOPO_IMPLEMENTATIONS = ("etcd2", "local")
LOG_LEVELS = ("debug", "info", "warn", "error")

_NO_HTTP = "this version serves no HTTP"
_NO_AUDIT = "this version writes every change it makes into its log, and no audit of its own"
_WATCH_ONLY = "vtorc watches, reports and changes nothing, as with --allow-recovery=false"


@dataclass(frozen=True, kw_only=True)
class TopoSettings:
    """Topology server"""

    topo_implementation: str = setting(
        choice(*TOPO_IMPLEMENTATIONS, default=""),
        "",
        "Kind of topology server: etcd2 is Vitess' layout in etcd v3, local is one SQLite file for the programs of one "
        "host. Required.",
    )
    topo_global_server_address: str = setting(
        TEXT,
        "",
        "Addresses of the global topology server, host:port with commas between; for local, the path of its file. "
        "Required.",
    )
    topo_global_root: str = setting(
        TEXT, "", "Path of the global data in the topology server, such as /vitess/global. Required."
    )
    topo_etcd_lease_ttl: int = setting(
        whole(1), 30, "Seconds that a lock outlives a vtorc that was killed; its lease is kept alive while it is held."
    )
    topo_etcd_tls_ca: str = setting(TEXT, "", "File of the authority that etcd's certificate is checked against.")
    topo_etcd_tls_cert: str = setting(TEXT, "", "File of the client certificate shown to etcd; needs the key too.")
    topo_etcd_tls_key: str = setting(TEXT, "", "File of the client certificate's key.")
    topo_read_concurrency: int = setting(whole(1), 32, "Most reads under way at one topology server at a time.")
    lock_timeout: float = setting(
        POSITIVE_DURATION,
        45.0,
        "Longest wait for the lock of a shard that somebody else holds.",
        also=[key("LockShardTimeoutSeconds", SECONDS)],
    )
    remote_operation_timeout: float = setting(
        POSITIVE_DURATION, 15.0, "Deadline of one call to the topology server, and of most calls to a tablet."
    )


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """What is watched"""

    clusters_to_watch: tuple[str, ...] = setting(
        WORDS, (), "Keyspaces, or keyspace/shard or keyspace/key range, that this vtorc acts on; none means all."
    )
    cells_to_watch: tuple[str, ...] = setting(
        WORDS,
        (),
        "Cells whose tablets this vtorc loads; none means all.",
        no_effect="all cells are read: a filter would hide tablets that may hold acknowledged writes",
    )
    cell: str = setting(TEXT, "", "Cell that this vtorc runs in.", no_effect="vtorc acts alike from every cell")
    instance_poll_time: float = setting(
        POSITIVE_DURATION,
        5.0,
        "How often each tablet is asked for its whole state.",
        also=[key("InstancePollSeconds", SECONDS)],
        live=True,
    )
    suspicious_poll_time: float = setting(
        POSITIVE_DURATION,
        0.15,
        "How often each tablet of a shard is asked while its primary is under suspicion.",
        live=True,
    )
    topo_information_refresh_duration: float = setting(
        POSITIVE_DURATION,
        15.0,
        "How often the records of keyspaces, shards and tablets are read again, beside what a watch tells.",
        also=[key("TopoInformationRefreshSeconds", SECONDS)],
        live=True,
    )
    recovery_poll_duration: float = setting(
        POSITIVE_DURATION,
        1.0,
        "How often a shard is judged again when nothing about it changed.",
        also=[key("RecoveryPollSeconds", SECONDS)],
        live=True,
    )
    reasonable_replication_lag: float = setting(
        DURATION,
        10.0,
        "Lag above which a replica counts as lagging.",
        also=[key("ReasonableReplicationLagSeconds", SECONDS)],
        live=True,
        no_effect="lag is no problem that vtorc repairs",
    )


@dataclass(frozen=True, kw_only=True)
class RecoverySettings:
    """Recovery"""

    durability: str = setting(
        choice(*POLICY_NAMES, default=""),
        "",
        "Durability policy of a keyspace whose record names none; a policy in the record wins. With neither, vtorc "
        "leaves the keyspace alone. A file that names MySQLTopologyUser is one of Vitess v11 to v13, where the policy "
        "that is not named is 'none', and so it is here.",
        also=[key("Durability", choice(*POLICY_NAMES, default=""))],
    )
    durability_params: tuple[tuple[TabletAlias, PromotionRule], ...] = setting(
        promotion_rules(),
        (),
        "Promotion rules by tablet alias, for the policy 'specified'.",
        also=[key("DurabilityParams", promotion_rules())],
    )
    recovery_period_block_seconds: float = setting(
        SECONDS,
        30.0,
        "Seconds after a tablet was replaced as primary for which it is not replaced again; 0 for none. What "
        "Vitess v12 "
        "holds back is the whole shard, and for an hour.",
        also=[
            flag("recovery-period-block-duration", DURATION),
            key("RecoveryPeriodBlockSeconds", SECONDS),
            key("RecoveryPeriodBlockMinutes", MINUTES, lambda _: UNSET),  # see `orchestrator.adjust`
        ],
        live=True,
    )
    allow_recovery: bool = setting(
        SWITCH,
        True,
        "Whether anything at all is repaired; if not, vtorc only watches and reports. --noop and --discovery=false too "
        "turn it off.",
        also=[
            flag("noop", SWITCH, lambda on: False if on else UNSET, note=_WATCH_ONLY),
            flag("discovery", SWITCH, lambda on: UNSET if on else False, note=_WATCH_ONLY),
        ],
        live=True,
    )
    allow_emergency_reparent: bool = setting(
        SWITCH,
        True,
        "Whether a dead primary is replaced.",
        also=[key("RecoverPrimaryClusterFilters", promotion_filter(), lambda every: UNSET if every else False)],
        live=True,
    )
    prevent_cross_cell_failover: bool = setting(
        SWITCH,
        False,
        "Whether an emergency reparent promotes only in the cell of the primary that it replaces.",
        also=[key("PreventCrossDataCenterPrimaryFailover", SWITCH)],
        live=True,
    )
    wait_replicas_timeout: float = setting(
        POSITIVE_DURATION,
        30.0,
        "How long a reparent waits for what it asks of replicas.",
        also=[key("WaitReplicasTimeoutSeconds", SECONDS)],
        live=True,
    )
    tolerable_replication_lag: float = setting(
        DURATION,
        0.0,
        "Most lag of a replica that a planned reparent chooses by itself; 0 for any.",
        also=[key("TolerableReplicationLagSeconds", SECONDS)],
        live=True,
        no_effect="vtorc makes no planned reparent by itself",
    )
    change_tablets_with_errant_gtid_to_drained: bool = setting(
        SWITCH,
        False,
        "Whether a replica with errant GTIDs is changed to type DRAINED.",
        live=True,
        no_effect="tablets with errant GTIDs are reported and left as they are",
    )
    enable_primary_disk_stalled_recovery: bool = setting(
        SWITCH, False, "Whether a primary whose disk is stalled is replaced.", live=True
    )
    recovery_concurrency: int = setting(
        whole(1),
        32,
        "Most replacements of primaries, tests of silent ones and first elections under way at a time; others wait for "
        "their turn, the longest outage first.",
        live=True,
    )
    repair_concurrency: int = setting(
        whole(1),
        16,
        "Most repairs of tablets under way at a time; they take no turn from a replacement, and there are fewer while "
        "one waits for its turn.",
        live=True,
    )
    hold_replacements_above: int = setting(
        whole(0, 100),
        100,
        "Percent of all shards: while more of them than that, and at least five, lost their primary within half "
        "a minute or are still without one, no primary is replaced; it lasts until a person raises this or enough are "
        "back. 100 holds nothing back.",
        live=True,
    )
    shutdown_wait_time: float = setting(
        DURATION,
        30.0,
        "How long SIGTERM waits for recoveries in progress to end or be undone, and their locks to be given back.",
    )


@dataclass(frozen=True, kw_only=True)
class TabletSettings:
    """Calls to tablets"""

    tablet_manager_grpc_ca: str = setting(
        TEXT,
        "",
        "File of the authority that vttablets' certificates are checked against. It, or certificate and key, "
        "turns TLS on.",
    )
    tablet_manager_grpc_cert: str = setting(
        TEXT, "", "File of the client certificate shown to vttablets; needs the key too."
    )
    tablet_manager_grpc_key: str = setting(TEXT, "", "File of the client certificate's key.")
    tablet_manager_grpc_server_name: str = setting(
        TEXT, "", "Name expected in vttablets' certificates in place of their host name."
    )
    grpc_auth_static_client_creds: str = setting(
        TEXT, "", "JSON file with Username and Password, sent with every call to a vttablet."
    )
    grpc_keepalive_time: float = setting(
        POSITIVE_DURATION, 10.0, "Silence on a connection after which it is pinged, used or not."
    )
    grpc_keepalive_timeout: float = setting(
        POSITIVE_DURATION, 10.0, "How long a ping may stay unanswered before the connection counts as broken."
    )
    grpc_max_message_size: int = setting(whole(1, 2**31 - 1), 16777216, "Largest message accepted, in bytes.")


@dataclass(frozen=True, kw_only=True)
class MysqlSettings:
    """Accounts in MySQL"""

    mysql_topology_user: str = setting(
        TEXT,
        "",
        "Account with which mysqld itself is asked.",
        also=[
            key("MySQLTopologyUser", TEXT),
            key("MySQLTopologyCredentialsConfigFile", TEXT, lambda _: UNSET),  # see `orchestrator.adjust`
        ],
    )
    mysql_topology_password: str = setting(
        TEXT,
        "",
        "Its password; ${NAME} in it makes the whole password the value of the environment variable NAME.",
        also=[key("MySQLTopologyPassword", TEXT)],
        secret=True,
    )
    mysql_replica_user: str = setting(
        TEXT,
        "",
        "Account with which replicas copy from their source.",
        also=[key("MySQLReplicaUser", TEXT)],
        no_effect="each vttablet points its own mysqld at the source, with its own replication account",
    )
    mysql_replica_password: str = setting(
        TEXT,
        "",
        "Its password.",
        also=[key("MySQLReplicaPassword", TEXT)],
        secret=True,
        no_effect="each vttablet points its own mysqld at the source, with its own replication account",
    )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Logging"""

    log_dir: str = setting(
        TEXT, "", "Folder in which vtorc.log is written, beside what goes to standard error; made if missing."
    )
    log_level: str = setting(
        choice(*LOG_LEVELS),
        "info",
        "Least level that is logged.",
        also=[
            flag("debug", SWITCH, lambda on: "debug" if on else UNSET),
            flag("verbose", SWITCH, lambda on: "info" if on else UNSET),
            flag("quiet", SWITCH, lambda on: "error" if on else UNSET),
            key("Debug", SWITCH, lambda on: "debug" if on else UNSET),
        ],
        live=True,
    )
    log_format: str = setting(
        choice("json", "text"),
        "json",
        "How a line is written: one JSON object, or text for people.",
        also=[flag("log-structured", SWITCH, lambda on: "json" if on else "text")],
        live=True,
    )
    log_rotate_max_size: int = setting(
        whole(0),
        1887436800,
        "Size in bytes at which vtorc.log is put aside and begun anew; the last five are kept. 0 for never.",
    )


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Process, HTTP and records"""

    pid_file: str = setting(TEXT, "", "File that holds the process id while vtorc runs.")
    port: int = setting(
        whole(0, 65535),
        0,
        "Port of the HTTP server.",
        also=[key("ListenAddress", port_of_address())],
        no_effect=_NO_HTTP,
    )
    bind_address: str = setting(
        TEXT,
        "",
        "Address of the HTTP server; empty for every one.",
        also=[key("ListenAddress", host_of_address())],
        no_effect=_NO_HTTP,
    )
    sqlite_data_file: str = setting(
        TEXT,
        "file::memory:?mode=memory&cache=shared",
        "File of recorded recoveries and decisions, read with `vtorc history`. By default it is "
        "vtorc-history.sqlite in "
        "the log folder, and there is none without a log folder.",
        also=[key("SQLite3DataFile", TEXT)],
    )
    audit_file_location: str = setting(
        TEXT, "", "File to which audit lines are appended.", also=[key("AuditLogFile", TEXT)], no_effect=_NO_AUDIT
    )
    audit_to_backend: bool = setting(
        SWITCH, False, "Whether audit rows are recorded.", also=[key("AuditToBackendDB", SWITCH)], no_effect=_NO_AUDIT
    )
    audit_to_syslog: bool = setting(
        SWITCH, False, "Whether audit lines go to syslog.", also=[key("AuditToSyslog", SWITCH)], no_effect=_NO_AUDIT
    )
    audit_purge_duration: float = setting(
        DURATION,
        7 * 86400.0,
        "Age at which recorded recoveries and decisions are deleted, at the start.",
        also=[key("AuditPurgeDays", DAYS)],
    )


@dataclass(frozen=True, kw_only=True)
class Settings(
    FileSettings,
    TopoSettings,
    WatchSettings,
    RecoverySettings,
    TabletSettings,
    MysqlSettings,
    LogSettings,
    ProcessSettings,
):
    """All settings of one vtorc at one moment; without arguments, the defaults."""


GROUPS = (
    TopoSettings,
    FileSettings,
    WatchSettings,
    RecoverySettings,
    TabletSettings,
    MysqlSettings,
    LogSettings,
    ProcessSettings,
)
