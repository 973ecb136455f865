"""The interface of a session with a MySQL server, real or simulated; results are text."""

from dataclasses import dataclass
from typing import Protocol

Value = str | bytes | None
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """The name, the protocol's type number, the character set number and the flags of one result column."""

    name: str
    type: int
    charset: int
    flags: int


@dataclass(frozen=True, slots=True)
class ResultSet:
    """The result of one statement; `rows` hold text as the server sent it."""

    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    affected: int = 0
    insert_id: int = 0


class SqlSession(Protocol):
    """A session with a server, real or simulated."""

    @property
    def alive(self) -> bool:
        """Whether the session can still be used, as far as the client knows."""
        ...

    async def run(self, sql: str) -> ResultSet:
        """Run one statement; a cancelled one is killed in the server. Raises MysqlError."""
        ...

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement and return its rows by column name; NULL is the empty string."""
        ...

    async def row(self, sql: str) -> Row:
        """Run a statement that returns exactly one row."""
        ...

    async def value(self, sql: str) -> str:
        """Run a statement that returns one value."""
        ...

    def close(self) -> None:
        """End the session."""
        ...
