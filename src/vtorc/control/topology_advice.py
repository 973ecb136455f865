"""Warns of a topology server that has nothing of what the settings name, which most often is a wrong setting."""

from collections.abc import Collection, Sequence

import structlog

from vtorc.control.scope import Scope
from vtorc.core.facts.ids import ShardId


class TopologyAdvice:
    """An observer of the topology that gives each piece of advice once while its cause lasts."""

    def __init__(self, clusters_to_watch: Sequence[str], *, root: str, new_file: str = "") -> None:
        """Compare what is read with these settings; raises NameParseError for a malformed entry.

        `new_file` is the path of a local topology that did not exist before this start, and empty otherwise.
        """
        self._scopes = {entry: Scope.parse([entry]) for entry in clusters_to_watch}
        self._root = root
        self._new_file = new_file
        self._given: frozenset[str] = frozenset()
        self._log = structlog.get_logger("vtorc")

    def found(self, shard: ShardId, *, tablets: int, controlled: bool) -> None:
        """Do nothing: a reading comes with all shards."""

    def gone(self, shard: ShardId, *, watched_by: Sequence[str] = ()) -> None:
        """Do nothing: a reading comes with all shards."""

    def unread(self, failures: Sequence[str]) -> None:
        """Do nothing: what could not be read may have everything."""

    def read(self, shards: Collection[ShardId]) -> None:
        """Warn of each setting that leads to no shard."""
        advice = frozenset(self._advice(shards))
        for sentence in sorted(advice - self._given):
            self._log.warning(sentence)
        self._given = advice

    def _advice(self, shards: Collection[ShardId]) -> list[str]:
        if not shards:
            return [self._no_shards()]
        return [
            f"clusters_to_watch: {entry!r} matches none of the {len(shards)} shards, so vtorc acts on nothing for it; "
            f"check the spelling of the keyspace and the key range"
            for entry, scope in self._scopes.items()
            if not any(scope.covers(shard) for shard in shards)
        ]

    def _no_shards(self) -> str:
        if self._new_file:
            return (
                f"topo_global_server_address: there was no file {self._new_file}, so vtorc made an empty topology "
                f"there; if the cluster has one, stop vtorc and name the file of that"
            )
        return (
            f"topo_global_root: {self._root!r} has no keyspace with a shard, so vtorc watches nothing until there is "
            f"one; if the cluster has some, check this path and topo_global_server_address"
        )
