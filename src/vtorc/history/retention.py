"""Which entries of the history are deleted: those that are too old, then the oldest of a file that is too large."""

import sqlite3
from dataclasses import dataclass

_TARGET = 0.9
"""The part of its largest size that a file is brought to, so that not each entry makes another deletion."""

_MOST_ROUNDS = 20

_TIMES = (
    "SELECT began AS at FROM recovery UNION ALL SELECT at FROM decision "
    "UNION ALL SELECT at FROM hook UNION ALL SELECT at FROM request"
)

# A problem that stands for weeks is in force still: its last decision in this run of vtorc is kept whatever its age.
_DELETE = (
    "DELETE FROM recovery WHERE began < :before",
    "DELETE FROM hook WHERE at < :before",
    "DELETE FROM request WHERE at < :before",
    "DELETE FROM decision WHERE at < :before AND id NOT IN ("
    "SELECT id FROM (SELECT max(id) AS id, change, at FROM decision "
    "GROUP BY shard, code, tablet, CASE code WHEN '' THEN rule END) "
    "WHERE change = 'decided' AND at >= (SELECT coalesce(max(began), 0) FROM run))",
    "DELETE FROM seen WHERE at < :before AND NOT EXISTS ("
    "SELECT 1 FROM decision WHERE decision.shard = seen.shard AND decision.at = seen.at)",
    "DELETE FROM run WHERE seen < :before",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of a history is kept."""

    seconds: float | None = None
    """The age at which an entry is deleted; None for any age."""
    size: int = 0
    """Bytes that the file may have; 0 for any size. The oldest entries are deleted first."""


def purge(db: sqlite3.Connection, retention: Retention, now: int) -> None:
    """Delete what is not kept at `now`, in nanoseconds since the Unix epoch, and give its room back to the disk.

    Raises sqlite3.Error.
    """
    if retention.seconds is not None:
        _delete(db, before=now - int(retention.seconds * 1e9))
    for _ in range(_MOST_ROUNDS):
        used = _used_bytes(db)
        if not retention.size or used <= retention.size:
            break
        if (before := _oldest_part(db, 1 - _TARGET * retention.size / used)) is None:
            break
        _delete(db, before=before)
    # As scripts, because `execute` makes one step of a statement without columns, and that frees one page.
    db.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")


def _delete(db: sqlite3.Connection, *, before: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _DELETE:
            db.execute(statement, {"before": before})
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _used_bytes(db: sqlite3.Connection) -> int:
    """Return the size of the file without the pages that are free."""
    (pages,), (free,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _oldest_part(db: sqlite3.Connection, part: float) -> int | None:
    """Return the time before which that part of all entries lies, at least one of them; None without entries."""
    (count,) = db.execute(f"SELECT count(*) FROM ({_TIMES})").fetchone()
    if not count:
        return None
    (at,) = db.execute(
        f"SELECT at FROM ({_TIMES}) ORDER BY at LIMIT 1 OFFSET ?", (min(count - 1, int(count * part)),)
    ).fetchone()
    return int(at) + 1
