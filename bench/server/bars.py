"""The bars of the HTTP server, and whether what was measured is within them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.server.arms import Arm
from bench.server.clients import Heard
from bench.server.loads import Strikes
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


def arm_bars(plain: Arm, loaded: Arm) -> Iterator[Bar]:
    """Yield the bars of what HTTP costs control."""
    late = [percentile(arm.late, 99.9) for arm in (plain, loaded)]
    yield Bar(
        "timers of control, p99.9 against that without HTTP",
        _ratio(*late),
        LATE_BAR,
        f"{_ms(late[0])} without, {_ms(late[1])} with, {len(plain.late)} and {len(loaded.late)} timers",
    )
    for percent in (50, 99):
        gaps = [percentile(write_gaps(arm.failovers), percent) for arm in (plain, loaded)]
        yield Bar(
            f"failovers, write gap p{percent} against that without HTTP",
            _ratio(*gaps),
            FAILOVER_BAR,
            f"{_ms(gaps[0])} without, {_ms(gaps[1])} with, "
            f"{len(plain.failovers)} and {len(loaded.failovers)} failovers",
        )


def memory_bar(loaded: Arm) -> Bar:
    """Return the bar of the server's memory."""
    return Bar("memory of the server process", loaded.server_mib or None, MEMORY_BAR, "most at any time", " MiB")


def back_bars(strikes: Strikes) -> Iterator[Bar]:
    """Yield the bars of how soon the server is back; the longest time counts."""
    for name, times in (("killed", strikes.killed), ("stopped", strikes.stopped)):
        shown = f"{len(times)} times, p50 {_ms(percentile(times, 50))}"
        yield Bar(f"server that was {name} answers again", max(times, default=None), BACK_BAR, shown, " s")


def failed(arms: Sequence[Arm]) -> list[str]:
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
