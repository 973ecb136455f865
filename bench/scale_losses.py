"""What is lost in a measurement of `bench.scale`, and which findings of the daemon are then right."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.daemon import LogLine, logged_at
from bench.fake_fleet.layout import CELLS, Place
from vtorc.core.detection.problems import Code

_LOST_CELL = CELLS[-1]
_PRIMARY_LOST = frozenset({Code.DEAD_PRIMARY.value, Code.DEAD_PRIMARY_AND_SOME_REPLICAS.value})
_ON_THE_WAY = frozenset(
    {
        Code.UNREACHABLE_PRIMARY.value,
        Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS.value,
        Code.PRIMARY_SEMI_SYNC_BLOCKED.value,
        Code.STALE_TOPO_PRIMARY.value,
    }
)
"""Findings about a lost primary before it is certain, and after it was replaced.

Its replicas may tell that they lost it before vtorc has asked it itself: then it gets no acknowledgements.
"""

_TOLD_AT_MOST = 5

Key = tuple[str, str]
"""A code and the tablet that it is about."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Tablets that are lost at once, in words of a table. `patience` is in seconds."""

    name: str
    lost: tuple[Place, ...]
    shards: tuple[tuple[Place, ...], ...]
    """All tablets of the shards that are hit."""
    patience: float

    def expected(self) -> Iterator[frozenset[Key]]:
        """For each lost tablet, the findings of which one must come."""
        for shard in self.shards:
            gone = [place for place in shard if place in self.lost]
            for place in gone:
                codes: Collection[str] = {Code.INVALID_REPLICA.value}
                if place.is_primary:
                    codes = {Code.DEAD_PRIMARY_AND_REPLICAS.value} if len(gone) == len(shard) else _PRIMARY_LOST
                yield frozenset((code, str(place.alias)) for code in codes)

    def to_be_replaced(self) -> set[str]:
        """The shards whose primary is lost and has replicas left."""
        return {
            str(shard[0].shard)
            for shard in self.shards
            if any(place.is_primary and place in self.lost for place in shard)
            and not all(place in self.lost for place in shard)
        }

    def right_findings(self) -> frozenset[Key]:
        """All findings that follow from this loss."""
        on_the_way = {(code, str(place.alias)) for place in self.lost if place.is_primary for code in _ON_THE_WAY}
        return frozenset(on_the_way.union(*self.expected()))


@dataclass(frozen=True, slots=True)
class Times:
    """The first, the middle and the last of some times, in seconds."""

    first: float
    median: float
    last: float

    @classmethod
    def of(cls, seconds: Collection[float]) -> "Times | None":
        """Sum up; None if there are none."""
        return cls(min(seconds), median(seconds), max(seconds)) if seconds else None

    def __str__(self) -> str:
        return f"the first after {self.first:.2f} s, half after {self.median:.2f} s, the last after {self.last:.2f} s"


@dataclass(frozen=True, slots=True)
class LossFigures:
    """How one loss was found; seconds are from the loss to a finding, or to the end of a replacement."""

    name: str
    tablets: int
    expected: int
    found: int
    found_seconds: Times | None
    verdict_seconds: Times | None
    """Of lost primaries alone."""
    to_replace: int
    replaced: int
    replaced_seconds: Times | None
    fleet_late: float = 0.0
    """Seconds by which the fake fleet itself was late at worst: healthy tablets hung for so long."""
    codes: dict[str, int] = field(default_factory=dict)
    """Right findings by code."""
    wrong: dict[str, int] = field(default_factory=dict)
    """Wrong findings by code."""
    told_wrongly: tuple[str, ...] = ()
    """The first wrong findings, each in the daemon's words and with the seconds since the loss."""

    @property
    def problem(self) -> str:
        """What is not as it has to be; empty if exactly the right things were found and every lost primary replaced."""
        told = []
        if self.found < self.expected:
            told.append(f"{self.expected - self.found} of {self.expected} findings missing")
        if self.replaced < self.to_replace:
            told.append(f"{self.to_replace - self.replaced} of {self.to_replace} primaries not replaced")
        if self.wrong:
            told.append(f"{sum(self.wrong.values())} wrong findings")
        return ", ".join(told)


