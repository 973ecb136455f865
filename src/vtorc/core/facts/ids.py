"""Names of things in the topology: tablets, shards, key ranges, tablet types."""

import enum
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.errors import NameParseError

_ALIAS = re.compile(r"([-_.a-zA-Z0-9]+)-([0-9]{1,20})", re.ASCII)
_NAME = re.compile(r"[-_a-zA-Z0-9]+", re.ASCII)
_HEX_BYTES = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)
_MAX_UID = 2**32 - 1


@dataclass(frozen=True, slots=True, order=True)
class TabletAlias:
    """A tablet's name, unique in the cluster; ordered by cell, then by number."""

    cell: str
    uid: int

    @classmethod
    def parse(cls, text: str) -> "TabletAlias":
        """Read `<cell>-<uid>`, the number in decimal with any padding (Vitess `go/vt/topo/topoproto/tablet.go`).

        Raises NameParseError.
        """
        found = _ALIAS.fullmatch(text)
        if found is None or int(found[2]) > _MAX_UID:
            raise NameParseError(
                f"tablet alias {text!r}: expected <cell>-<number below 2^32>, for example zone1-0000000101"
            )
        return cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.cell}-{self.uid:010d}"


def alias_list(aliases: Iterable[TabletAlias]) -> str:
    """Return the aliases in their order, joined by commas; `none` if there are none."""
    return ", ".join(str(alias) for alias in sorted(aliases)) or "none"


class TabletType(enum.Enum):
    """Type of a tablet (values of `topodata.TabletType`)."""

    UNKNOWN = 0
    PRIMARY = 1
    REPLICA = 2
    RDONLY = 3
    SPARE = 4
    EXPERIMENTAL = 5
    BACKUP = 6
    RESTORE = 7
    DRAINED = 8

    @classmethod
    def parse(cls, text: str) -> "TabletType":
        """Read a type's name in any case; `master` and `batch` are the old names of `primary` and `rdonly`.

        Raises NameParseError.
        """
        name = text.strip().upper()
        try:
            return cls[_OLD_TYPE_NAMES.get(name, name)]
        except KeyError:
            known = ", ".join(str(each) for each in cls)
            raise NameParseError(f"tablet type {text!r}: expected one of {known}") from None

    def __str__(self) -> str:
        return self.name.lower()


_OLD_TYPE_NAMES = {"MASTER": "PRIMARY", "BATCH": "RDONLY"}
# A tuple: membership then compares identities, where a set would call the hash that Python gives to enums.
_REPLICA_TYPES = (TabletType.REPLICA, TabletType.RDONLY, TabletType.SPARE, TabletType.EXPERIMENTAL)


def is_replica_type(tablet_type: TabletType) -> bool:
    """Tell whether a tablet of this type must replicate from the shard's primary.

    BACKUP, RESTORE and DRAINED tablets may or may not (Vitess `go/vt/topo/tablet.go`).
    """
    return tablet_type in _REPLICA_TYPES


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A range of keyspace ids from `start` on, up to but without `end`; an empty `end` means no end.

    Trailing zero bytes do not matter, as a keyspace id is a fraction: `80` and `8000` are the same bound. They are
    dropped at construction. Raises NameParseError if the range is empty.
    """

    start: bytes = b""
    end: bytes = b""

    def __post_init__(self) -> None:
        start, end = self.start.rstrip(b"\0"), self.end.rstrip(b"\0")
        if self.end and end <= start:
            raise NameParseError(f"key range {self.start.hex()}-{self.end.hex()}: expected an end beyond the start")
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)

    @classmethod
    def parse(cls, text: str) -> "KeyRange":
        """Read `-80`, `80-`, `40-80`, or `-` and `0` for everything; hexadecimal in any case, whole bytes.

        Raises NameParseError, also for a list of ranges (`-40-80`), which `parse_list` reads.
        """
        ranges = cls.parse_list(text)
        if len(ranges) != 1:
            raise NameParseError(f"key range {text!r}: expected one range such as -80, 80-, 40-80, - or 0")
        return ranges[0]

    @classmethod
    def parse_list(cls, text: str) -> "tuple[KeyRange, ...]":
        """Read adjoining ranges: `-40-80-` is -40, 40-80 and 80- (the sharding specs of Vitess `go/vt/key/key.go`).

        Raises NameParseError.
        """
        if text == "0":
            return (COMPLETE_KEY_RANGE,)
        bounds = text.lower().split("-")
        if len(bounds) < 2 or not all(_HEX_BYTES.fullmatch(bound) for bound in bounds) or not all(bounds[1:-1]):
            raise NameParseError(
                f"key range {text!r}: expected <start>-<end> of whole hexadecimal bytes, either may be missing, "
                "for example -80 or 40-80"
            )
        keys = [bytes.fromhex(bound) for bound in bounds]
        return tuple(cls(start, end) for start, end in itertools.pairwise(keys))

    def contains(self, other: "KeyRange") -> bool:
        """Tell whether all of `other` lies in this range; this, not overlap, is what makes a shard watched."""
        return self.start <= other.start and (not self.end or (bool(other.end) and other.end <= self.end))

    @property
    def is_complete(self) -> bool:
        """Whether it covers every keyspace id."""
        return not self.start and not self.end

    def __str__(self) -> str:
        return f"{self.start.hex()}-{self.end.hex()}"


COMPLETE_KEY_RANGE = KeyRange()


@dataclass(frozen=True, slots=True, order=True)
class ShardId:
    """A shard's name, as the topology has it; `parse` checks names that come from people."""

    keyspace: str
    shard: str

    @classmethod
    def parse(cls, text: str) -> "ShardId":
        """Read `<keyspace>/<shard>`; a shard that is named by its key range is put in lower case.

        Raises NameParseError.
        """
        keyspace, slash, shard = text.partition("/")
        if not (slash and _NAME.fullmatch(keyspace) and _NAME.fullmatch(shard)):
            raise NameParseError(
                f"shard {text!r}: expected <keyspace>/<shard> of letters, digits, _ and -, for example commerce/-80"
            )
        if "-" in shard:
            KeyRange.parse(shard)
            shard = shard.lower()
        return cls(keyspace, shard)

    @property
    def key_range(self) -> KeyRange:
        """The part of the keyspace that it holds; a name without a dash, such as `0`, holds everything.

        Raises NameParseError if the name has a dash but is no key range.
        """
        return KeyRange.parse(self.shard) if "-" in self.shard else COMPLETE_KEY_RANGE

    def __str__(self) -> str:
        return f"{self.keyspace}/{self.shard}"
