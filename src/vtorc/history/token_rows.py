"""The bearer tokens in the orders file, one row each: of a secret only its hash is ever written."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from vtorc.history.orders_file import OrdersFile

_COLUMNS = "name, hash, role, keyspaces, created, created_by, expires"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """One stored token; times are in nanoseconds since the Unix epoch."""

    name: str
    hash: bytes
    role: str
    keyspaces: Sequence[str] | None
    """None for all."""
    created: int
    created_by: str
    expires: int | None
    """None for one that is valid until it is revoked."""


class TokenRows:
    """Keeps tokens in the orders file."""

    def __init__(self, file: OrdersFile) -> None:
        self._file = file

    async def read(self) -> list[StoredToken]:
        """Return all tokens by name; raises OrdersFileError."""
        return await self._file.read(_all)

    async def add(self, token: StoredToken) -> None:
        """Keep a token of a new name; raises OrdersFileError."""
        keyspaces = json.dumps(list(token.keyspaces)) if token.keyspaces is not None else None
        values = (token.name, token.hash, token.role, keyspaces, token.created, token.created_by, token.expires)
        await self._file.write(
            lambda db: db.execute(f"INSERT INTO token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        )

    async def remove(self, name: str) -> None:
        """Forget a token; raises OrdersFileError."""
        await self._file.write(lambda db: db.execute("DELETE FROM token WHERE name = ?", (name,)))


def _all(db: sqlite3.Connection) -> list[StoredToken]:
    return [
        StoredToken(
            name=name,
            hash=hash_,
            role=role,
            keyspaces=json.loads(keyspaces) if keyspaces is not None else None,
            created=created,
            created_by=created_by,
            expires=expires,
        )
        for name, hash_, role, keyspaces, created, created_by, expires in db.execute(
            f"SELECT {_COLUMNS} FROM token ORDER BY name"
        )
    ]
