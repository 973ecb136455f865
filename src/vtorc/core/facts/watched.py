"""The entries of `--clusters-to-watch`: keyspaces, and parts of keyspaces."""

from vtorc.core.facts.ids import COMPLETE_KEY_RANGE, KeyRange
from vtorc.errors import NameParseError

WatchedRange = tuple[str, KeyRange]
"""A keyspace, and the part of it that is watched."""


def watched_ranges(entry: str) -> tuple[WatchedRange, ...]:
    """Return the ranges that one entry names; raises NameParseError with the entry and what was expected.

    Vitess skips an entry that it cannot read (`go/vt/vtorc/logic/tablet_discovery.go`). This refuses it, because
    skipping it could widen the scope to everything.
    """
    keyspace, _, text = entry.strip().partition("/")
    if not keyspace:
        raise NameParseError(f"clusters_to_watch: {entry!r} names no keyspace; expected keyspace or keyspace/key range")
    ranges = KeyRange.parse_list(text) if text else (COMPLETE_KEY_RANGE,)
    return tuple((keyspace, each) for each in ranges)
