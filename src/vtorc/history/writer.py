"""Writes to the history from a thread of its own, so that a slow disk delays no failover."""

import queue
import threading
from collections.abc import Callable

import structlog

from vtorc.errors import HistoryError
from vtorc.history.store import History, StoredDecision, StoredRecovery

_LONGEST_QUEUE = 10_000


class HistoryWriter:
    """The one writer of a history; `close` waits until all is written."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._log = structlog.get_logger("vtorc.history")
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(_LONGEST_QUEUE)
        self._thread = threading.Thread(target=self._write, name="history", daemon=True)
        self._thread.start()

    def add_recovery(self, stored: StoredRecovery) -> None:
        """Keep a recovery, soon."""
        self._put(lambda: self._history.add_recovery(stored))

    def add_decision(self, stored: StoredDecision) -> None:
        """Keep a decision, soon."""
        self._put(lambda: self._history.add_decision(stored))

    def close(self) -> None:
        """Write what is waiting, end the thread and close the file."""
        self._queue.put(None)
        self._thread.join()
        self._history.close()

    def _put(self, work: Callable[[], None]) -> None:
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._log.error("the history cannot keep up with what happens; an entry was dropped")

    def _write(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except HistoryError as error:
                self._log.error(str(error))
