"""The clocks of the tests: the time of the event loop, and one that stands where a test has put it."""

import asyncio

from vtorc.discovery.lateness import OnTimeClock


class LoopTime:
    """The time of the event loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        return 0


class LoopClock(OnTimeClock):
    """The clock of the event loop, which is never late unless it is told to measure that."""

    def __init__(self) -> None:
        super().__init__(LoopTime())


class SettableTime:
    """A time that stands where a test has put it, on a wall that agrees with it."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def wall(self) -> int:
        return int(self.seconds * 1e9)
