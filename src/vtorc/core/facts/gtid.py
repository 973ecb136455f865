"""MySQL GTID sets, with the tags of MySQL 8.3 and later, as immutable values.

The text form is the one of the MySQL manual, "GTID Format and Storage": items joined by commas, each of the form
`uuid:[tag:]interval[:interval…][:tag:interval…]`. Server and tag together name one series of transaction numbers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vtorc.core.facts import intervals as iv
from vtorc.core.facts.intervals import Interval, Intervals
from vtorc.errors import GtidParseError

Series = tuple[str, str]
"""Server UUID and tag, both in lower case; the tag is empty for ordinary transactions."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}", re.ASCII)
_INTERVAL = re.compile(r"([0-9]{1,20})(?:\s*-\s*([0-9]{1,20}))?", re.ASCII)
_MAX_NUMBER = 2**63 - 2
_EXAMPLE = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:11, or with a tag 3e11fa47-71ca-11e1-9e33-c80aa9429562:blue:1-5"
_SHOWN_IN_ERRORS = 120
_SHOWN_RANGES = 3


@dataclass(frozen=True, slots=True)
class GtidSet:
    """A set of transactions; build it with `parse`, `of` or `from_intervals`."""

    entries: tuple[tuple[Series, Intervals], ...] = ()
    """One item for each series that is not empty, ordered by series, with its merged intervals of transaction numbers.
    Equal sets have equal entries."""

    @classmethod
    def parse(cls, text: str) -> "GtidSet":
        """Read the text form as leniently as MySQL: any case, white space around each part, nothing between two commas.

        An interval that ends before it starts holds nothing. Stricter than MySQL in two things: a server or tag without
        any interval is taken for truncated text, and a UUID needs its dashes. Raises GtidParseError.
        """
        found: dict[Series, list[Interval]] = {}
        for item in text.split(","):
            if stripped := item.strip():
                _read_item(stripped.lower(), found, whole=text)
        return cls.from_intervals(found)

    @classmethod
    def of(cls, uuid: str, first: int, last: int | None = None, *, tag: str = "") -> "GtidSet":
        """Return the transactions `first` to `last` of one server, or `first` alone."""
        return cls.from_intervals({(uuid.lower(), tag.lower()): [(first, first if last is None else last)]})

    @classmethod
    def from_intervals(cls, intervals: Mapping[Series, Iterable[Interval]]) -> "GtidSet":
        """Build a set from closed intervals in any order, overlapping or not."""
        merged = ((series, iv.normalise(each)) for series, each in sorted(intervals.items()))
        return cls(tuple((series, each) for series, each in merged if each))

    def union(self, *others: "GtidSet") -> "GtidSet":
        """Return the transactions of this set and all others; this very set if they add nothing."""
        merged = dict(self.entries)
        adds = False
        for other in others:
            if other.entries == self.entries:
                continue
            for series, intervals in other.entries:
                mine = merged.get(series)
                both = intervals if mine is None else iv.union(mine, intervals)
                if both != mine:
                    merged[series], adds = both, True
        return GtidSet(tuple(sorted(merged.items()))) if adds else self

    def difference(self, other: "GtidSet") -> "GtidSet":
        """Return the transactions of this set that `other` lacks."""
        if self.entries == other.entries:
            return EMPTY_GTID_SET
        theirs = dict(other.entries)
        left = ((series, iv.difference(mine, theirs.get(series, ()))) for series, mine in self.entries)
        return GtidSet(tuple((series, intervals) for series, intervals in left if intervals))

    def intersection(self, other: "GtidSet") -> "GtidSet":
        """Return the transactions that both sets have."""
        theirs = dict(other.entries)
        common = ((series, iv.intersection(mine, theirs.get(series, ()))) for series, mine in self.entries)
        return GtidSet(tuple((series, intervals) for series, intervals in common if intervals))

    def contains(self, other: "GtidSet") -> bool:
        """Tell whether this set has every transaction of `other`; every set contains the empty one."""
        mine = dict(self.entries)
        return all(iv.covers(mine.get(series, ()), theirs) for series, theirs in other.entries)

    def is_subset_of(self, other: "GtidSet") -> bool:
        """Tell whether `other` has every transaction of this set."""
        return other.contains(self)

    def count(self) -> int:
        """Return how many transactions there are."""
        return sum(iv.count(intervals) for _, intervals in self.entries)

    @property
    def uuids(self) -> tuple[str, ...]:
        """The servers on which the transactions were first committed, in order."""
        return tuple(dict.fromkeys(uuid for (uuid, _), _ in self.entries))

    def only_uuid(self, uuid: str) -> "GtidSet":
        """Return the transactions first committed on one server, whatever their tag."""
        wanted = uuid.lower()
        kept = tuple([entry for entry in self.entries if entry[0][0] == wanted])
        return self if len(kept) == len(self.entries) else GtidSet(kept)

    def without_uuid(self, uuid: str) -> "GtidSet":
        """Return the transactions not first committed on one server; all of them if `uuid` is empty (unknown)."""
        return self.without_uuids((uuid,))

    def without_uuids(self, uuids: Iterable[str]) -> "GtidSet":
        """Return the transactions not first committed on any of these servers."""
        unwanted = {uuid.lower() for uuid in uuids}
        return GtidSet(tuple(entry for entry in self.entries if entry[0][0] not in unwanted))

    def brief(self) -> str:
        """Name the transactions in a sentence of bounded length: how many, and at most `_SHOWN_RANGES` ranges of them.

        UUIDs are cut to their first group, or to as many as tell them apart: `3 transactions: 8bc65c84…:5-7`.
        """
        if not self.entries:
            return "no transactions"
        total = sum(len(intervals) for _, intervals in self.entries)
        width = _telling_width(self.uuids)
        shown: list[str] = []
        left = _SHOWN_RANGES
        for (uuid, tag), intervals in self.entries:
            if left <= 0:
                break
            name = uuid if width == len(uuid) else f"{uuid[:width]}…"
            shown.append(":".join((name, *filter(None, (tag,)), *map(_interval_text, intervals[:left]))))
            left -= len(intervals)
        hidden = total - _SHOWN_RANGES
        more = f" and {hidden} more {_plural(hidden, 'range')}" if hidden > 0 else ""
        count = self.count()
        return f"{count} {_plural(count, 'transaction')}: {', '.join(shown)}{more}"

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __str__(self) -> str:
        """Return the form that MySQL prints, without its newlines: untagged intervals first, then the tags in order."""
        items: list[str] = []
        last_uuid = ""
        for (uuid, tag), intervals in self.entries:
            part = ":".join((*filter(None, (tag,)), *map(_interval_text, intervals)))
            if uuid == last_uuid:
                items[-1] += f":{part}"
            else:
                items.append(f"{uuid}:{part}")
            last_uuid = uuid
        return ",".join(items)


