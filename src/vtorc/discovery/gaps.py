"""Notices times without news of a shard, in which its tablets may have changed unseen.

The process may have stood still, or was cut off from everything. It may as well have been down for so long.
"""

from collections.abc import Callable

from vtorc.core.facts.remembered import LONGEST_GAP
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.probe_pace import ProbePace

Aging = Callable[[TabletMemory, float], TabletMemory]
"""Returns what the memory of a tablet is worth at a moment, after a gap that has just ended."""

_GAP_IN_INTERVALS = 4
"""Calm intervals without any news of a shard after which its past counts as unknown."""


class Gaps:
    """Owns the times of the last news of a shard, and tells when news ends a gap that was too long."""

    def __init__(self, clock: OnTimeClock, pace: Callable[[], ProbePace], age: Callable[[Aging], None]) -> None:
        """Call `age` at the end of each gap, before what ended it is taken over; the first gap begins now."""
        self._clock = clock
        self._pace = pace
        self._age = age
        self._heard_at = self._seen_at = clock.real()

    def note_answer(self) -> None:
        """Note that a tablet tells of its MySQL.

        After a long time without, what had ended may have begun again: a server that was down may have acknowledged.
        """
        now, heard_at = self._clock.real(), self._heard_at
        self.note_reading()
        self._heard_at = now
        if now - heard_at > self._longest:
            self._age(TabletMemory.after_silence)

    def note_reading(self) -> None:
        """Note that the topology was read; after a long time without readings and answers, all of the past is unknown.

        A reading tells the types of the tablets, and no more.
        """
        now, seen_at = self._clock.real(), self._seen_at
        self._seen_at = now
        if now - seen_at > self._longest:
            self._age(TabletMemory.after_gap)

    def note_deletion(self) -> None:
        """Note that records of tablets are gone.

        No answer will tell of such a tablet. In a silence that still lasts it may have begun to acknowledge.
        """
        if self._clock.real() - self._heard_at > self._longest:
            self._age(TabletMemory.after_silence)

    @property
    def _longest(self) -> float:
        """Seconds over which tablets are taken to have stayed as they were; they may be asked more seldom by order."""
        return max(LONGEST_GAP, _GAP_IN_INTERVALS * self._pace().calm)
