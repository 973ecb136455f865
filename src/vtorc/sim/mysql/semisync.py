"""The source's side of semi-synchronous replication: who waits, who acknowledged what.

AFTER_SYNC with an endless timeout: a commit is in the binary log, then waits for so many replicas to say that they
hold it, then becomes visible. An acknowledgement of a position covers all before it (MySQL manual, "Semisynchronous
Replication").
"""

from collections import deque
from collections.abc import Callable

Release = Callable[[bool], None]
"""Called once when a wait ends; True if enough replicas acknowledged."""


class AckWaits:
    """Commits of one server that wait, in the order of its binary log."""

    def __init__(self, *, count: int) -> None:
        self.count = count
        self.enabled = False
        self._acked: dict[str, int] = {}
        self._waiting: deque[tuple[int, Release]] = deque()

    @property
    def sessions(self) -> int:
        """How many commits wait."""
        return len(self._waiting)

    def wait(self, position: int, release: Release) -> None:
        """Let the commit at `position` wait; it is released at once if it is covered already."""
        if not self.enabled:
            release(False)
        elif self._covered() >= position:
            release(True)
        else:
            self._waiting.append((position, release))

    def acknowledge(self, replica: str, position: int) -> None:
        """Note that a replica holds everything up to `position`."""
        if position <= self._acked.get(replica, -1):
            return
        self._acked[replica] = position
        covered = self._covered()
        while self._waiting and self._waiting[0][0] <= covered:
            self._waiting.popleft()[1](True)

    def switch(self, on: bool) -> None:
        """Switch the source's side on, or off: then nobody waits any longer."""
        self.enabled = on
        if not on:
            self._acked.clear()
            while self._waiting:
                self._waiting.popleft()[1](False)

    def forget(self) -> None:
        """Lose everything, as at a crash."""
        self.enabled = False
        self._acked.clear()
        self._waiting.clear()

    def _covered(self) -> int:
        """Return the last position that enough replicas acknowledged, -1 if none."""
        if len(self._acked) < self.count:
            return -1
        return sorted(self._acked.values(), reverse=True)[self.count - 1]
