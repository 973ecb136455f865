"""Writes to the history from a thread of its own, so that a slow disk delays no failover.

The history is only read afterwards, by operators: no failure of it keeps vtorc from starting, working or ending.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from vtorc.errors import HistoryDamaged, HistoryError
from vtorc.history.file_identity import FileIdentity, file_identity
from vtorc.history.store import History, StoredAudit, StoredDecision, StoredRecovery

_LONGEST_QUEUE = 10_000

ASIDE = ".damaged"
"""Suffix of a damaged file that was replaced by a new one."""

_Work = Callable[[History], None]


class HistoryWriter:
    """The one writer of a history; its thread opens the file, and `close` waits a limited time for the last entries."""

    def __init__(self, path: str, *, purge_before: int = 0, replace_damaged: bool = False) -> None:
        """Begin to write to the file at `path`, and delete entries from before `purge_before`.

        `purge_before` is in nanoseconds since the Unix epoch. With `replace_damaged` a damaged file is set aside and
        replaced, otherwise it is left as it is. A file that cannot be used is logged once, and entries are dropped
        until it can be. A file that was moved or deleted is made anew.
        """
        self._path = path
        self._purge_before = purge_before
        self._replace_damaged = replace_damaged
        self._history: History | None = None
        self._opened_as: FileIdentity | None = None
        self._has_failed = False
        self._log = structlog.get_logger("vtorc.history")
        self._queue: queue.Queue[_Work | None] = queue.Queue(_LONGEST_QUEUE)
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def add_recovery(self, stored: StoredRecovery) -> None:
        """Queue a recovery for writing."""
        self._put(lambda history: history.add_recovery(stored))

    def add_decision(self, stored: StoredDecision) -> None:
        """Queue a decision for writing."""
        self._put(lambda history: history.add_decision(stored))

    def add_audit(self, stored: StoredAudit) -> None:
        """Queue what an operator asked for."""
        self._put(lambda history: history.add_audit(stored))

    def close(self, *, patience: float = 5.0) -> None:
        """Write the queued entries and close the file; after `patience` seconds the rest is lost, which is logged."""
        ends_at = time.monotonic() + patience
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=patience)
            self._thread.join(max(0.0, ends_at - time.monotonic()))
        if self._thread.is_alive():
            self._log.error(
                f"the last entries of the history were not written within {patience:g} s and are lost: "
                f"check the disk that {self._path} is on"
            )

    def _put(self, work: _Work) -> None:
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self._log.error(
                f"an entry of the history was dropped, as {_LONGEST_QUEUE} others wait to be written: "
                f"check the disk that {self._path} is on"
            )

    def _run(self) -> None:
        self._open()
        while (work := self._queue.get()) is not None:
            if (history := self._usable()) is not None:
                self._do(history, work)
        self._close()

    def _usable(self) -> History | None:
        """Return the history in the file that is at the path now; None if there can be none."""
        if self._history is None or file_identity(self._path) != self._opened_as:
            was_open = self._history is not None
            self._close()
            self._open()
            if self._history is not None:
                why = "its file was moved or deleted" if was_open else "its file can be used by now"
                self._log.warning(f"the history begins anew in {self._path}: {why}")
        return self._history

    def _close(self) -> None:
        history, self._history = self._history, None
        if history is not None:
            history.close()

    def _do(self, history: History, work: _Work) -> None:
        try:
            work(history)
        except HistoryError as error:
            self._log.error(str(error))
        except Exception as error:  # the next entry may not have the cause of the error
            self._log.error(f"an entry of the history could not be written: {error!r}")

    def _open(self) -> None:
        """Open the file; a failure is told once until one is opened again."""
        try:
            try:
                self._history = self._opened()
            except HistoryDamaged as damage:
                if not self._replace_damaged:
                    raise
                self._set_aside(str(damage))
                self._history = self._opened()
        except (HistoryError, OSError) as error:
            if not self._has_failed:
                self._log.error(f"no history is written until its file can be used: {error}")
            self._has_failed = True
            return
        self._opened_as = file_identity(self._path)
        self._has_failed = False

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
        """Rename the file and those that SQLite keeps beside it; an earlier file of that name is overwritten."""
        aside = self._path + ASIDE
        for part in ("-wal", "-shm", ""):
            if (file := Path(self._path + part)).exists():
                file.replace(aside + part)
        self._log.error(f"{damage}; it was renamed to {aside}, and a new history begins")
