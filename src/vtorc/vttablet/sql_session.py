"""A session with a MySQL server, real or simulated: what statements answer, as text."""

from dataclasses import dataclass
from typing import Protocol

Value = str | bytes | None
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """Name, protocol type number and character set number of one result column."""

    name: str
    type: int
    charset: int
    flags: int


@dataclass(frozen=True, slots=True)
class ResultSet:
    """What one statement answered; `rows` hold text as the server sent it."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    affected: int = 0
    insert_id: int = 0


class SqlSession(Protocol):
    """What reads and writes over SQL need of a session with a server, real or simulated."""

    @property
    def alive(self) -> bool:
        """Whether the session can still be used, as far as the client has heard."""
        ...

    async def run(self, sql: str) -> ResultSet:
        """Run one statement; a cancelled one is killed in the server. Raises MysqlError."""
        ...

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement and return its rows by column name; NULL is the empty string."""
        ...

    async def row(self, sql: str) -> Row:
        """Run a statement that answers exactly one row."""
        ...

    async def value(self, sql: str) -> str:
        """Run a statement that answers one value."""
        ...

    def close(self) -> None:
        """End the session."""
        ...
