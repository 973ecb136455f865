"""All settings of vtorc, each declared once: type, default, meaning, other spellings, whether a reload changes it.

A part of vtorc that needs only some of them takes their group (`TopoSettings`, `TabletSettings` …); `Settings` has all
groups. Times are in seconds. Unless stated otherwise, defaults are those of Vitess v24 (`go/flags/endtoend/vtorc.txt`).
The keys in capitals are those of Vitess v11 to v21 (`go/vt/orchestrator/config/config.go`, later
`go/vt/vtorc/config/config.go`).
"""

from dataclasses import dataclass

from vtorc.config.file_settings import FileSettings
from vtorc.config.filter_settings import FilterSettings
from vtorc.config.http_settings import HttpSettings
from vtorc.config.kinds import (
    DURATION,
    MINUTES,
    POSITIVE_DURATION,
    SECONDS,
    SWITCH,
    TEXT,
    choice,
    duration,
    whole,
)
from vtorc.config.notify_settings import NotifySettings
from vtorc.config.orchestrator import promotion_filter, promotion_rules
from vtorc.config.record_settings import RecordSettings
from vtorc.config.setting import UNSET, flag, key, setting
from vtorc.config.topo_kinds import CLUSTERS
from vtorc.config.topo_settings import TopoSettings
from vtorc.core.facts.durability import POLICY_NAMES, PromotionRule
from vtorc.core.facts.ids import TabletAlias

LOG_LEVELS = ("debug", "info", "warn", "error")

_KEEPALIVE = duration(hours=596, above_zero=True)
"""gRPC counts these times in milliseconds, with 31 bits."""

_WATCH_ONLY = "vtorc watches and reports but changes nothing, as with --allow-recovery=false"


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """Scope and polling"""

    clusters_to_watch: tuple[str, ...] = setting(
        CLUSTERS, (), "Keyspaces, keyspace/shard or keyspace/key range that this vtorc acts on; empty means all."
    )
    cell: str = setting(
        TEXT, "", "Cell that this vtorc runs in, which the log names at the start. vtorc acts the same from every cell."
    )
    instance_poll_time: float = setting(
        POSITIVE_DURATION,
        5.0,
        "Interval between two probes of a tablet; a primary is probed up to five times as often.",
        also=[key("InstancePollSeconds", SECONDS)],
        live=True,
    )
    suspicious_poll_time: float = setting(
        POSITIVE_DURATION,
        0.15,
        "Interval between two probes of a tablet while the primary of its shard is under suspicion.",
        live=True,
    )
    topo_information_refresh_duration: float = setting(
        POSITIVE_DURATION,
        15.0,
        "Interval between two readings of all keyspace, shard and tablet records; watches report changes meanwhile.",
        also=[key("TopoInformationRefreshSeconds", SECONDS)],
        live=True,
    )
    recovery_poll_duration: float = setting(
        POSITIVE_DURATION,
        1.0,
        "Longest interval between two analyses of a shard; a change of its state begins one at once.",
        also=[key("RecoveryPollSeconds", SECONDS)],
        live=True,
    )
    reasonable_replication_lag: float = setting(
        DURATION,
        10.0,
        "Lag above which a replica counts as lagging in `/api/problems` and `/api/detection-analysis`, and in those of "
        "v12. No action follows from it.",
        also=[key("ReasonableReplicationLagSeconds", SECONDS)],
        live=True,
    )


