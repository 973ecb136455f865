"""The two times a decision may be told: monotonic for ages, wall for records that people and other programs read."""

from typing import Protocol


class Clock(Protocol):
    """Source of time for the shell around the core; the simulator has its own."""

    def now(self) -> float:
        """Return seconds on a clock that never jumps; only differences mean something."""
        ...

    def wall(self) -> int:
        """Return nanoseconds since the Unix epoch, as this host believes."""
        ...
