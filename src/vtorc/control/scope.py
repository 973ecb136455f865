"""The shards that this vtorc acts on; it sees all of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.watched import WatchedRange, watched_ranges
from vtorc.errors import NameParseError


@dataclass(frozen=True, slots=True)
class Scope:
    """Keyspaces and key ranges that vtorc acts on."""

    ranges: tuple[WatchedRange, ...] = ()
    """Empty means all shards."""

    @classmethod
    def parse(cls, entries: Iterable[str]) -> "Scope":
        """Read the entries of `--clusters_to_watch`, each a keyspace or keyspace/key range.

        vtorc acts on a shard if one of the ranges contains the shard's key range, so that it follows a reshard (Vitess
        `go/vt/vtorc/logic/tablet_discovery.go`). Raises NameParseError naming the entry.
        """
        return cls(tuple(each for entry in entries for each in watched_ranges(entry)))

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
