"""Pauses between two attempts at a recovery that found the lock held, or its problem gone."""

from collections.abc import Callable
from dataclasses import dataclass

from vtorc.core.detection.recoveries import Recovery
from vtorc.recovery.record import Outcome

RETRY_AFTER = 0.25
"""Seconds until a recovery begins again after the lock was held or the problem was gone.

It is doubled each time that the lock is still held, because its holder most likely repairs the same problem.
"""

MAX_RETRY_AFTER = 2.0
"""Seconds that RETRY_AFTER grows to."""


@dataclass(frozen=True, slots=True)
class _Pause:
    ends_at: float
    length: float


class RetryPauses:
    """The pauses of one shard, one for each kind of recovery."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pauses: dict[Recovery, _Pause] = {}

    def is_paused(self, recovery: Recovery) -> bool:
        """Return whether such a recovery waits before its next attempt."""
        pause = self._pauses.get(recovery)
        return pause is not None and self._now() < pause.ends_at

    def note(self, recovery: Recovery, outcome: Outcome, now: float) -> None:
        """Take note of how an attempt ended just now; any end but these two leaves no pause."""
        before = self._pauses.pop(recovery, None)
        if outcome is Outcome.LOCK_HELD:
            length = min(MAX_RETRY_AFTER, 2 * before.length) if before is not None else RETRY_AFTER
            self._pauses[recovery] = _Pause(now + length, length)
        elif outcome is Outcome.GONE:
            self._pauses[recovery] = _Pause(now + RETRY_AFTER, RETRY_AFTER)
