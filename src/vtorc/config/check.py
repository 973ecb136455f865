"""Checks across several settings that are each valid by themselves."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from vtorc.config.settings import TOPO_IMPLEMENTATIONS, Settings
from vtorc.config.topo_kinds import ETCD_ADDRESS, is_etcd_address

_REQUIRED = (
    ("topo_implementation", f"one of {', '.join(TOPO_IMPLEMENTATIONS)}"),
    ("topo_global_server_address", "the addresses of the global topology server"),
    ("topo_global_root", "the path of the global data in it, such as /vitess/global"),
)
_TOGETHER = (
    ("topo_etcd_tls_cert", "topo_etcd_tls_key"),
    ("tablet_manager_grpc_cert", "tablet_manager_grpc_key"),
)


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
    if settings.topo_implementation == "etcd2" and address and not is_etcd_address(address):
        problems.append(f"{written['topo_global_server_address']}: expected {ETCD_ADDRESS}, got {address!r}")
    return problems


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
