"""Replication positions as Vitess encodes them: `<flavour>/<value>`.

Source of the rules: Vitess `go/mysql/replication/` (`replication_position.go`, `mariadb_gtid.go`, `filepos_gtid.go`).
"""

import enum
import re
from dataclasses import dataclass

from vtorc.core.facts.gtid import Comparison, GtidSet
from vtorc.errors import PositionFlavorMismatch, PositionParseError

_MARIADB_GTID = re.compile(r"\s*([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})\s*", re.ASCII)
_FILE_POSITION = re.compile(r"([^:]+):([0-9]{1,20})", re.ASCII)
_BINLOG_NAME = re.compile(r"(.*\.)([0-9]+)", re.ASCII)


class Flavor(enum.Enum):
    """Kind of a position; the values are Vitess' prefixes."""

    MYSQL = "MySQL56"
    MARIADB = "MariaDB"
    FILE = "FilePos"


@dataclass(frozen=True, slots=True, order=True)
class MariadbGtid:
    """The last transaction of one replication domain: written by `server`, `sequence`-th of its domain."""

    domain: int
    server: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.domain}-{self.server}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class MariadbPosition:
    """How far each replication domain has come; `gtids` has one item for each domain, in order."""

    gtids: tuple[MariadbGtid, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "MariadbPosition":
        """Read `domain-server-sequence[,…]` in any order, empty items allowed; raises PositionParseError."""
        found: dict[int, MariadbGtid] = {}
        for item in text.split(","):
            if not item.strip():
                continue
            match = _MARIADB_GTID.fullmatch(item)
            if match is None:
                raise PositionParseError(f"MariaDB position {text!r}: expected domain-server-sequence, not {item!r}")
            gtid = MariadbGtid(int(match[1]), int(match[2]), int(match[3]))
            if gtid.domain in found:
                raise PositionParseError(f"MariaDB position {text!r}: expected domain {gtid.domain} only once")
            found[gtid.domain] = gtid
        return cls(tuple(sorted(found.values())))

    def contains(self, other: "MariadbPosition") -> bool:
        """Tell whether every domain of `other` has come as far here.

        The same number from two servers is two different transactions, a split brain: neither contains the other.
        """
        mine = {gtid.domain: gtid for gtid in self.gtids}
        return all(_has_come_to(mine.get(theirs.domain), theirs) for theirs in other.gtids)

    def __str__(self) -> str:
        return ",".join(map(str, self.gtids))


@dataclass(frozen=True, slots=True)
class FilePosition:
    """An offset in one server's binary log; it says something only about positions in the log of the same server."""

    file: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> "FilePosition":
        """Read `<file>:<offset>`; raises PositionParseError."""
        match = _FILE_POSITION.fullmatch(text.strip())
        if match is None:
            raise PositionParseError(f"file position {text!r}: expected <binary log file>:<offset>")
        return cls(match[1], int(match[2]))

    def contains(self, other: "FilePosition") -> bool:
        """Tell whether this position is at or after `other`.

        Files are ordered by their number (`binlog.1000000` is after `binlog.999999`); logs of different names have no
        order.
        """
        if self.file == other.file:
            return self.offset >= other.offset
        mine, theirs = _BINLOG_NAME.fullmatch(self.file), _BINLOG_NAME.fullmatch(other.file)
        return mine is not None and theirs is not None and mine[1] == theirs[1] and int(mine[2]) > int(theirs[2])

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Position:
    """A position of any flavour; `str` gives Vitess' encoding."""

    value: GtidSet | MariadbPosition | FilePosition

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Read Vitess' encoding; the empty text means no position at all, `MySQL56/` the empty set.

        Raises PositionParseError for a flavour unknown or missing, GtidParseError for a malformed GTID set.
        """
        if not text:
            return None
        prefix, slash, value = text.partition("/")
        if slash and prefix == Flavor.MYSQL.value:
            return cls(GtidSet.parse(value))
        if slash and prefix == Flavor.MARIADB.value:
            return cls(MariadbPosition.parse(value))
        if slash and prefix == Flavor.FILE.value:
            return cls(FilePosition.parse(value))
        known = ", ".join(f"{flavor.value}/" for flavor in Flavor)
        raise PositionParseError(f"position {text[:120]!r}: expected one of {known} at its start")

    @property
    def flavor(self) -> Flavor:
        """The kind of position."""
        match self.value:
            case GtidSet():
                return Flavor.MYSQL
            case MariadbPosition():
                return Flavor.MARIADB
            case FilePosition():
                return Flavor.FILE

    def contains(self, other: "Position") -> bool:
        """Tell whether a server at this position has everything up to `other`; raises PositionFlavorMismatch."""
        match self.value, other.value:
            case (GtidSet() as mine, GtidSet() as theirs):
                return mine.contains(theirs)
            case (MariadbPosition() as mine, MariadbPosition() as theirs):
                return mine.contains(theirs)
            case (FilePosition() as mine, FilePosition() as theirs):
                return mine.contains(theirs)
        raise PositionFlavorMismatch(
            f"positions {self.flavor.value} and {other.flavor.value} have no order: "
            "give all servers of the shard the same GTID mode"
        )

    def compare(self, other: "Position") -> Comparison:
        """Say how this position stands to `other`; raises PositionFlavorMismatch."""
        return Comparison.of(has_all_of_other=self.contains(other), other_has_all=other.contains(self))

    def __str__(self) -> str:
        return f"{self.flavor.value}/{self.value}"


def _has_come_to(mine: MariadbGtid | None, theirs: MariadbGtid) -> bool:
    if mine is None:
        return False
    return mine.sequence > theirs.sequence or (mine.sequence == theirs.sequence and mine.server == theirs.server)
