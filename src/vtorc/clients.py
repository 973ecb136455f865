"""Makes the settings of the clients of the topology server, of tablets and of mysqlds from those of the daemon."""

from pathlib import Path

from vtorc.config.settings import Settings
from vtorc.mysql.held import MysqlCredentials
from vtorc.mysql.sentinel import MysqlSentinel
from vtorc.mysql.tls import MysqlTls
from vtorc.tablet.settings import ClientSettings, TlsFiles
from vtorc.topo.cells import TopoLimits
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.etcd2 import EtcdTls
from vtorc.topo.open import TopoAccess
from vtorc.topo.zk_access import ZkAccess


def topo_settings(settings: Settings) -> TopoAccess:
    """Return the settings of the topology server's client."""
    return TopoAccess(
        implementation=settings.topo_implementation,
        global_server_address=tuple(settings.topo_global_server_address.split(",")),
        global_root=settings.topo_global_root,
        lease_ttl=settings.topo_etcd_lease_ttl,
        etcd_tls=EtcdTls(
            cert=settings.topo_etcd_tls_cert,
            key=settings.topo_etcd_tls_key,
            ca=settings.topo_etcd_tls_ca,
        ),
        consul=ConsulAccess(
            auth_file=settings.consul_auth_static_file,
            session_ttl=settings.topo_consul_lock_session_ttl,
            session_checks=settings.topo_consul_lock_session_checks,
            lock_delay=settings.topo_consul_lock_delay,
            watch_wait=settings.topo_consul_watch_poll_duration,
        ),
        zk=ZkAccess(
            session_timeout=settings.topo_zk_base_timeout,
            max_concurrency=settings.topo_zk_max_concurrency,
            auth_file=settings.topo_zk_auth_file,
            cert=settings.topo_zk_tls_cert,
            key=settings.topo_zk_tls_key,
            ca=settings.topo_zk_tls_ca,
        ),
        limits=TopoLimits(
            remote_operation_timeout=settings.remote_operation_timeout,
            lock_timeout=settings.lock_timeout,
            read_concurrency=settings.topo_read_concurrency,
        ),
    )


def client_settings(settings: Settings) -> ClientSettings:
    """Return the settings of calls to tablets."""
    creds = settings.grpc_auth_static_client_creds
    return ClientSettings(
        rpc_timeout=settings.remote_operation_timeout,
        probe_timeout=settings.remote_operation_timeout,
        keepalive_time=settings.grpc_keepalive_time,
        keepalive_timeout=settings.grpc_keepalive_timeout,
        max_message_size=settings.grpc_max_message_size,
        tls=TlsFiles(
            cert=_path(settings.tablet_manager_grpc_cert),
            key=_path(settings.tablet_manager_grpc_key),
            ca=_path(settings.tablet_manager_grpc_ca),
            server_name=settings.tablet_manager_grpc_server_name,
        ),
        credentials_file=_path(creds),
    )


def make_sentinel(settings: Settings) -> MysqlSentinel | None:
    """Make the sentinel of the mysqlds if the settings name an account for it, else None.

    The end of a held connection is the fastest sign of a crash. Raises SettingsError if files of TLS cannot be used.
    """
    if not settings.mysql_topology_user:
        return None
    tls = MysqlTls(
        ca=settings.mysql_topology_ssl_ca_file,
        cert=settings.mysql_topology_ssl_cert_file,
        key=settings.mysql_topology_ssl_private_key_file,
        skip_verify=settings.mysql_topology_ssl_skip_verify,
    )
    context = tls.context() if settings.mysql_topology_use_mutual_tls else None
    return MysqlSentinel(MysqlCredentials(settings.mysql_topology_user, settings.mysql_topology_password, context))


def _path(text: str) -> Path | None:
    return Path(text) if text else None