@dataclass(frozen=True, kw_only=True)
class RecoverySettings:
    """Recovery"""

    durability: str = setting(
        choice(*POLICY_NAMES, default=""),
        "",
        "Durability policy of keyspaces without one in their record; a policy in the record takes precedence. Without "
        "either, vtorc takes no action in the keyspace. In a file with MySQLTopologyUser, which is one of Vitess v11 "
        "to v13, the default is 'none' as it was there.",
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
        "Seconds after the replacement of a primary in which the same tablet is not replaced again; 0 for none. "
        "Vitess v12 blocks the whole shard, by default for an hour.",
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
        "Whether vtorc repairs problems; if not, it only watches and reports. --noop and --discovery=false turn it "
        "off, too.",
        also=[
            flag("noop", SWITCH, lambda on: False if on else UNSET, note=_WATCH_ONLY),
            flag("discovery", SWITCH, lambda on: UNSET if on else False, note=_WATCH_ONLY),
        ],
        live=True,
    )
    allow_emergency_reparent: bool = setting(
        SWITCH,
        True,
        "Whether vtorc replaces a dead primary.",
        also=[key("RecoverPrimaryClusterFilters", promotion_filter(), lambda all_: UNSET if all_ else False)],
        live=True,
    )
    prevent_cross_cell_failover: bool = setting(
        SWITCH,
        False,
        "Whether an emergency reparent promotes only tablets in the cell of the lost primary.",
        also=[key("PreventCrossDataCenterPrimaryFailover", SWITCH)],
        live=True,
    )
    wait_replicas_timeout: float = setting(
        POSITIVE_DURATION,
        30.0,
        "Longest wait of a reparent for its replicas, for example until they have applied their relay logs.",
        also=[key("WaitReplicasTimeoutSeconds", SECONDS)],
        live=True,
    )
    tolerable_replication_lag: float = setting(
        DURATION,
        0.0,
        "Most lag of a replica that a planned reparent chooses by itself; 0 for any. An operator may name one that "
        "lags more.",
        also=[key("TolerableReplicationLagSeconds", SECONDS)],
        live=True,
    )
    change_tablets_with_errant_gtid_to_drained: bool = setting(
        SWITCH,
        False,
        "Whether a replica with errant GTIDs is changed to type DRAINED. vtorc never drains one whose acknowledgements "
        "are needed, nor one with transactions that several tablets share.",
        live=True,
    )
    enable_primary_disk_stalled_recovery: bool = setting(
        SWITCH, False, "Whether vtorc replaces a primary that reports a stalled disk.", live=True
    )
    recovery_concurrency: int = setting(
        whole(1),
        32,
        "Most recoveries of primaries at a time: replacements, tests of silent primaries and first elections. Others "
        "wait for their turn, the longest outage first.",
        live=True,
    )
    repair_concurrency: int = setting(
        whole(1),
        16,
        "Most repairs of other tablets at a time. They never take the slot of a replacement, and fewer run while a "
        "replacement waits for its turn.",
        live=True,
    )
    hold_replacements_above: int = setting(
        whole(0, 100),
        100,
        "Percentage of all shards that may have lost their primary within half a minute, or be without one still, "
        "before vtorc holds replacements back. It takes at least five such shards. Replacements resume when an "
        "operator raises this or when enough primaries are back. 100 never holds any back.",
        live=True,
    )
    share_shards: bool = setting(
        SWITCH,
        False,
        "Whether this vtorc shares the shards with the others that have this flag, through records in the topology "
        "server. Each shard is watched by two of them, and repaired by the first; the other one acts if the first has "
        "not within 5 s. A vtorc that dies is followed within 5 s. Without the flag each vtorc watches all shards.",
        also=[flag("partition", SWITCH)],
    )
    shutdown_wait_time: float = setting(
        DURATION,
        30.0,
        "Longest wait at SIGTERM until recoveries in progress have ended or were undone and their locks are released.",
    )


@dataclass(frozen=True, kw_only=True)
class TabletSettings:
    """Calls to tablets"""

    tablet_manager_grpc_ca: str = setting(
        TEXT,
        "",
        "File with the CA that vttablets' certificates are checked against. TLS is used if it is set, or the client "
        "certificate with its key.",
    )
    tablet_manager_grpc_cert: str = setting(
        TEXT, "", "File of the client certificate for vttablets; needs the key, too."
    )
    tablet_manager_grpc_key: str = setting(TEXT, "", "File of the client certificate's key.")
    tablet_manager_grpc_server_name: str = setting(
        TEXT, "", "Name expected in vttablets' certificates in place of their host name."
    )
    grpc_auth_static_client_creds: str = setting(
        TEXT, "", "JSON file with Username and Password, which are sent with every call to a vttablet."
    )
    grpc_keepalive_time: float = setting(
        _KEEPALIVE, 10.0, "Silence on a connection with a call or stream after which vtorc sends a ping."
    )
    grpc_keepalive_timeout: float = setting(
        _KEEPALIVE, 10.0, "Time without an answer to a ping after which the connection counts as broken."
    )
    grpc_max_message_size: int = setting(whole(1, 2**31 - 1), 16777216, "Largest message of a vttablet, in bytes.")


