"""Reads SQLite files where nothing can be written, such as a file system that a broken disk made read-only."""

import errno
import sqlite3
from pathlib import Path
from urllib.parse import quote

_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL)
_NUMBERS = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO)


def takes_no_writes(error: sqlite3.Error | OSError) -> bool:
    """Return whether a file may be readable that could not be opened to be written."""
    if isinstance(error, OSError):
        return error.errno in _NUMBERS
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CODES


def connect_read_only(path: str) -> sqlite3.Connection:
    """Open a file to read it as it is at one moment; raises sqlite3.Error.

    SQLite reads a file in WAL mode only with leave to write in its folder, or if told that it never changes.
    """
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if Path(f"{path}-wal").exists():  # it has a part of the contents
            raise
    return _connected(path, "mode=ro&immutable=1")


def _connected(path: str, how: str) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{quote(path)}?{how}", uri=True, isolation_level=None)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except BaseException:
        db.close()
        raise
    return db
