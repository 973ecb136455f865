"""Handlers that tell about vtorc itself, and those that v12 answered from tables which are empty here."""

from vtorc.server.v12.answers import GoObject, Told, V12Error, go_time
from vtorc.server.v12.call import Call
from vtorc.server.v12.paths import whole_number

SECRET_HEADERS = frozenset(("authorization", "cookie", "proxy-authorization"))
"""Headers that are never shown."""


def health(call: Call) -> Told:
    """Return the health of this vtorc; raises V12Error while it is not heard."""
    details = _health(call)
    if not call.tools.is_healthy:
        raise V12Error("Application node is unhealthy: vtorc has not been heard for a while", details=details)
    return Told("Application node is healthy", details)


def alive(_: Call) -> str:
    """Say that the server answers."""
    return "OK"


def leader(call: Call) -> str:
    """Say that this vtorc acts; raises V12Error while it is not heard."""
    if not call.tools.is_healthy:
        code = whole_number(call.values.get("errorStatusCode", ""))
        raise V12Error("Not leader", status=code if code is not None and 400 <= code <= 599 else 404)
    return "OK"


def headers(call: Call) -> dict[str, list[str]]:
    """Return the headers of the request without those that hold secrets or the user of a proxy."""
    hidden = SECRET_HEADERS | {call.tools.settings.user_header.lower()}
    return {name.title(): values for name, values in call.headers.items() if name not in hidden}


def check_global_recoveries(call: Call) -> Told:
    """Return whether recoveries may begin; raises V12Error before vtorc told."""
    if call.memory.status is None:
        raise V12Error("vtorc has not told yet whether recoveries may begin: ask again in a moment")
    word = "enabled" if call.memory.status.recoveries_allowed else "disabled"
    return Told(f"Global recoveries {word}", word)


def automated_recovery_filters(call: Call) -> Told:
    """Return which clusters are repaired by themselves, in the form of v12's filters."""
    status = call.memory.status
    replaces = status is not None and status.recoveries_allowed and status.emergency_reparents_allowed
    watched = list(status.clusters_to_watch) if status is not None else []
    ignored = call.memory.settings.get("recovery-ignore-hostname-filters")
    return Told(
        "Automated recovery configuration details",
        {
            "RecoverPrimaryClusterFilters": (watched or ["*"]) if replaces else [],
            "RecoverIntermediatePrimaryClusterFilters": [],
            "RecoveryIgnoreHostnameFilters": ignored.value if ignored is not None else [],
        },
    )


def hostname_resolve_cache(_: Call) -> Told:
    """Return the cache of host names, which vtorc does not have."""
    return Told("Cache retrieved", {})


def reset_hostname_resolve_cache(_: Call) -> Told:
    """Say that no host name is cached, as vtorc looks names up at each connection."""
    return Told("Hostname cache cleared")


def _health(call: Call) -> GoObject:
    node = _node(call)
    return {
        "Healthy": call.tools.is_healthy,
        "Hostname": node["Hostname"],
        "Token": node["Token"],
        "IsActiveNode": call.tools.is_healthy,
        "ActiveNode": node,
        "Error": None,
        "AvailableNodes": [node],
        "RaftLeader": "",
        "IsRaftLeader": False,
        "RaftLeaderURI": "",
        "RaftAdvertise": "",
        "RaftHealthyMembers": [],
    }


def _node(call: Call) -> GoObject:
    status, heartbeat = call.memory.status, call.memory.heartbeat
    started = go_time(status.started) if status is not None else ""
    heard = go_time(heartbeat.at) if heartbeat is not None else ""
    return {
        "Hostname": call.tools.settings.host,
        "Token": str(status.process) if status is not None else "",
        "AppVersion": status.version if status is not None else "",
        "FirstSeenActive": started,
        "LastSeenActive": heard,
        "ExtraInfo": "",
        "Command": "",
        "DBBackend": status.history_file if status is not None else "",
        "LastReported": heard,
    }
