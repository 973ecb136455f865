"""The bars of the HTTP server, and whether what was measured is within them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench.server.arms import Arm
from bench.server.clients import Heard
from bench.server.strikes import Strikes
from vtorc.demo.report import Failover, percentile

AGE_BAR = 0.2
"""Seconds from a change to its arrival at a client, 95th percentile."""

LATE_BAR = 1.5
"""How many times as late timers of control may be as without HTTP, at p99.9."""

FAILOVER_BAR = 1.10
"""How many times as long failovers may take, at p50 and p99."""

MEMORY_BAR = 300.0
"""MiB of resident memory of the server process."""

BACK_BAR = 2.0
"""Seconds until a server answers again that was killed or stopped."""


@dataclass(frozen=True, slots=True)
class Arms:
    """What was measured by turns."""

    first: Arm
    """Without HTTP."""
    loaded: Arm
    """With HTTP, between the other two."""
    second: Arm
    """Without HTTP as well: how far it is from the first is what chance does."""

    def __iter__(self) -> Iterator[Arm]:
        return iter((self.first, self.loaded, self.second))


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and its bar."""

    name: str
    figure: float | None
    """What was measured; None if nothing was."""
    bar: float
    """The highest figure that is accepted."""
    detail: str
    """What stands behind the figure."""
    unit: str = ""

    @property
    def is_within(self) -> bool:
        """Whether the figure is accepted."""
        return self.figure is not None and self.figure <= self.bar

    def __str__(self) -> str:
        shown = "–" if self.figure is None else f"{self.figure:.3g}{self.unit}"
        verdict = "pass" if self.is_within else "MISS"
        return f"{verdict}  {self.name}: {shown}, the bar is {self.bar:g}{self.unit} ({self.detail})"


def age_bars(heard: Heard) -> Iterator[Bar]:
    """Yield the bars of how old data is."""
    for name, ages in (("events, age p95", heard.event_ages), ("pages, age p95", heard.page_ages)):
        shown = f"p50 {_ms(percentile(ages, 50))}, p95 {_ms(percentile(ages, 95))}, {len(ages)} times"
        yield Bar(name, percentile(ages, 95), AGE_BAR, shown, " s")


def arm_bars(arms: Arms) -> Iterator[Bar]:
    """Yield the bars of what HTTP costs control, each with how far apart two equal arms without HTTP are."""
    plain = arms.first.with_those_of(arms.second)
    yield _against(
        "timers of control, p99.9 against that without HTTP",
        LATE_BAR,
        arms,
        lambda arm: percentile(arm.late, 99.9),
        f"{len(plain.late)} and {len(arms.loaded.late)} timers",
    )
    for percent in (50, 99):
        yield _against(
            f"failovers, write gap p{percent} against that without HTTP",
            FAILOVER_BAR,
            arms,
            partial(_write_gap, percent),
            f"{len(plain.failovers)} and {len(arms.loaded.failovers)} failovers",
        )


def _write_gap(percent: float, arm: Arm) -> float | None:
    return percentile(write_gaps(arm.failovers), percent)


def _against(name: str, bar: float, arms: Arms, figure: Callable[[Arm], float | None], counted: str) -> Bar:
    """Return the bar of a figure under load, divided by that of both arms without HTTP."""
    plain, loaded = figure(arms.first.with_those_of(arms.second)), figure(arms.loaded)
    noise = _ratio(figure(arms.first), figure(arms.second))
    between = "–" if noise is None else f"{max(noise, 1 / noise):.2f}"
    detail = f"{_ms(plain)} without, {_ms(loaded)} with, {counted}; two equal arms without differ by {between}"
    return Bar(name, _ratio(plain, loaded), bar, detail)


def memory_bar(loaded: Arm) -> Bar:
    """Return the bar of the server's memory."""
    return Bar("memory of the server process", loaded.server_mib or None, MEMORY_BAR, "most at any time", " MiB")


def back_bars(strikes: Strikes) -> Iterator[Bar]:
    """Yield the bars of how soon the server is back; the longest time counts."""
    for name, times in (("killed", strikes.killed), ("stopped", strikes.stopped)):
        shown = f"{len(times)} times, p50 {_ms(percentile(times, 50))}"
        yield Bar(f"server that was {name} answers again", max(times, default=None), BACK_BAR, shown, " s")


def failed(arms: Iterable[Arm]) -> list[str]:
    """Return why failovers failed, one sentence each."""
    return [
        f"{arm.name}: {each.old_primary} to {each.new_primary}: "
        + (each.problem or f"{each.lost} acknowledged rows lost")
        for arm in arms
        for each in arm.failovers
        if each.problem or each.lost
    ]


def write_gaps(failovers: Sequence[Failover]) -> list[float]:
    """Return for how long no write was acknowledged, in seconds."""
    return [each.write_gap_ms / 1000 for each in failovers if each.write_gap_ms is not None]


def _ratio(before: float | None, after: float | None) -> float | None:
    return after / before if before and after is not None else None


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"
