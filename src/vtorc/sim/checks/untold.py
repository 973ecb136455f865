"""The servers that a durability policy does not bind yet, as no vtorc could tell them of it."""

from collections.abc import Iterable

from vtorc.sim.mysql.server import SimMysqld

TOLD_WITHIN = 10.0
"""Seconds within which a vtorc that can change a server makes it wait for acknowledgements, or read-only."""


class Untold:
    """The servers of one shard that took writes without waiting when an operator set a policy that asks for it.

    A primary that cannot be reached then may be replaced without being stopped, as no policy forbade that. It is bound
    once it waits or is read-only. Once a vtorc could have seen to that, it is bound as well, and whatever it still does
    is a mistake of vtorc. A server that becomes writable later was never unbound.
    """

    def __init__(self) -> None:
        self._in_reach_since: dict[str, float | None] = {}

    def __contains__(self, server: SimMysqld) -> bool:
        """Whether no policy binds this server yet."""
        return server.uuid in self._in_reach_since

    def __bool__(self) -> bool:
        """Whether there is such a server."""
        return bool(self._in_reach_since)

    def policy_began(self, servers: Iterable[SimMysqld]) -> None:
        """Note that a policy asks for acknowledgements from now on, and the one before did not."""
        for each in servers:
            if not each.read_only and not each.acks.enabled:
                self._in_reach_since.setdefault(each.uuid, None)

    def policy_ended(self) -> None:
        """Note that no policy asks for acknowledgements any more."""
        self._in_reach_since.clear()

    def changed(self, server: SimMysqld) -> None:
        """Note that something changed that decides whether a write to this server waits."""
        if server.read_only or server.acks.enabled:
            self._in_reach_since.pop(server.uuid, None)

    def looked(self, server: SimMysqld, *, in_reach: bool, now: float) -> bool:
        """Note whether a vtorc can change this server now; returns whether it could for so long that it is bound."""
        if server not in self:
            return False
        since = self._in_reach_since[server.uuid]
        if not in_reach or since is None:
            self._in_reach_since[server.uuid] = now if in_reach else None
            return False
        if now - since < TOLD_WITHIN:
            return False
        del self._in_reach_since[server.uuid]
        return True
