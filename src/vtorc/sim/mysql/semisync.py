"""The source's side of semi-synchronous replication: commits that wait, and the acknowledgements of replicas.

It is AFTER_SYNC: a commit is in the binary log, then waits for the acknowledgements of so many
replicas, then becomes visible. An acknowledgement of a position covers all positions before it. A source that gives up
waiting waits for nothing until enough replicas have caught up (MySQL manual, "Semisynchronous Replication").
"""

from collections import deque
from collections.abc import Callable

Release = Callable[[bool], None]
"""Called once when a wait ends, with True if enough replicas acknowledged."""


class AckWaits:
    """The waiting commits of one server, in the order of its binary log."""

    def __init__(self, *, count: int) -> None:
        self.count = count
        self.enabled = False
        self._gave_up_at: int | None = None
        self._acked: dict[str, int] = {}
        self._waiting: deque[tuple[int, Release]] = deque()

    @property
    def active(self) -> bool:
        """Whether commits wait (rpl_semi_sync_source_status): the source side is on, and has not given up."""
        return self.enabled and self._gave_up_at is None

    @property
    def sessions(self) -> int:
        """The number of waiting commits."""
        return len(self._waiting)

    def wait(self, position: int, release: Release) -> None:
        """Let the commit at `position` wait; release it at once if it is acknowledged, or semi-sync is off."""
        if not self.active:
            if self._gave_up_at is not None:
                self._gave_up_at = position
            release(False)
        elif self._covered() >= position:
            release(True)
        else:
            self._waiting.append((position, release))

    def give_up(self, position: int) -> None:
        """Release all commits without acknowledgement if that at `position` still waits: its timeout is over."""
        if self._waiting and self._waiting[0][0] <= position:
            self._gave_up_at = self._waiting[-1][0]
            self._release_unacknowledged()

    def acknowledge(self, replica: str, position: int) -> None:
        """Note that a replica holds all transactions up to `position`."""
        if position <= self._acked.get(replica, -1):
            return
        self._acked[replica] = position
        self._release()

    def _release(self) -> None:
        covered = self._covered()
        while self._waiting and self._waiting[0][0] <= covered:
            self._waiting.popleft()[1](True)
        if self._gave_up_at is not None and covered >= self._gave_up_at:
            self._gave_up_at = None

    def _release_unacknowledged(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1](False)

    def switch(self, on: bool) -> None:
        """Switch the source's side on, or off, which releases all waiting commits."""
        self.enabled = on
        self._gave_up_at = None
        if not on:
            self._acked.clear()
            self._release_unacknowledged()

    def wait_for(self, count: int) -> None:
        """Set how many acknowledgements a commit waits for, and release those that have as many."""
        self.count = count
        self._release()

    def forget(self) -> None:
        """Drop waits and acknowledgements, as a crash does."""
        self.enabled = False
        self._gave_up_at = None
        self._acked.clear()
        self._waiting.clear()

    def _covered(self) -> int:
        """Return the last position that enough replicas acknowledged, -1 if there is none."""
        if len(self._acked) < self.count:
            return -1
        if self.count == 1:
            return max(self._acked.values())
        return sorted(self._acked.values(), reverse=True)[self.count - 1]
