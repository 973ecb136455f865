"""The groups of this host that an operator is in (`PowerAuthGroups`)."""

import grp
import os
import pwd
from collections.abc import Iterable


def is_in_a_group(user: str, groups: Iterable[str]) -> bool:
    """Return whether a user is in one of the groups, by name; a user or group that the host does not know is in none.

    It may ask a directory over the network, and so take a while.
    """
    return any(user in _members(group) or _gid(group) in _gids(user) for group in groups)


def _members(group: str) -> list[str]:
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _gids(user: str) -> list[int]:
    try:
        return os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
    except KeyError:
        return []
