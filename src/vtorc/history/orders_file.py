"""The file of what operators told vtorc, and what it must not forget over a restart.

It is a file of its own, so that no order is lost with a damaged or purged history.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import structlog

from vtorc.errors import OrdersFileError
from vtorc.history.file_identity import FileIdentity, file_identity
from vtorc.history.orders_schema import APPLICATION, STEPS
from vtorc.history.read_only import connect_read_only, takes_no_writes
from vtorc.history.schema import version_of

_BUSY = 2.0
"""Seconds that a statement waits for another process that reads the file."""

_SHARED = "another vtorc writes to it as well, and neither knows the orders of the other: give each a folder of its own"
_ANOTHER_FILE = "another file is in its place; restart vtorc to read that one, or move it away"

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]
"""A piece of work that is done in one transaction."""


class OrdersFile:
    """One SQLite file, read and written by a thread of its own; each piece of work is one transaction.

    A file that cannot be used is logged once, and each call opens it again, so that no restart is needed once it is
    mended. A file of a newer vtorc is read as far as this vtorc knows its tables, and never written.

    A copy of all that was answered stays in the memory, and a file that is opened again has to continue from it. A file
    that had failed and was moved away began anew as an empty one: its first hold got the number of one in force, which
    ended without a word, and the next start forgot the others.
    """

    def __init__(self, path: str, *, steps: Sequence[Sequence[str]] = STEPS) -> None:
        """Use the file at `path`, which the first call opens or creates; `steps` as in the schema."""
        self.path = path
        self._steps = steps
        self._db: sqlite3.Connection | None = None
        self._opened_as: FileIdentity | None = None
        self._answered: sqlite3.Connection | None = None
        self._is_newer = False
        self._not_writable = ""
        self._version_seen = 0
        self._is_shared = False
        self._has_failed = False
        self._log = structlog.get_logger("vtorc.orders")
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)
        self._thread.start()

    async def read(self, work: Work[T]) -> T:
        """Return what `work` reads; raises OrdersFileError."""
        return await self._do(work, writes=False)

    async def write(self, work: Work[T]) -> T:
        """Return what `work` returns once all that it wrote is on the disk; raises OrdersFileError if nothing is.

        A caller that is cancelled while the disk works does not know whether it was written.
        """
        return await self._do(work, writes=True)

    def close(self, *, patience: float = 5.0) -> None:
        """Do what waits, and end the thread; after `patience` seconds the rest is lost, which is logged."""
        self._queue.put(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            self._log.error(
                f"orders file {self.path}: the last orders were not written within {patience:g} s; "
                f"vtorc has confirmed none of them: check the disk"
            )

    async def _do(self, work: Work[T], *, writes: bool) -> T:
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(self._transaction(work, writes=writes))
            except BaseException as error:  # it is raised where the call was made
                done.set_exception(error)

        self._queue.put(run)
        return await asyncio.wrap_future(done)

    def _run(self) -> None:
        while (run := self._queue.get()) is not None:
            run()
        self._disconnect()
        if self._answered is not None:
            self._answered.close()

    def _transaction(self, work: Work[T], *, writes: bool) -> T:
        try:
            result = self._attempt(work, writes=writes)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise self._told(
                f"{error}; expected an SQLite file that vtorc made: mend or move it away, and check the disk"
            ) from error
        except OrdersFileError as error:
            raise self._told(str(error)) from error
        self._has_failed = False
        return result

    def _attempt(self, work: Work[T], *, writes: bool) -> T:
        if writes and self._not_writable:
            self._disconnect()  # it may be writable again
        db = self._connection()
        if writes and self._is_newer:
            raise OrdersFileError(self._newer(db))
        if writes and self._not_writable:
            raise OrdersFileError(f"nothing can be written to it: {self._not_writable}")
        if writes:
            self._look_for_others(db)
        db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            result = work(db)
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        if writes:
            self._keep_answered(db)
        return result

    def _look_for_others(self, db: sqlite3.Connection) -> None:
        """Tell once that another process has changed the orders; one that only tidies the file up is none."""
        if (version := _version_of_others(db)) == self._version_seen or self._is_shared:
            return
        self._version_seen = version
        if self._answered is not None and not _is_same(db, self._answered):
            self._is_shared = True
            self._log.error(f"orders file {self.path}: {_SHARED}")

    def _told(self, reason: str) -> OrdersFileError:
        """Return the error that a call raises, and log it unless the last call failed as well."""
        error = OrdersFileError(f"orders file {self.path}: {reason}")
        if not self._has_failed:
            self._log.error(f"{error}; orders of operators are refused until then")
        self._has_failed = True
        return error

    # --- the connection

    def _connection(self) -> sqlite3.Connection:
        """Return the connection that stays open; raises OrdersFileError if there is another file in its place."""
        found = file_identity(self.path)
        if self._answered is not None and found is None:
            self._disconnect()
            if self._is_newer:
                raise OrdersFileError("it was of a newer vtorc and is gone; restart vtorc to begin a new one")
            self._db = self._made_again(self._answered, "it was moved or deleted")
        elif self._db is None:
            self._db = self._opened_again(found)
        elif found != self._opened_as:
            raise OrdersFileError(_ANOTHER_FILE)
        return self._db

    def _opened_again(self, found: FileIdentity | None) -> sqlite3.Connection:
        """Open the file for the first time, or after it has failed."""
        db = self._opened()
        try:
            if self._answered is None:
                self._keep_answered(db)
            elif not self._is_newer and not _is_same(db, self._answered):
                if found != self._opened_as or self._is_shared:
                    raise OrdersFileError(_SHARED if self._is_shared else _ANOTHER_FILE)
                db.close()
                return self._made_again(self._answered, "it was not as it was answered")
        except BaseException:
            db.close()
            raise
        self._opened_as = file_identity(self.path)
        return db

    def _opened(self) -> sqlite3.Connection:
        """Open the file; where nothing can be written, it is read as it is, since what it holds back still counts."""
        before = self._not_writable
        try:
            db = self._opened_to_write()
            self._not_writable = ""
        except (sqlite3.Error, OSError) as error:
            if not takes_no_writes(error):
                raise
            try:
                db = connect_read_only(self.path)
            except sqlite3.Error:
                raise error from None
            try:
                self._check_it_is_ours(db)
                self._is_newer = version_of(db) > len(self._steps)
            except BaseException:
                db.close()
                raise
            self._not_writable = str(error)
        if self._not_writable and not before:
            self._log.error(
                f"orders file {self.path}: nothing can be written to it ({self._not_writable}): the orders in it are "
                "in force, and new ones are refused; check the disk and its permissions"
            )
        return db

    def _opened_to_write(self) -> sqlite3.Connection:
        _make_readable_for_owner_only(self.path)
        db = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY)
        try:
            self._check_it_is_ours(db)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            self._bring_up_to_date(db)
            self._version_seen = _version_of_others(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check_it_is_ours(self, db: sqlite3.Connection) -> None:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
        if tables and application != APPLICATION:
            raise OrdersFileError("it is an SQLite file of another program; move it away, or name another place")

    def _keep_answered(self, db: sqlite3.Connection) -> None:
        """Keep a copy of the whole file where no disk can take it away; one of a damaged file would bring that back."""
        copy = sqlite3.connect(":memory:")
        try:
            db.backup(copy)
            if copy.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it is damaged")
        except BaseException:
            copy.close()
            raise
        before, self._answered = self._answered, copy
        if before is not None:
            before.close()

    def _made_again(self, answered: sqlite3.Connection, why: str) -> sqlite3.Connection:
        """Write all orders to a new file.

        The files that SQLite kept beside the old one go with it: they would be read as those of the new one.
        """
        for part in ("-wal", "-shm"):
            Path(self.path + part).unlink(missing_ok=True)
        _copy(answered, self.path)
        db = self._opened()
        self._opened_as = file_identity(self.path)
        self._log.warning(f"orders file {self.path}: {why}, and was written again with all orders")
        return db

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    # --- versions

    def _bring_up_to_date(self, db: sqlite3.Connection) -> None:
        version = version_of(db)
        self._is_newer = version > len(self._steps)
        if 0 < version < len(self._steps):
            self._keep_copy(db, version)
        for number, statements in enumerate(self._steps[version:], start=version + 1):
            db.execute("BEGIN IMMEDIATE")
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION}")
            db.execute(f"PRAGMA user_version={number}")
            db.execute("COMMIT")

    def _keep_copy(self, db: sqlite3.Connection, version: int) -> None:
        """Keep a copy of the file as an earlier vtorc can read it, under its name and version."""
        copy = f"{self.path}.v{version}"
        _copy(db, copy)
        self._log.info(f"orders file {self.path}: it is of an earlier vtorc and is brought up to date; {copy} keeps it")

    def _newer(self, db: sqlite3.Connection) -> str:
        return (
            f"it is of version {version_of(db)}, and this vtorc writes version {len(self._steps)}; start a vtorc at "
            f"least as new as the one that made it, or move it away and restart this one"
        )


def _version_of_others(db: sqlite3.Connection) -> int:
    """Return a number that changes when another connection writes to the file."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])


def _is_same(one: sqlite3.Connection, other: sqlite3.Connection) -> bool:
    return all(ours == theirs for ours, theirs in zip_longest(one.iterdump(), other.iterdump()))


def _copy(db: sqlite3.Connection, path: str) -> None:
    """Copy a whole database to `path`, where it appears once it is complete."""
    unfinished = f"{path}.unfinished"
    Path(unfinished).unlink(missing_ok=True)
    _make_readable_for_owner_only(unfinished)
    with contextlib.closing(sqlite3.connect(unfinished)) as target:
        db.backup(target)
    Path(unfinished).replace(path)


def _make_readable_for_owner_only(path: str) -> None:
    """Create a file with those rights, which SQLite gives to the files beside it too; one that exists is left."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
