"""The results of a series of failovers: one for each, the distribution of the times, and the verdict."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

PERCENTILES = (50, 99)

PHASES = ("noticed", "confirmed", "locked", "stopped", "elected", "promoted", "acknowledged")
"""The phases of a failover in their order. A planned move elects before it stops, and has no fault to notice."""

MEASURED = ("detected_ms", "promoted_ms", "write_gap_ms", "returned_ms")


@dataclass(slots=True, kw_only=True)
class Failover:
    """One failover of the series, or one fault that the primary outlasts.

    Times are milliseconds, and None for a step that was not reached.

    `detected_ms` runs from the fault to vtorc's decision to replace the primary, `promoted_ms` from the fault to the
    end of the promotion. `write_gap_ms` runs from the last acknowledged write of the old primary to the first of the
    new one. `returned_ms` runs from the restart of the dead server to a shard without problems. `acked` counts the rows
    of the whole ledger, of which `lost` are missing on the new primary. `one_cell` counts breaches of the rule that no
    write is acknowledged by the primary's own cell alone. `phases_ms` runs from the fault, or from the begin of a
    planned move, to the end of each phase of `PHASES`, the earliest first; a primary that stays has the first phase
    only. `problem` says why the failover did not converge.
    """

    fault: str
    old_primary: str
    new_primary: str | None = None
    detected_ms: float | None = None
    promoted_ms: float | None = None
    write_gap_ms: float | None = None
    returned_ms: float | None = None
    acked: int = 0
    lost: int = 0
    one_cell: int = 0
    rebuilt: bool = False
    argument: str = ""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def converged(self) -> bool:
        """Whether the shard was free of problems in the end."""
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSetup:
    """The options of the series; `wanted` is the number of failovers."""

    wanted: int
    fault: str
    durability: str
    tablets: int
    topo: str
    write_interval_ms: int
    simulated: bool = False


@dataclass(slots=True)
class DemoReport:
    """The series so far."""

    setup: SeriesSetup
    failovers: list[Failover] = field(default_factory=list)
    interrupted: bool = False

    @property
    def lost(self) -> int:
        """How many acknowledged rows were missing, over all checks."""
        return sum(each.lost for each in self.failovers)

    @property
    def one_cell(self) -> int:
        """How many breaches of the cross-cell rule there were."""
        return sum(each.one_cell for each in self.failovers)

    @property
    def converged(self) -> int:
        """How many failovers converged."""
        return sum(each.converged for each in self.failovers)

    @property
    def failures(self) -> list[str]:
        """Every reason why the series is no success, one sentence each."""
        sentences: list[str] = []
        for number, each in enumerate(self.failovers, start=1):
            where = f"failover {number} ({each.old_primary} to {each.new_primary or 'no tablet'})"
            if each.lost:
                sentences.append(f"{where}: {each.lost} of {each.acked} acknowledged rows are missing")
            if each.one_cell:
                sentences.append(f"{where}: {each.one_cell} times one cell alone may have held an acknowledged write")
            if each.problem:
                sentences.append(f"{where}: {each.problem}")
        if self.interrupted:
            sentences.append(f"interrupted after {len(self.failovers)} of {self.setup.wanted} failovers")
        return sentences

    @property
    def succeeded(self) -> bool:
        """Whether all the wanted failovers were done and converged, and no acknowledged row was lost."""
        return not self.failures and len(self.failovers) == self.setup.wanted

    def measured(self, name: str) -> list[float]:
        """Return all measured values of one time, in the order of the failovers."""
        values = (getattr(each, name) for each in self.failovers)
        return [value for value in values if value is not None]

    def took(self, phase: str) -> list[float]:
        """Return how long one phase took since the one before it, in each failover that reached it, in milliseconds."""
        took = []
        for failover in self.failovers:
            began = 0.0
            for name, ended in failover.phases_ms.items():
                if name == phase:
                    took.append(round(ended - began, 1))
                began = ended
        return took

    def as_json(self) -> dict[str, object]:
        """Return the report in the form that is written to the file."""
        return {
            "failovers": [asdict(each) for each in self.failovers],
            "summary": {
                **asdict(self.setup),
                "failovers": len(self.failovers),
                "converged": self.converged,
                "acked": self.failovers[-1].acked if self.failovers else 0,
                "lost": self.lost,
                "rebuilt": sum(each.rebuilt for each in self.failovers),
                "one_cell": self.one_cell,
                **{name: summarise(self.measured(name)) for name in MEASURED},
                "phases_ms": {name: summarise(self.took(name)) for name in PHASES},
                "failures": self.failures,
            },
        }


def summarise(values: Sequence[float]) -> Mapping[str, float | None]:
    """Return the percentiles and the largest of some values, each None if there are no values."""
    return {
        **{f"p{percent}": percentile(values, percent) for percent in PERCENTILES},
        "max": max(values, default=None),
    }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the smallest value that `percent` of all values do not exceed (nearest rank); None without values."""
    if not values:
        return None
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]
