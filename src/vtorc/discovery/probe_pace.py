"""How often tablets are asked, and how long their answers may take."""

import math
from dataclasses import dataclass, replace

from vtorc.discovery.probe_budget import ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePace:
    """How often a tablet is asked, and how long its answer may take; in seconds.

    The hurried pace is for all tablets of a shard under suspicion. It fades: the older the last news of the shard, the
    longer the interval. Two hundred more questions do not settle a doubt of half a minute, such as a vttablet that
    starts again. Any news restores the full hurry.
    """

    calm_interval: float = 5.0
    primary_interval: float = 1.0
    """The calm interval of primaries: their silence matters first, and only short ones show a steady primary."""
    calm_deadline: float = 5.0
    hurried_interval: float = 0.15
    hurried_deadline: float = 1.0
    """Short, because a tablet that needs longer in a crisis is of no use as evidence."""
    fading_interval: float = 1.0
    """The interval that the hurried pace fades to."""

    slowed_by: float = 1.0
    """Factor by which a vtorc that is busy or late lengthens all pauses; at most to `fading_interval` where a primary
    may be lost."""

    @property
    def calm(self) -> float:
        """The longest interval between two questions to a tablet, in seconds."""
        return self.slowed_by * self.calm_interval

    def interval(
        self, hurried_for: float | None, *, primary_may_be_lost: bool = False, is_primary: bool = False
    ) -> float:
        """Return the seconds from one answer to the next question.

        `hurried_for` is the age of the suspicion in seconds; None if there is none.
        """
        if hurried_for is None:
            return self.slowed_by * min(self.calm_interval, self.primary_interval if is_primary else math.inf)
        hurried = max(self.hurried_interval, min(self.fading_interval, _FADING * hurried_for))
        slowed = self.slowed_by * hurried
        return min(slowed, max(hurried, self.fading_interval)) if primary_may_be_lost else slowed

    def for_primaries(self, number: int) -> "ProbePace":
        """Return the pace for so many primaries: in a large fleet they are asked as rarely as all other tablets."""
        interval = number / PRIMARIES_A_SECOND
        return self if interval <= self.primary_interval else replace(self, primary_interval=interval)

    def when_late(self, *, factor: float, drag: float) -> "ProbePace":
        """Return the pace of a vtorc that is late, with pauses longer by `factor`. The hurried deadline grows by what a
        call takes longer if each beat of the event loop is late by `drag` seconds.

        With half a core, healthy tablets missed the hurried deadline after the loss of a cell of a thousand. Each round
        of the loop was late by little, but a call goes through many of them.
        """
        deadline = min(max(self.calm_deadline, self.hurried_deadline), self.hurried_deadline + ROUNDS * drag)
        return replace(self, slowed_by=factor, hurried_deadline=deadline)


PRIMARY_SHARE = 0.2
"""Share of the calm interval after which a primary is asked again."""

PRIMARIES_A_SECOND = 100
"""Most questions a second to all primaries together for which they are asked more often than other tablets."""

SLOWEST_HURRY_AT = 5.0
"""Age of a suspicion, in seconds, at which the hurried pace has faded as far as it does by default."""

_FADING = 0.2
"""Interval of the hurried pace as a share of the age of the suspicion."""
