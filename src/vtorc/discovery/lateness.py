"""How late vtorc itself is, and a clock and deadlines that count it against no other process.

A process that is stopped, starved of processor or busy reads answers late. By its own timers, servers that answered
long ago are silent then. So a beat times the event loop, and one that comes late shows for how long nothing was read.
The clock of all evidence leaves that time out. A late vtorc is then slower, but still right, and it still sees. As long
as the loop goes round at all, the seconds of this clock pass.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from vtorc.core.facts.clock import Clock

BEAT = 0.05
"""Seconds from one beat of the event loop to the next."""

ON_TIME = 0.06
"""Seconds from one beat to the next up to which the loop is on time."""

_MOST = 0.1
"""Most seconds that count from one beat to the next, however long the loop stood still."""

_SLOWEST = 1 / 16
"""The smallest share of a late time that counts up to `_MOST`, so that a vtorc that is late for ever is not blind."""

_CREEP = 1e-3
"""Share of all further time that counts, so that what comes later has a later time."""

_LOOKS = 5
"""How often a deadline that has passed is looked at again after lateness.

Answers that came meanwhile need some rounds of the loop to be read.
"""

_LOOK_AGAIN = 0.02
"""Seconds between two of these looks."""

_ROUNDING = 1e-6
"""Seconds that a timer may come early."""


class OnTimeClock:
    """The clock of all evidence: its seconds pass while the event loop is on time, and stand while vtorc is late.

    It measures the loop only while `run` is at work; without that it is always on time.
    """

    def __init__(self, clock: Clock) -> None:
        """Take the time from `clock`, which does not know of lateness."""
        self._clock = clock
        self._last_beat: float | None = None
        self._late = 0.0
        self._due = 0.0

    def now(self) -> float:
        """Return the seconds in which vtorc could listen, plus a constant; of two moments the later has the later time.

        It went back in the middle of late rounds once, and waited for a question that had been asked already.
        """
        now = self._clock.now()
        return now - self._late_by(now)

    def until(self, moment: float) -> float:
        """Return after how many seconds this clock shows `moment` if vtorc is on time; 0 or less if it passed."""
        now = self._clock.now()
        late = self._late_by(now)
        left = moment - (now - late)
        return left + self._due_by(now) - late if left > 0 else left

    def real(self) -> float:
        """Return seconds that pass while vtorc is late, too: in those, servers may have gone on."""
        return self._clock.now()

    def wall(self) -> int:
        """Return nanoseconds since the Unix epoch, which lateness does not change."""
        return self._clock.wall()

    @property
    def late(self) -> float:
        """All seconds so far in which vtorc was late."""
        return self._late_by(self._clock.now())

    def timeout(self, seconds: float) -> "OnTimeTimeout":
        """Return a context like `asyncio.timeout` that ends after so many seconds of this clock."""
        return OnTimeTimeout(self, seconds)

    async def run(self, beat: Callable[[float], None]) -> None:
        """Time the event loop until cancelled, and call `beat` with the seconds since the last beat at each."""
        self._last_beat = self._clock.now()
        try:
            while True:
                await asyncio.sleep(BEAT)
                now = self._clock.now()
                took = now - self._last_beat
                self._late, self._due, self._last_beat = self._late_by(now), self._due_by(now), now
                beat(took)
        finally:
            self._late = self._due = self.late
            self._last_beat = None

    def _late_by(self, now: float) -> float:
        """Return the late seconds so far, which follow what is due no faster than time passes.

        Seconds of a round passed before it turned out to be late. They are left out of the time that comes next.
        """
        if self._last_beat is None:
            return self._late
        since = now - self._last_beat
        if since <= ON_TIME and self._late == self._due:
            return self._due
        still = 1.0 - _CREEP
        after_round = self._due + still * max(0.0, since - ON_TIME)
        return min(self._late + still * since, after_round, self._due_by(now))

    def _due_by(self, now: float) -> float:
        """Return the late seconds that are to be left out for all rounds, the present one included."""
        if self._last_beat is None or (since := now - self._last_beat) <= ON_TIME:
            return self._due
        return self._due + since - _counted(since)


def _counted(since: float) -> float:
    """Return how many of the seconds since the last beat count, of more than are on time.

    A call goes through a dozen rounds of the loop, and each of them is as late as the beat. Beats of twice the length
    so leave a call half of the rounds: they count a quarter, while longer rounds still let some time pass.
    """
    rounds = ON_TIME * ON_TIME / since
    slow = min(_MOST, since * _SLOWEST)
    return max(rounds, slow) + _CREEP * (since - ON_TIME)


class OnTimeTimeout:
    """A deadline in seconds of an `OnTimeClock`; raises TimeoutError as `asyncio.timeout` does."""

    def __init__(self, clock: OnTimeClock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._scope = asyncio.timeout(None)
        self._ends = 0.0
        self._late_before = 0.0
        self._looks_left = _LOOKS
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._ends, self._late_before = self._clock.now() + self._seconds, self._clock.late
        self._look_in(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def shorten(self, seconds: float) -> None:
        """End in so many seconds from now, unless it ends sooner."""
        ends = self._clock.now() + seconds
        if ends < self._ends and not self._scope.expired():
            self._ends = ends
            self._look_in(seconds)

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        """End, unless vtorc was late meanwhile and has seconds left, or answers to read."""
        left = self._clock.until(self._ends)
        if left > _ROUNDING:
            self._look_in(left)
        elif self._looks_left and self._clock.late > self._late_before:
            self._looks_left -= 1
            self._look_in(_LOOK_AGAIN)
        else:
            self._scope.reschedule(asyncio.get_running_loop().time())
