"""The SQLite file of the embedded topology: blocking calls, each one transaction.

Several processes of one machine may use the file at the same time. Leases end by the time since boot. All processes of
a machine share it, it runs while the machine sleeps, and no correction of the wall clock moves it. The boot id is
stored with each lease, so a lease from before a reboot has ended. Systems other than Linux have neither, and use the
monotonic clock. There a lease that would end later than a new one counts as one of an earlier boot. The next call of
any process removes ended leases before it reads.

The file must be on a local file system: the locks and shared memory of SQLite's write-ahead log need one.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from vtorc.errors import BadVersion, LockHeld, NodeExists, NoNode, TopoError, TopoMisconfigured, TopoUnavailable
from vtorc.topo.embedded import Row
from vtorc.topo.lock_contents import describe_lock

_APPLICATION_ID = 0x76746F70  # "vtop", in the header of the file
_FORMAT = 1
_SCHEMA = """
CREATE TABLE entries
    (key TEXT PRIMARY KEY, contents BLOB NOT NULL, version INTEGER NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE leases
    (lease INTEGER PRIMARY KEY, key TEXT NOT NULL, boot TEXT, ttl_ns INTEGER NOT NULL, ends_ns INTEGER NOT NULL);
CREATE TABLE revision (last INTEGER NOT NULL);
INSERT INTO revision VALUES (0)
"""
_OVER = "boot <> :boot OR ends_ns <= :now OR ends_ns > :now + ttl_ns"
_COLUMNS = "key, contents, version, created"


class TopoFile:
    """One open topology file, for use by one thread."""

    def __init__(self, path: Path, *, busy_timeout: float) -> None:
        self._path = path
        self._boot = _boot_id()
        self._busy_timeout = busy_timeout
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are ours: autocommit, and BEGIN where several statements belong together.
            self._db = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(str(error)) from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def get(self, key: str) -> Row:
        """Read one key."""
        with self._reading():
            row = self._find(key)
        if row is None:
            raise NoNode(key)
        return row

    def scan(self, prefix: str) -> Sequence[Row]:
        """Read all keys below a prefix."""
        with self._reading():
            return self._below(prefix)

    def keys(self, prefix: str) -> Sequence[str]:
        """List all keys below a prefix."""
        with self._reading():
            rows = self._db.execute("SELECT key FROM entries WHERE key >= ? AND key < ? ORDER BY key", _bounds(prefix))
            return [key for (key,) in rows]

    def put(self, key: str, contents: bytes, expected: int | None) -> int:
        """Write a key."""
        with self._writing():
            before = self._find(key)
            if expected == 0 and before is not None:
                raise NodeExists(key)
            if expected:
                _expect(key, before, expected)
            return self._write(key, contents, before).version

    def delete(self, key: str, expected: int | None) -> None:
        """Delete a key."""
        with self._writing():
            _expect(key, self._find(key), expected)
            self._next_revision()
            self._db.execute("DELETE FROM entries WHERE key = ?", (key,))

    def enqueue(self, directory: str, lease: int, contents: bytes, *, ttl: float, only_if_free: bool) -> Row:
        """Put a key into the queue for a lock."""
        with self._writing():
            if not self._below(f"{directory}/", limit=1):
                raise NoNode(directory)
            queue = self._below(f"{directory}/locks/")
            if queue and only_if_free:
                raise LockHeld(directory, describe_lock(min(queue, key=lambda row: row.created).contents))
            row = self._write(f"{directory}/locks/{lease}", contents, None)
            values = (lease, row.key, self._boot, int(ttl * 1e9), _since_boot() + int(ttl * 1e9))
            self._db.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?)", values)
            return row

    def refresh(self, lease: int, ttl: float) -> bool:
        """Prolong a lease."""
        with self._writing():
            done = self._db.execute(
                "UPDATE leases SET ends_ns = ? WHERE lease = ? "
                "AND EXISTS (SELECT 1 FROM entries WHERE entries.key = leases.key)",
                (_since_boot() + int(ttl * 1e9), lease),
            )
            return done.rowcount == 1

    def revoke(self, lease: int) -> None:
        """End a lease."""
        with self._writing():
            self._end_leases("lease = :lease", {"lease": lease})

    def poll(self) -> int:
        """Remove ended leases, and return the revision, which differs after each change by any process."""
        with self._reading():
            return int(self._db.execute("SELECT last FROM revision").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _prepare(self) -> None:
        self._use_write_ahead_log()
        with self._errors():
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                mark, form, tables = (
                    self._db.execute(query).fetchone()[0]
                    for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
                )
                if tables == 0:
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    self._db.execute(f"PRAGMA user_version = {_FORMAT}")
                elif (mark, form) != (_APPLICATION_ID, _FORMAT):
                    raise self._unusable("it is an SQLite file of another program, or of another version of vtorc")
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def _use_write_ahead_log(self) -> None:
        # SQLite does not wait here for another process that changes the journal mode of the same new file just now.
        give_up = time.monotonic() + self._busy_timeout
        while True:
            try:
                with self._errors():
                    self._db.execute("PRAGMA journal_mode = WAL")
                return
            except TopoUnavailable:
                if time.monotonic() >= give_up:
                    raise
            time.sleep(0.01)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._errors():
            if self._db.execute(f"SELECT 1 FROM leases WHERE {_OVER} LIMIT 1", self._moment()).fetchone():
                with self._writing():
                    pass  # a write transaction begins by removing ended leases
            yield

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._end_leases(_OVER, self._moment())
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise TopoUnavailable(
                    f"topology file {self._path}: another process kept it locked for more than "
                    f"{self._busy_timeout:g} s; find the process that hangs"
                ) from error
            if code == sqlite3.SQLITE_NOTADB:
                raise self._unusable(str(error)) from error
            raise TopoError(f"topology file {self._path}: {error}; check the disk and its permissions") from error

    def _unusable(self, reason: str) -> TopoMisconfigured:
        return TopoMisconfigured(
            f"{self._path} cannot be used as topology file: {reason}. "
            "Name a file that `vtorc` made, or a new one in a folder that vtorc may write to"
        )

    def _moment(self) -> dict[str, str | int]:
        return {"boot": self._boot, "now": _since_boot()}

    def _end_leases(self, condition: str, values: dict[str, str | int] | dict[str, int]) -> None:
        ended = self._db.execute(f"DELETE FROM leases WHERE {condition} RETURNING key", values).fetchall()
        for key in ended:
            self._next_revision()
            self._db.execute("DELETE FROM entries WHERE key = ?", key)

    def _next_revision(self) -> int:
        return int(self._db.execute("UPDATE revision SET last = last + 1 RETURNING last").fetchall()[0][0])

    def _write(self, key: str, contents: bytes, before: Row | None) -> Row:
        revision = self._next_revision()
        row = Row(key, contents, revision, before.created if before else revision)
        values = (key, contents, row.version, row.created)
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", values)
        return row

    def _find(self, key: str) -> Row | None:
        values = self._db.execute(f"SELECT {_COLUMNS} FROM entries WHERE key = ?", (key,)).fetchone()
        return None if values is None else Row(*values)

    def _below(self, prefix: str, *, limit: int = -1) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM entries WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        return [Row(*values) for values in self._db.execute(query, (*_bounds(prefix), limit))]


def _bounds(prefix: str) -> tuple[str, str]:
    return prefix, f"{prefix[:-1]}0"  # 0 is the character after the slash


def _expect(key: str, row: Row | None, expected: int | None) -> None:
    if row is None:
        raise NoNode(key)
    if expected is not None and row.version != expected:
        raise BadVersion(key)


def _since_boot() -> int:
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
