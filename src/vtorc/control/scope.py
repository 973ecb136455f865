"""The shards that this vtorc acts on; it sees all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.core.facts.ids import KeyRange, ShardId
from vtorc.errors import NameParseError, VtorcError


@dataclass(frozen=True, slots=True)
class Scope:
    """Keyspaces and key ranges that vtorc acts on."""

    ranges: tuple[tuple[str, KeyRange], ...] = ()
    """Empty means all shards."""

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Scope":
        """Read the entries of `--clusters_to_watch`, each a keyspace or keyspace/key range; raises VtorcError naming
        the entry.

        vtorc acts on a shard if one of the ranges contains the shard's key range, so that it follows a reshard (Vitess
        `go/vt/vtorc/logic/tablet_discovery.go`). Vitess skips an entry that it cannot read. This refuses it, because
        skipping it could widen the scope to everything.
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
        """Return whether vtorc acts on the shard.

        Vitess also accepts names that hold no keyspace id, such as `80-8000`. An entry for the whole keyspace covers
        such a shard, and an entry for a part of it does not.
        """
        if not self.ranges:
            return True
        entries = [each for keyspace, each in self.ranges if keyspace == shard.keyspace]
        if any(each.is_complete for each in entries):
            return True
        try:
            key_range = shard.key_range
        except NameParseError:
            return False
        return any(each.contains(key_range) for each in entries)