@dataclass(frozen=True, kw_only=True)
class MysqlSettings:
    """Accounts in MySQL"""

    mysql_topology_user: str = setting(
        TEXT,
        "",
        "Account with which vtorc logs in to each mysqld, to notice its end at once and to ask it while its vttablet "
        "does not answer; empty for no such connections.",
        also=[
            key("MySQLTopologyUser", TEXT),
            key("MySQLTopologyCredentialsConfigFile", TEXT, lambda _: UNSET),  # see `orchestrator.adjust`
        ],
    )
    mysql_topology_password: str = setting(
        TEXT,
        "",
        "Password of that account; if it has ${NAME} in it, the password is the environment variable NAME.",
        also=[key("MySQLTopologyPassword", TEXT)],
        secret=True,
    )
    mysql_topology_use_mutual_tls: bool = setting(
        SWITCH,
        False,
        "Whether that login uses TLS with every mysqld, version 1.2 at least, with the client certificate if there is "
        "one.",
        also=[key("MySQLTopologyUseMutualTLS", SWITCH)],
    )
    mysql_topology_ssl_ca_file: str = setting(
        TEXT,
        "",
        "PEM file of the authorities that the certificates of mysqlds are checked against, and their host names; empty "
        "for those that the host trusts.",
        also=[key("MySQLTopologySSLCAFile", TEXT)],
    )
    mysql_topology_ssl_cert_file: str = setting(
        TEXT, "", "PEM file of the client certificate for mysqlds.", also=[key("MySQLTopologySSLCertFile", TEXT)]
    )
    mysql_topology_ssl_private_key_file: str = setting(
        TEXT, "", "PEM file of its key.", also=[key("MySQLTopologySSLPrivateKeyFile", TEXT)]
    )
    mysql_topology_ssl_skip_verify: bool = setting(
        SWITCH,
        False,
        "Whether any certificate of a mysqld is taken, such as the one that MySQL makes for itself.",
        also=[key("MySQLTopologySSLSkipVerify", SWITCH)],
    )
    mysql_replica_user: str = setting(
        TEXT,
        "",
        "Replication account of the replicas.",
        also=[key("MySQLReplicaUser", TEXT)],
        no_effect="Vitess has no replication account but that of each vttablet",
    )
    mysql_replica_password: str = setting(
        TEXT,
        "",
        "Password of the replication account.",
        also=[key("MySQLReplicaPassword", TEXT)],
        secret=True,
        no_effect="Vitess has no replication account but that of each vttablet",
    )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """Logging"""

    log_dir: str = setting(
        TEXT, "", "Folder for vtorc.log, which has the same lines as standard error; created if missing."
    )
    log_level: str = setting(
        choice(*LOG_LEVELS),
        "info",
        "Lowest level that is logged.",
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
        "Format of a log line: one JSON object, or text.",
        also=[flag("log-structured", SWITCH, lambda on: "json" if on else "text")],
        live=True,
    )
    enable_syslog: bool = setting(
        SWITCH,
        False,
        "Whether the log goes to the host's syslog as well, from level info on, under the name orchestrator as in v12.",
        also=[key("EnableSyslog", SWITCH)],
    )
    log_rotate_max_size: int = setting(
        whole(0),
        1887436800,
        "Size in bytes at which vtorc.log is rotated; the last five files are kept. 0 for no rotation.",
    )


@dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """Process"""

    pid_file: str = setting(TEXT, "", "File that holds the process id while vtorc runs.")


@dataclass(frozen=True, kw_only=True)
class Settings(
    FileSettings,
    TopoSettings,
    WatchSettings,
    FilterSettings,
    RecoverySettings,
    TabletSettings,
    MysqlSettings,
    LogSettings,
    HttpSettings,
    NotifySettings,
    RecordSettings,
    ProcessSettings,
):
    """All settings of one vtorc at one moment; without arguments, the defaults."""


GROUPS = (
    TopoSettings,
    FileSettings,
    WatchSettings,
    FilterSettings,
    RecoverySettings,
    TabletSettings,
    MysqlSettings,
    LogSettings,
    HttpSettings,
    NotifySettings,
    RecordSettings,
    ProcessSettings,
)
