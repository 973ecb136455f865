"""The holds of operators in the orders file, one row each."""

import sqlite3
from collections.abc import Collection, Sequence

import structlog

from vtorc.core.facts.holds import Effect, Hold, HoldScope, Purpose
from vtorc.errors import HoldParseError
from vtorc.history.orders_file import OrdersFile

_COLUMNS = "purpose, scope, effects, owner, reason, created, expires"

_log = structlog.get_logger("vtorc.orders")


class HoldRows:
    """Keeps holds in the orders file; implements `vtorc.control.hold_book.HoldStore`."""

    is_lasting = True

    def __init__(self, file: OrdersFile) -> None:
        self._file = file

    async def read(self) -> Sequence[Hold]:
        """Return all holds by number; raises OrdersFileError. A row that makes no sense is logged and left out."""
        holds = []
        for row in await self._file.read(_rows):
            try:
                holds.append(_hold(row))
            except (HoldParseError, ValueError) as error:
                _log.error(
                    f"orders file {self._file.path}: hold {row[0]} is not in force, as it cannot be read: {error}"
                )
        return holds

    async def change(self, *, add: Sequence[Hold], remove: Collection[int]) -> Sequence[int]:
        """Add and remove holds in one go; returns the numbers of those added, and raises OrdersFileError."""

        def work(db: sqlite3.Connection) -> list[int]:
            db.executemany("DELETE FROM hold WHERE id = ?", [(number,) for number in remove])
            return [_insert(db, hold) for hold in add]

        return await self._file.write(work)


def _rows(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    return db.execute(f"SELECT id, {_COLUMNS} FROM hold ORDER BY id").fetchall()


def _insert(db: sqlite3.Connection, hold: Hold) -> int:
    effects = ",".join(effect.value for effect in Effect if effect in hold.effects)
    number = db.execute(
        f"INSERT INTO hold ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (hold.purpose.value, str(hold.scope), effects, hold.owner, hold.reason, hold.created, hold.expires),
    ).lastrowid
    assert number is not None
    return number


def _hold(row: tuple[object, ...]) -> Hold:
    """Return the hold of a row; raises HoldParseError, or ValueError for a purpose of a newer vtorc."""
    number, purpose, scope, effects, owner, reason, created, expires = row
    return Hold(
        number=int(str(number)),
        purpose=Purpose(str(purpose)),
        scope=HoldScope.parse(str(scope)),
        effects=frozenset(Effect.parse(each) for each in str(effects).split(",") if each),
        owner=str(owner),
        reason=str(reason),
        created=int(str(created)),
        expires=int(str(expires)) if expires is not None else None,
    )
