"""How much slower vtorc asks while its event loop is busy or late, and when operators are told of it."""

from collections.abc import Callable
from dataclasses import dataclass

from vtorc.discovery.lateness import BEAT

SLOWEST = 16.0
"""The factor that pauses between questions grow to at most."""

_WINDOW = 2.0
"""Seconds after which the pace is judged anew."""

_TOO_BUSY = 1 / 3
"""Share of the time by which beats were late above which vtorc slows down."""

_BUSY = 1 / 6
"""Share of it below which vtorc speeds up."""

_RECOVERS = 1.25
"""Divisor of the factor for each window in which the loop was not busy."""

_TOLD_LATE = 0.2
"""Share of a window from which on operators are told that vtorc is late."""

_TOLD_OVER = 30.0
"""Seconds without lateness after which they are told that it is over."""

_LATE = 0.1
"""Seconds from one beat to the next beyond which they are late for operators, who care for no single busy round."""

_SMOOTHING = 0.2
"""Weight of the last beat in the average of how late beats are."""

_ON_TIME = 0.002
"""Seconds by which beats are late on average in a vtorc that is on time."""


@dataclass(frozen=True, slots=True)
class LatenessNews:
    """News that vtorc is late, or no longer late."""

    worst: float
    """Seconds of the longest round of the event loop in this time of lateness."""
    factor: float
    """How many times as long vtorc pauses between questions now."""
    is_over: bool


class SlowDown:
    """Follows the beats of the event loop."""

    def __init__(self, tell: Callable[[LatenessNews], None]) -> None:
        """Call `tell` once when vtorc becomes late, and once when that is over."""
        self.factor = 1.0
        self.drag = 0.0
        """Seconds by which beats are late, smoothed."""
        self._tell = tell
        self._elapsed = self._busy = self._late = 0.0
        self._worst = 0.0
        self._on_time_for: float | None = None

    @property
    def is_on_time(self) -> bool:
        """Whether vtorc asks at its full pace, and calls take no longer than the network does."""
        return self.factor == 1.0 and self.drag < _ON_TIME

    def beat(self, took: float) -> None:
        """Take note of a beat, `took` seconds after the one before."""
        over = max(0.0, took - BEAT)
        self.drag += _SMOOTHING * (over - self.drag)
        self._elapsed += took
        self._busy += over
        late = max(0.0, took - _LATE)
        self._late += late
        if late:
            self._worst = max(self._worst, took)
        if self._elapsed >= _WINDOW:
            self._judge()

    def _judge(self) -> None:
        elapsed, busy, late = self._elapsed, self._busy / self._elapsed, self._late / self._elapsed
        self._elapsed = self._busy = self._late = 0.0
        if busy > _TOO_BUSY:
            self.factor = min(SLOWEST, 2.0 * self.factor)
        elif busy < _BUSY:
            self.factor = max(1.0, self.factor / _RECOVERS)
        if late > _TOLD_LATE:
            first, self._on_time_for = self._on_time_for is None, 0.0
            if first:
                self._tell(LatenessNews(self._worst, self.factor, is_over=False))
        elif self._on_time_for is not None:
            self._on_time_for += elapsed
            if self._on_time_for >= _TOLD_OVER:
                self._on_time_for = None
                self._tell(LatenessNews(self._worst, self.factor, is_over=True))
        if self._on_time_for is None:
            self._worst = 0.0
