"""Writes to the history from a thread of its own, so that a slow disk delays no failover.

The history is only read afterwards, by operators: no failure of it keeps vtorc from starting, working or ending.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from vtorc.errors import HistoryDamaged, HistoryError
from vtorc.history.file_identity import FileIdentity, file_identity
from vtorc.history.retention import Retention
from vtorc.history.store import History, StoredAudit, StoredDecision, StoredHook, StoredRecovery, StoredRun

_LONGEST_QUEUE = 10_000

PURGE_EVERY = 86400.0
"""Seconds between two deletions of what is not kept."""

PURGE_AFTER_ENTRIES = 1000
"""Entries after which the size of the file is looked at sooner."""

NOTE_RUN_EVERY = 60.0
"""Seconds after which the history tells again that vtorc runs: what is between two runs, it did not watch."""

ASIDE = ".damaged"
"""Suffix of a damaged file that was replaced by a new one."""

_Work = Callable[[History], None]


class HistoryWriter:
    """The one writer of a history; its thread opens the file, and `close` waits a limited time for the last entries."""

    def __init__(
        self,
        path: str,
        *,
        kept: Callable[[], Retention] = Retention,
        version: str = "",
        process: int = 0,
        replace_damaged: bool = False,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begin to write to the file at `path`, and delete what is not `kept`, at once and then every day.

        `version` and `process` tell the runs of vtorc apart; `wall` returns nanoseconds since the Unix epoch. With
        `replace_damaged` a damaged file is set aside and replaced, otherwise it is left as it is. A file that cannot be
        used is logged once, and entries are dropped until it can be. A file that was moved or deleted is made anew.
        """
        self._path = path
        self._kept = kept
        self._replace_damaged = replace_damaged
        self._wall = wall
        self._run_began = StoredRun(began=wall(), seen=0, version=version, process=process)
        self._purge_at = 0.0
        self._entries = 0
        self._history: History | None = None
        self._opened_as: FileIdentity | None = None
        self._has_failed = False
        self._is_refused = False
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

    def add_seen(self, shard: str, at: int, form: Callable[[], bytes]) -> None:
        """Queue what was seen of a shard for writing; `form` is called in the thread, and returns it as JSON."""
        self._put(lambda history: history.add_seen(shard, at, form()))

    def add_hook(self, stored: StoredHook) -> None:
        """Queue the run of a command hook for writing."""
        self._put(lambda history: history.add_hook(stored))

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
        look_at = time.monotonic() + NOTE_RUN_EVERY
        is_ending = False
        while not is_ending:
            with contextlib.suppress(queue.Empty):
                work = self._queue.get(timeout=max(0.0, look_at - time.monotonic()))
                is_ending = work is None
                if work is not None and (history := self._usable()) is not None:
                    self._do(history, work)
                    self._entries += 1
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + NOTE_RUN_EVERY
                self._look_after_file()
        self._note_run()
        self._close()

    def _look_after_file(self) -> None:
        """Tell that vtorc runs, and delete what is not kept if it is time for that."""
        if self._usable() is None:
            return
        self._note_run()
        if time.monotonic() >= self._purge_at or self._entries >= PURGE_AFTER_ENTRIES:
            self._purge()

    def _note_run(self) -> None:
        if self._history is not None:
            self._do(self._history, lambda history: history.note_run(replace(self._run_began, seen=self._wall())))

    def _purge(self) -> None:
        self._purge_at, self._entries = time.monotonic() + PURGE_EVERY, 0
        if self._history is not None:
            self._do(self._history, lambda history: history.purge(self._kept(), self._wall()))

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
        """Do one piece of work; a disk that takes none is told once until it takes one again."""
        try:
            work(history)
        except HistoryError as error:
            if not self._is_refused:
                self._log.error(str(error))
            self._is_refused = True
            if isinstance(error, HistoryDamaged) and self._replace_damaged:
                self._begin_anew(error)
        except Exception as error:  # the next entry may not have the cause of the error
            self._log.error(f"an entry of the history could not be written: {error!r}")
        else:
            self._is_refused = False

    def _begin_anew(self, damage: HistoryDamaged) -> None:
        """Set the open file aside, so that the next entry has a file that can be written."""
        self._close()
        with contextlib.suppress(OSError):
            self._set_aside(str(damage))

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
        self._note_run()

    def _opened(self) -> History:
        history = History(self._path)
        self._purge_at, self._entries = time.monotonic() + PURGE_EVERY, 0
        try:
            history.purge(self._kept(), self._wall())
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
