"""The frames that wait for the server process to take them: newer ones replace older ones, so that it never grows."""

from collections import deque
from collections.abc import Callable, Iterator

from vtorc.forms.frames import AnyFrame

MOST_KEYLESS = 2000
"""How many frames wait that none can replace; then the oldest of them is dropped."""


class Outbox:
    """Frames in the order in which they are to be sent; a snapshot of all that is known goes first.

    A frame takes the place of an earlier one of its key. A server that does not read thus holds up one frame for each
    shard, and a bounded number of others.
    """

    def __init__(self, snapshot: Iterator[AnyFrame], is_busy: Callable[[], bool] = lambda: False) -> None:
        """Begin with `snapshot`, of which a frame is made only when it is taken; the first is made at once.

        While vtorc `is_busy`, the rest of the snapshot waits, and other frames behind it: metrics tell its end.
        """
        self._is_busy = is_busy
        self._is_told = False
        self._first = next(snapshot, None)
        self._snapshot = snapshot
        self._waiting: dict[str | int, AnyFrame] = {}
        self._keyless: deque[int] = deque()
        self._number = 0
        self.dropped = 0
        """How many frames were dropped because too many waited."""

    def put(self, frame: AnyFrame) -> None:
        """Let a frame wait."""
        if frame.key is not None:
            self._waiting[frame.key] = frame
            return
        if len(self._keyless) == MOST_KEYLESS:
            del self._waiting[self._keyless.popleft()]
            self.dropped += 1
        self._number += 1
        self._keyless.append(self._number)
        self._waiting[self._number] = frame

    def take(self) -> AnyFrame | None:
        """Return the next frame to send; None if there is none, and while the snapshot has to wait."""
        if not self._is_told and self._is_busy():
            return None
        if (frame := self._of_snapshot()) is not None:
            if frame.key is not None:
                self._waiting.pop(frame.key, None)  # the snapshot's was made later
            return frame
        self._is_told = True
        if not self._waiting:
            return None
        key = next(iter(self._waiting))
        if isinstance(key, int):
            self._keyless.popleft()
        return self._waiting.pop(key)

    def __len__(self) -> int:
        """Return how many frames wait, without those of the snapshot."""
        return len(self._waiting)

    def _of_snapshot(self) -> AnyFrame | None:
        first, self._first = self._first, None
        return first if first is not None else next(self._snapshot, None)