class LossWatch:
    """Reads the log after a loss; `rightful` are this loss and all before it."""

    def __init__(self, loss: Loss, rightful: Sequence[Loss], *, lost_at: float) -> None:
        self.loss = loss
        self._right = frozenset[Key]().union(*(each.right_findings() for each in rightful))
        self._lost_at = lost_at
        self._seen: dict[Key, float] = {}
        self._told: dict[Key, str] = {}
        self._replaced: dict[str, float] = {}
        self._expected = list(loss.expected())
        self._of_replicas = {(Code.INVALID_REPLICA.value, str(place.alias)) for place in loss.lost}
        self._to_replace = loss.to_be_replaced()

    def read(self, lines: Iterable[LogLine]) -> None:
        """Take note of the findings and the ends of recoveries among these lines."""
        for line in lines:
            if "rule" in line and "code" in line:
                key = (line["code"], line["tablet"])
                self._seen.setdefault(key, logged_at(line))
                self._told.setdefault(key, str(line["event"]))
            elif line.get("outcome") == "succeeded" and line["shard"] in self._to_replace:
                self._replaced.setdefault(line["shard"], logged_at(line))

    @property
    def is_complete(self) -> bool:
        """Whether all that must come has come."""
        return len(self._found()) == len(self._expected) and len(self._replaced) == len(self._to_replace)

    def figures(self) -> LossFigures:
        """Sum up."""
        found = self._found()
        right = Counter(code for code, tablet in self._seen if (code, tablet) in self._right)
        wrongly = [key for key in self._seen if key not in self._right]
        wrong = Counter(code for code, _ in wrongly)
        return LossFigures(
            name=self.loss.name,
            tablets=len(self.loss.lost),
            expected=len(self._expected),
            found=len(found),
            found_seconds=Times.of(found),
            verdict_seconds=Times.of(self._found(primaries=True)),
            to_replace=len(self._to_replace),
            replaced=len(self._replaced),
            replaced_seconds=Times.of([at - self._lost_at for at in self._replaced.values()]),
            codes=dict(sorted(right.items())),
            wrong=dict(sorted(wrong.items())),
            told_wrongly=tuple(
                f"after {self._seen[key] - self._lost_at:.2f} s: {self._told[key]}" for key in wrongly[:_TOLD_AT_MOST]
            ),
        )

    def _found(self, *, primaries: bool = False) -> list[float]:
        """When each expected finding came, or each about a primary, in seconds after the loss."""
        wanted = [keys for keys in self._expected if not primaries or not keys & self._of_replicas]
        moments = [[self._seen[key] for key in keys if key in self._seen] for keys in wanted]
        return [min(each) - self._lost_at for each in moments if each]


def losses(fleet: Sequence[Place]) -> list[Loss]:
    """List what is lost, one after the other: a replica, a primary, a whole shard, and what is left of a cell.

    The replica and the primary are of the cell that goes last, so that each shard but one loses one tablet in all.
    """
    shards: dict[str, tuple[Place, ...]] = {}
    for place in fleet:
        shards[str(place.shard)] = (*shards.get(str(place.shard), ()), place)
    of_cell = [place for place in fleet if place.alias.cell == _LOST_CELL]
    replica = next(place for place in of_cell if not place.is_primary)
    primary = next(place for place in of_cell if place.is_primary)
    whole = next(group for group in shards.values() if replica not in group and primary not in group)
    gone = {replica, primary, *whole}
    cell = tuple(place for place in of_cell if place not in gone)
    return [
        Loss("a replica", (replica,), (shards[str(replica.shard)],), 30.0),
        Loss("a primary", (primary,), (shards[str(primary.shard)],), 30.0),
        Loss("a shard", whole, (whole,), 30.0),
        Loss(f"cell {_LOST_CELL}", cell, tuple(shards[str(place.shard)] for place in cell), 120.0),
    ]
