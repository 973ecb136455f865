"""Which shards this vtorc acts on; it sees all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.core.facts.ids import KeyRange, ShardId
from vtorc.errors import VtorcError


@dataclass(frozen=True, slots=True)
class Scope:
    """Keyspaces with the key ranges that are acted on; empty means everything."""

    ranges: tuple[tuple[str, KeyRange], ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Scope":
        """Read `--clusters_to_watch`: a keyspace, or keyspace/key range, each; raises VtorcError naming the entry.

        A shard is acted on when one of the ranges contains its own, so that a reshard is followed (Vitess
        `go/vt/vtorc/logic/tablet_discovery.go`). Unlike there, an entry that cannot be read is refused: skipping it
        could widen the scope to everything.
        """
        ranges: list[tuple[str, KeyRange]] = []
        for entry in entries:
            keyspace, _, text = entry.strip().partition("/")
            if not keyspace:
                raise VtorcError(
                    f"clusters_to_watch: {entry!r} names no keyspace; expected keyspace or keyspace/key range"
                )
            parsed = KeyRange.parse_list(text) if text else (KeyRange.parse("-"),)
            ranges += [(keyspace, each) for each in parsed]
        return cls(tuple(ranges))

    def covers(self, shard: ShardId) -> bool:
        """Whether the shard is acted on."""
        if not self.ranges:
            return True
        return any(shard.keyspace == keyspace and each.contains(shard.key_range) for keyspace, each in self.ranges)
