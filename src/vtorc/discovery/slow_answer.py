"""Notices that a primary takes longer to answer than it usually does, long before the deadline of the call."""

import asyncio
import math
from collections.abc import Callable

from vtorc.discovery.lateness import OnTimeClock

SLOW_AFTER = 0.5
"""Fewest seconds without an answer that make it slow."""

_FACTOR = 4.0
"""Multiple of the time that earlier answers took which makes an answer slow, if that is longer."""

_FADES = 0.8
"""Share of a longer answer's time that still counts after the next answer."""


class SlowAnswer:
    """Follows the calls to one tablet, of which at most one is under way.

    A calm call has a deadline of seconds, so that a busy server is not taken for a dead one. Waiting for it cost five
    seconds of each outage. Slowness is no evidence: it only has all tablets of the shard asked now. A server that
    always takes long is slow only against its own answers, so that load alone keeps no shard in a hurry.
    """

    def __init__(self, clock: OnTimeClock, tell: Callable[[], None]) -> None:
        """Call `tell` once for each slow answer that is to be told."""
        self._clock = clock
        self._tell = tell
        self._usual = math.inf  # seconds that the last answers took; without any, no silence is longer than usual
        self._asked_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waited(self) -> float:
        """The seconds of the call under way so far; 0 without one."""
        return self._clock.now() - self._asked_at if self._asked_at is not None else 0.0

    def asked(self, *, tell_before: float) -> None:
        """Take note that a call begins; it is told if it gets slow before `tell_before` seconds have passed."""
        self._asked_at = self._clock.now()
        slow_after = max(SLOW_AFTER, _FACTOR * self._usual)
        if slow_after < tell_before:
            self._look_in(slow_after, self._asked_at + slow_after)

    def answered(self) -> None:
        """Take note of how long the answer took that has come."""
        took = self.waited
        self._usual = took if math.isinf(self._usual) else max(took, _FADES * self._usual)

    def ended(self) -> None:
        """Take note that the call is over, with or without an answer."""
        self._asked_at = None
        if self._timer is not None:
            self._timer.cancel()

    def _look_in(self, seconds: float, moment: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look, moment)

    def _look(self, moment: float) -> None:
        """Tell, unless the clock does not show `moment` yet, as it stood while vtorc was late."""
        left = self._clock.until(moment)
        if left > 0:
            self._look_in(left, moment)
        else:
            self._tell()
