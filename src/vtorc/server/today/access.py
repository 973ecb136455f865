"""The roles that the paths of today's API take, and the security policies that deny them."""

import enum


class PathRole(enum.Enum):
    """The permission that a path needs, by Vitess' names."""

    ANYTHING = "anything"
    """No permission: no policy denies the path."""
    MONITORING = "monitoring"
    DEBUGGING = "debugging"
    ADMIN = "admin"


_DENIED_TO_READERS = frozenset({PathRole.ADMIN})
_DENIED_TO_ALL = frozenset({PathRole.ADMIN, PathRole.MONITORING, PathRole.DEBUGGING})


def denial(role: PathRole, policy: str) -> str | None:
    """Return why the security policy denies a role, as Vitess' vtorc says it; None if it is allowed.

    A policy that is not known denies all, and without one all is allowed. Which hosts may ask for what acts, the
    listener decides.
    """
    if not policy:
        return None
    name, denied = ("read-only", _DENIED_TO_READERS) if policy == "read-only" else ("deny-all", _DENIED_TO_ALL)
    return f"not allowed: {name} security-policy enforced" if role in denied else None
