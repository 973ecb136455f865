"""Writes to the history from a thread of its own, so that a slow disk delays no failover.

The history is for people who ask afterwards: nothing that happens to it keeps vtorc from starting, working or ending.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from vtorc.errors import HistoryDamaged, HistoryError
from vtorc.history.store import History, StoredDecision, StoredRecovery

_LONGEST_QUEUE = 10_000

ASIDE = ".damaged"
"""What is appended to the name of a damaged file that was replaced by a new one."""

_Work = Callable[[History], None]


class HistoryWriter:
    """The one writer of a history, which its thread opens; `close` waits until all is written, but not for ever."""

    def __init__(self, path: str, *, purge_before: int = 0, renewable: bool = False) -> None:
        """Begin to write to the file at `path`, and forget what is older than `purge_before`, in nanoseconds since the
        Unix epoch.

        A damaged file that is `renewable` is set aside and replaced, any other is left as it is. Without a file that
        can be used there is no history: that is logged, and what is to be kept is dropped.
        """
        self._path = path
        self._purge_before = purge_before
        self._renewable = renewable
        self._log = structlog.get_logger("vtorc.history")
        self._queue: queue.Queue[_Work | None] = queue.Queue(_LONGEST_QUEUE)
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def add_recovery(self, stored: StoredRecovery) -> None:
        """Keep a recovery, soon."""
        self._put(lambda history: history.add_recovery(stored))

    def add_decision(self, stored: StoredDecision) -> None:
        """Keep a decision, soon."""
        self._put(lambda history: history.add_decision(stored))

    def close(self, *, patience: float = 5.0) -> None:
        """Write what is waiting and close the file; after `patience` seconds what is left is lost, which is logged."""
        ends_at = time.monotonic() + patience
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=patience)
            self._thread.join(max(0.0, ends_at - time.monotonic()))
        if self._thread.is_alive():
            self._log.error(
                f"the history is not written after {patience:g} s, its last entries are lost: "
                f"check the disk that {self._path} is on"
            )

    def _put(self, work: _Work) -> None:
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._log.error("the history cannot keep up with what happens; an entry was dropped")

    def _run(self) -> None:
        history = self._open()
        while (work := self._queue.get()) is not None:
            if history is not None:
                self._do(history, work)
        if history is not None:
            history.close()

    def _do(self, history: History, work: _Work) -> None:
        try:
            work(history)
        except HistoryError as error:
            self._log.error(str(error))
        except Exception as error:  # the next entry may be one that can be kept
            self._log.error(f"an entry of the history could not be kept: {error!r}")

    def _open(self) -> History | None:
        try:
            try:
                return self._opened()
            except HistoryDamaged as damage:
                if not self._renewable:
                    raise
                self._set_aside(str(damage))
                return self._opened()
        except (HistoryError, OSError) as error:
            self._log.error(f"nothing is kept in the history until the next start: {error}")
            return None

    def _opened(self) -> History:
        history = History(self._path)
        try:
            history.purge(self._purge_before)
        except HistoryDamaged:
            history.close()
            raise
        except HistoryError as error:
            self._log.error(str(error))
        return history

    def _set_aside(self, damage: str) -> None:
        """Rename the file, together with those that SQLite keeps beside it; one that was set aside before is gone."""
        aside = self._path + ASIDE
        for part in ("-wal", "-shm", ""):
            if (file := Path(self._path + part)).exists():
                file.replace(aside + part)
        self._log.error(f"{damage}; it is {aside} now, and a new history begins")
