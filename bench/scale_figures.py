"""The figures of `bench.scale`, and how they are shown: a table in a terminal, one line each elsewhere."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.scale_losses import LossFigures, Times


@dataclass(frozen=True, slots=True)
class HealthyFigures:
    """How the daemon took a healthy fleet from its cold start on; `seconds` were measured."""

    seconds: float
    asked: int
    asked_seconds: float | None
    """Seconds until the last tablet was asked for its status; None if some never were."""
    findings: dict[str, int]
    """Tablets, or shards, by the code of the findings about them."""
    acts: int
    """Decisions to act."""
    changes: dict[str, int]
    """Calls that change a server, by name."""
    status_per_second: float
    lateness: float | None
    """The worst that the daemon told of its event loop, in seconds; None if it told nothing."""
    cpu: float
    """Percent of one core."""
    others: float
    """Percent of the daemon's core that other processes used."""
    fleet_late: float
    """Seconds by which the fake fleet itself was late at worst: healthy tablets hung for so long."""
    resident: float
    """MiB at the end."""

    @property
    def problems(self) -> list[str]:
        """What is not as it has to be."""
        told = []
        if self.asked_seconds is None:
            told.append(f"only {self.asked} tablets were ever asked")
        if self.findings:
            told.append(f"{sum(self.findings.values())} findings on a healthy fleet")
        if self.acts:
            told.append(f"{self.acts} decisions to act on a healthy fleet")
        if self.changes:
            told.append(f"{sum(self.changes.values())} calls that change a healthy server")
        return told


@dataclass(frozen=True, slots=True)
class Figures:
    """All of one size; `load` is the machine's load average at the start, over one minute."""

    tablets: int
    shards: int
    core: str
    load: float
    healthy: HealthyFigures
    losses: list[LossFigures] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


Row = tuple[str, str]


def write_figures(figures: Figures) -> None:
    """Show all figures of one size."""
    title = (
        f"{figures.tablets} tablets in {figures.shards} shards, {figures.core} for the daemon, "
        f"load average {figures.load:.1f} at the start"
    )
    rows = [*_healthy_rows(figures), *(row for loss in figures.losses for row in _loss_rows(loss))]
    rows += [("holds", f"no: {'; '.join(figures.problems)}" if figures.problems else "yes")]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{line}\n" for line in (title, *(f"  {name}: {value}" for name, value in rows))))
        return
    table = Table(title=title, title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _healthy_rows(figures: Figures) -> Iterator[Row]:
    healthy = figures.healthy
    all_asked = f"{healthy.asked_seconds:.1f} s" if healthy.asked_seconds is not None else "never"
    yield "every tablet asked after", f"{all_asked} ({healthy.asked} of {figures.tablets} in {healthy.seconds:.0f} s)"
    yield "findings while all are well", _counts(healthy.findings)
    yield "decisions to act", str(healthy.acts)
    yield "calls that change a server", _counts(healthy.changes)
    yield "status calls", f"{healthy.status_per_second:.0f} a second"
    yield "event loop late by at most", "not told" if healthy.lateness is None else f"{healthy.lateness:.1f} s"
    yield "daemon's CPU", f"{healthy.cpu:.0f} % of a core; other processes used {healthy.others:.0f} % of that core"
    yield "daemon's memory", f"{healthy.resident:.0f} MiB"
    yield "fake fleet late by at most", f"{healthy.fleet_late:.2f} s"


def _loss_rows(loss: LossFigures) -> Iterator[Row]:
    name = f"{loss.name} lost"
    yield name, _with_times(f"{loss.found} of {loss.expected} found", loss.found_seconds)
    if loss.to_replace:
        yield f"{name}, verdicts on primaries", str(loss.verdict_seconds)
        replaced = f"{loss.replaced} of {loss.to_replace}"
        yield f"{name}, primaries replaced", _with_times(replaced, loss.replaced_seconds)
    yield f"{name}, right findings", _counts(loss.codes)
    yield f"{name}, wrong findings", _counts(loss.wrong)
    for told in loss.told_wrongly:
        yield f"{name}, told wrongly", told
    yield f"{name}, fake fleet late by at most", f"{loss.fleet_late:.2f} s"


def _with_times(count: str, times: Times | None) -> str:
    return count if times is None else f"{count}: {times}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
