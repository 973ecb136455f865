"""The settings of the topology server, as groups of `settings.Settings`."""

from dataclasses import dataclass

from vtorc.config.kinds import POSITIVE_DURATION, SECONDS, TEXT, WORDS, choice, whole
from vtorc.config.setting import flag, key, setting
from vtorc.config.topo_kinds import LOCK_DELAY, SESSION_TTL, TOPO_ADDRESS, TOPO_ROOT, ZK_SESSION

TOPO_IMPLEMENTATIONS = ("etcd2", "consul", "zk2", "local")

_LONGEST_LEASE = 9_000_000_000
"""Seconds of the longest lease that etcd grants (`server/lease/lessor.go`)."""


@dataclass(frozen=True, kw_only=True)
class TopoSettings:
    """Topology server"""

    topo_implementation: str = setting(
        choice(*TOPO_IMPLEMENTATIONS, default=""),
        "",
        "Kind of topology server: etcd2, consul and zk2 are Vitess' layouts in etcd v3, Consul and ZooKeeper, local "
        "is an SQLite file for the processes of one host. Required.",
    )
    topo_global_server_address: str = setting(
        TOPO_ADDRESS,
        "",
        "Addresses of the global topology server, as host:port separated by commas; for local, the path of its file. "
        "Required.",
    )
    topo_global_root: str = setting(
        TOPO_ROOT, "", "Path of the global records in the topology server, such as /vitess/global. Required."
    )
    topo_etcd_lease_ttl: int = setting(
        whole(1, _LONGEST_LEASE),
        30,
        "Seconds that a lock outlives a vtorc that was killed; the lease of a held lock is kept alive.",
    )
    topo_etcd_tls_ca: str = setting(TEXT, "", "File with the CA that etcd's certificate is checked against.")
    topo_etcd_tls_cert: str = setting(TEXT, "", "File of the client certificate for etcd; needs the key, too.")
    topo_etcd_tls_key: str = setting(TEXT, "", "File of the client certificate's key.")
    consul_auth_static_file: str = setting(
        TEXT,
        "",
        "JSON file with Consul's ACL tokens by cell, where `global` stands for the global topology: "
        '{"global": {"acl_token": "…"}}. For others the token is that of the environment, CONSUL_HTTP_TOKEN.',
    )
    topo_consul_lock_session_ttl: float = setting(
        SESSION_TTL,
        15.0,
        "How long a lock in Consul outlives a vtorc that was killed; Consul may take up to twice as long, and the lock "
        "delay follows.",
    )
    topo_consul_lock_session_checks: tuple[str, ...] = setting(
        WORDS,
        ("serfHealth",),
        "Health checks of its agent's node with which the session of a lock in Consul ends.",
    )
    topo_consul_lock_delay: float = setting(
        LOCK_DELAY,
        15.0,
        "How long Consul withholds a lock after its holder's session has ended without a release; 0s leaves this "
        "to Consul, which takes 15s.",
    )
    topo_consul_watch_poll_duration: float = setting(
        POSITIVE_DURATION, 30.0, "Longest wait of one query of a watch in Consul."
    )
    topo_zk_base_timeout: float = setting(
        ZK_SESSION,
        30.0,
        "How long a lock in ZooKeeper outlives a vtorc that was killed, as its session does; ZooKeeper grants 2 to 20 "
        "of its ticks, by default 4s to 40s.",
    )
    topo_zk_max_concurrency: int = setting(whole(1), 64, "Most calls to one ZooKeeper at the same time.")
    topo_zk_auth_file: str = setting(
        TEXT, "", "File with the credentials for ZooKeeper, as scheme:auth, such as digest:name:password."
    )
    topo_zk_tls_ca: str = setting(TEXT, "", "File with the CA that ZooKeeper's certificate is checked against.")
    topo_zk_tls_cert: str = setting(
        TEXT, "", "File of the client certificate for ZooKeeper, without which there is no TLS; needs the key, too."
    )
    topo_zk_tls_key: str = setting(TEXT, "", "File of the client certificate's key.")
    topo_read_concurrency: int = setting(whole(1), 32, "Most concurrent reads from one topology server.")
    lock_timeout: float = setting(
        POSITIVE_DURATION,
        45.0,
        "Longest wait for a shard lock that another process holds.",
        also=[flag("lock-shard-timeout", POSITIVE_DURATION), key("LockShardTimeoutSeconds", SECONDS)],
    )
    remote_operation_timeout: float = setting(
        POSITIVE_DURATION, 15.0, "Deadline of one call to the topology server, and of most calls to a tablet."
    )