EMPTY_GTID_SET = GtidSet()


def _read_item(item: str, found: dict[Series, list[Interval]], *, whole: str) -> None:
    uuid, *parts = (part.strip() for part in item.split(":"))
    if not _UUID.fullmatch(uuid):
        raise _error(whole, item, f"{_shorten(uuid)!r} is no server UUID")
    tag = ""
    read = 0
    for part in parts:
        if _TAG.fullmatch(part):
            if tag and not read:
                raise _error(whole, item, f"no interval follows the tag {tag!r}")
            tag, read = part, 0
        else:
            found.setdefault((uuid, tag), []).append(_read_interval(part, item, whole=whole))
            read += 1
    if not read:
        raise _error(whole, item, f"no interval follows {_shorten(tag or uuid)!r}")


def _read_interval(part: str, item: str, *, whole: str) -> Interval:
    match = _INTERVAL.fullmatch(part)
    if match is None:
        raise _error(whole, item, f"{_shorten(part)!r} is neither a tag nor an interval")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if first < 1 or max(first, last) > _MAX_NUMBER:
        raise _error(whole, item, f"{_shorten(part)!r} is outside of 1 to 2^63 - 2")
    return first, last


def _error(whole: str, item: str, reason: str) -> GtidParseError:
    place = "" if whole.strip().lower() == item else f", in {_shorten(item)!r}"
    return GtidParseError(f"GTID set {_shorten(whole)!r}{place}: {reason}; expected the form {_EXAMPLE}")


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_IN_ERRORS else f"{text[:_SHOWN_IN_ERRORS]}…"


def _interval_text(interval: Interval) -> str:
    first, last = interval
    return str(first) if first == last else f"{first}-{last}"


def _telling_width(uuids: tuple[str, ...]) -> int:
    return next(width for width in (8, 13, 18, 23, 36) if len({uuid[:width] for uuid in uuids}) == len(uuids))


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
