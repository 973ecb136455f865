"""Checks across several settings that are each valid by themselves."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from vtorc.config.http_kinds import REFUSED_METHODS
from vtorc.config.settings import Settings
from vtorc.config.topo_kinds import HOST_PORTS, ZK_SERVERS, are_host_ports, are_zk_servers
from vtorc.config.topo_settings import TOPO_IMPLEMENTATIONS

_REQUIRED = (
    ("topo_implementation", f"one of {', '.join(TOPO_IMPLEMENTATIONS)}"),
    ("topo_global_server_address", "the addresses of the global topology server"),
    ("topo_global_root", "the path of the global data in it, such as /vitess/global"),
)
_TOGETHER = (
    ("topo_etcd_tls_cert", "topo_etcd_tls_key"),
    ("topo_zk_tls_cert", "topo_zk_tls_key"),
    ("tablet_manager_grpc_cert", "tablet_manager_grpc_key"),
    ("mysql_topology_ssl_cert_file", "mysql_topology_ssl_private_key_file"),
)
_BESIDE_SWITCH = (
    ("use_ssl", "ssl_cert_file", "a PEM file with the server's certificate"),
    ("use_ssl", "ssl_private_key_file", "a PEM file with the key of that certificate"),
    ("use_mutual_tls", "use_ssl", "clients send certificates with TLS only"),
    ("use_mutual_tls", "ssl_ca_file", "a PEM file with the authorities of clients"),
    ("use_mutual_tls", "ssl_valid_ous", "the organizational units of clients that may use the server"),
)
_KEYS = {
    "use_ssl": "UseSSL",
    "use_mutual_tls": "UseMutualTLS",
    "ssl_cert_file": "SSLCertFile",
    "ssl_private_key_file": "SSLPrivateKeyFile",
    "ssl_ca_file": "SSLCAFile",
    "ssl_valid_ous": "SSLValidOUs",
    "authentication_method": "AuthenticationMethod",
    "auth_user_header": "AuthUserHeader",
}
"""Keys of v12's files, for settings that such a file is most likely to have."""

_ASKING_METHODS = ("basic", "multi")


def check(settings: Settings, *, written: Mapping[str, str], failed: AbstractSet[str]) -> list[str]:
    """List the required settings that are missing, the pairs of which one is missing, and addresses of a wrong form.

    `written` names the flag or key of each setting that is given, by field. Settings in `failed` (by name) are left
    out, as their value was refused already.
    """
    problems = [
        f"{_flag(field)} is required: {what}"
        for field, what in _REQUIRED
        if not getattr(settings, field) and field.replace("_", "-") not in failed
    ]
    for first, second in _TOGETHER:
        for given, absent in ((first, second), (second, first)):
            if getattr(settings, given) and not getattr(settings, absent) and absent.replace("_", "-") not in failed:
                problems.append(f"{_flag(given)} needs {_flag(absent)} too: a certificate and its key go together")
    address = settings.topo_global_server_address
    if settings.topo_implementation in ("etcd2", "consul") and address and not are_host_ports(address):
        problems.append(f"{written['topo_global_server_address']}: expected {HOST_PORTS}, got {address!r}")
    if settings.topo_implementation == "zk2" and address and not are_zk_servers(address):
        problems.append(f"{written['topo_global_server_address']}: expected {ZK_SERVERS}, got {address!r}")
    problems += [
        f"{_written(switch)} needs {_written(needed)} too: {what}"
        for switch, needed, what in _BESIDE_SWITCH
        if getattr(settings, switch) and not getattr(settings, needed) and needed.replace("_", "-") not in failed
    ]
    if settings.webhook_secret and settings.webhook_secret_file:
        problems.append("--webhook-secret-file and the key webhook-secret both name the webhook's key: keep one")
    return [*problems, *_access_problems(settings, failed)]


def _access_problems(settings: Settings, failed: AbstractSet[str]) -> list[str]:
    """List why the authentication method cannot be used: v12 served some of these to all clients."""
    method = settings.authentication_method
    written = f"{_written('authentication_method')} {method}"
    if method in REFUSED_METHODS:
        return [
            f"{written} is not supported: {REFUSED_METHODS[method]}; use basic, or proxy behind a proxy that does it"
        ]
    if method in _ASKING_METHODS:
        needed = {"http_auth_user": "HTTPAuthUser", "http_auth_password": "HTTPAuthPassword"}
        problems = [
            f"{written} needs the key {name} of the settings file"
            for field, name in needed.items()
            if not getattr(settings, field) and field.replace("_", "-") not in failed
        ]
        if ":" in settings.http_auth_user:
            problems.append(f"--http-auth-user: expected a name without a colon, got {settings.http_auth_user!r}")
        return problems
    if method == "proxy" and not settings.auth_user_header:
        return [f"{written} needs {_written('auth_user_header')}: the header by which the proxy names the operator"]
    return []


def _written(field: str) -> str:
    return f"{_flag(field)} ({_KEYS[field]})"


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
