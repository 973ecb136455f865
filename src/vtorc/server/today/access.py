"""The roles that the paths of today's API take, and the security policies that deny them."""

import enum
import ipaddress
from collections.abc import Mapping

from starlette.requests import Request

from vtorc.forms.settings import SettingForm

POLICY = "security-policy"
"""The setting that names the policy."""


class Role(enum.Enum):
    """What a client has to be allowed to do for a path."""

    ANYTHING = "anything"
    """Nothing in particular: no policy denies the path."""
    MONITORING = "monitoring"
    DEBUGGING = "debugging"
    ADMIN = "admin"


def denial(request: Request, role: Role, settings: Mapping[str, SettingForm]) -> str | None:
    """Return why a request is denied, as Vitess' vtorc says it; None if it is allowed.

    Without a policy, every host of the network may stop all recoveries of Vitess' vtorc. This one takes that from its
    own host only, and never from a page of another site in the browser of an operator.
    """
    setting = settings.get(POLICY)
    policy = str(setting.value or "") if setting is not None else ""
    if role is Role.ANYTHING:
        return None
    if policy == "read-only":
        return f"not allowed: {policy} security-policy enforced" if role is Role.ADMIN else None
    if policy:
        return "not allowed: deny-all security-policy enforced"
    if role is not Role.ADMIN:
        return None
    if _is_from_other_site(request):
        return "not allowed: a page of another site asked for it"
    is_chosen = setting is not None and setting.source != "default"
    if is_chosen or _is_local(request):
        return None
    return "not allowed: ask from the host of vtorc, or start vtorc with --security-policy= to allow it from everywhere"


def _is_from_other_site(request: Request) -> bool:
    return request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _is_local(request: Request) -> bool:
    """Return whether the request came from this host; one over a Unix socket has no address."""
    if request.client is None or not request.client.host:
        return True
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
