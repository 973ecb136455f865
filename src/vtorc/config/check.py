"""What must hold between settings, each of which is right by itself."""

from collections.abc import Set as AbstractSet

from vtorc.config.settings import TOPO_IMPLEMENTATIONS, Settings

_REQUIRED = (
    ("topo_implementation", f"one of {', '.join(TOPO_IMPLEMENTATIONS)}"),
    ("topo_global_server_address", "the addresses of the global topology server"),
    ("topo_global_root", "the path of the global data in it, such as /vitess/global"),
)
_TOGETHER = (
    ("topo_etcd_tls_cert", "topo_etcd_tls_key"),
    ("tablet_manager_grpc_cert", "tablet_manager_grpc_key"),
)


def check(settings: Settings, *, failed: AbstractSet[str]) -> list[str]:
    """List what is missing or contradictory; a setting that is in `failed` (by name) is already complained about."""
    problems = [
        f"{_flag(field)} is required: {what}"
        for field, what in _REQUIRED
        if not getattr(settings, field) and field.replace("_", "-") not in failed
    ]
    for one, other in _TOGETHER:
        for given, absent in ((one, other), (other, one)):
            if getattr(settings, given) and not getattr(settings, absent) and absent.replace("_", "-") not in failed:
                problems.append(f"{_flag(given)} needs {_flag(absent)} too: a certificate and its key go together")
    return problems


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
