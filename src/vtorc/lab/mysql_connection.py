"""One connection to a mysqld: rows as text, errors with MySQL's number; cancelling a statement kills it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from asyncmy import errors as driver
from asyncmy.connection import Connection
from asyncmy.converters import conversions

from vtorc.errors import MysqlError
from vtorc.mysql.cancellation import reraise_cancellation
from vtorc.vttablet.sql_session import Column, ResultSet, Row, Value

CANNOT_CONNECT = 2002
CONNECTION_LOST = 2013
_NO_SUCH_THREAD = 1094

_Connection: Any = Connection  # the driver declares no types here
_KILL_DEADLINE = 2.0
# Without decoders the driver returns values as the text that the server sent.
_NO_DECODERS = {key: value for key, value in conversions.items() if not isinstance(key, int)}


class MysqlConnection:
    """One session; an error of the connection, or a cancelled statement, closes it for good."""

    def __init__(self, raw: Any, socket: Path) -> None:
        self._raw = raw
        self._socket = socket
        self.usable = True

    @property
    def thread_id(self) -> int:
        """The session's connection ID in the server."""
        return int(self._raw.thread_id())

    @property
    def alive(self) -> bool:
        """Whether the session can still be used, as far as the client knows."""
        return self.usable and not self._raw._stream_broken

    async def run(self, sql: str | bytes) -> ResultSet:
        """Run one statement, as `run_all` does."""
        return (await self.run_all(sql))[0]

    async def run_all(self, sql: str | bytes) -> list[ResultSet]:
        """Run one or several statements; cancelling the call kills them in the server, as in vttablet."""
        results = []
        try:
            await self._raw.query(sql)
            results.append(self._last_result())
            while self._raw._result.has_next:
                await self._raw.next_result()
                results.append(self._last_result())
        except asyncio.CancelledError:
            self.close()
            await self._kill()
            raise
        except (driver.MySQLError, OSError, EOFError) as error:
            raise self._translate(error) from error
        return results

    def _last_result(self) -> ResultSet:
        result = self._raw._result
        columns = tuple(
            Column(field.name, int(field.type_code), int(field.charsetnr), int(field.flags))
            for field in result.fields or ()
        )
        return ResultSet(columns, tuple(result.rows or ()), int(result.affected_rows or 0), int(result.insert_id or 0))

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement and return its rows by column name; NULL is the empty string."""
        result = await self.run(sql)
        names = [column.name for column in result.columns]
        return [dict(zip(names, map(as_text, row), strict=True)) for row in result.rows]

    async def row(self, sql: str) -> Row:
        """Run a statement that returns exactly one row."""
        return (await self.rows(sql))[0]

    async def value(self, sql: str) -> str:
        """Run a statement that returns one value."""
        return next(iter((await self.row(sql)).values()))

    def close(self) -> None:
        """Close the socket; the server notices that by itself."""
        self.usable = False
        self._raw.close()

    async def _kill(self) -> None:
        """Kill the session in the server: its statement could otherwise take effect after its caller saw it fail."""
        with contextlib.suppress(MysqlError, TimeoutError):
            async with asyncio.timeout(_KILL_DEADLINE):
                other = await connect(self._socket)
                try:
                    await other.run(f"KILL {self.thread_id}")
                finally:
                    other.close()

    def _translate(self, error: Exception) -> MysqlError:
        number, text = _number_and_text(error)
        if _from_server(number):
            return MysqlError(text, errno=number)
        self.close()
        return MysqlError(f"mysqld is down: the connection broke: {text}", errno=CONNECTION_LOST)


async def connect(
    socket: Path | None = None,
    *,
    user: str = "vt_dba",
    password: str = "",
    database: str = "",
    host: str = "",
    port: int = 0,
) -> MysqlConnection:
    """Open a session, over the unix socket if one is given.

    The caller sets the deadline: a hung server accepts the connection and answers nothing. Raises MysqlError, with
    errno 2002 if no server listens, and with MySQL's own number if the server refuses.
    """
    where = f"socket {socket}" if socket else f"{host}:{port}"
    place: dict[str, object] = {"unix_socket": str(socket)} if socket else {"host": host, "port": port}
    raw = _Connection(
        user=user, password=password, database=database or None, autocommit=True, conv=_NO_DECODERS, **place
    )
    try:
        with reraise_cancellation():
            await raw.connect()
    except asyncio.CancelledError:
        raw.close()
        raise
    # The driver raises RuntimeError if a server that is ending accepts the connection and closes it at once.
    except (driver.MySQLError, OSError, EOFError, RuntimeError) as error:
        number, text = _number_and_text(error)
        if _from_server(number):
            raise MysqlError(text, errno=number) from error
        raise MysqlError(f"mysqld is down: cannot connect through {where}: {text}", errno=CANNOT_CONNECT) from error
    return MysqlConnection(raw, socket or Path())


def as_text(value: Value) -> str:
    """Return a value as text; NULL is the empty string."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


async def kill_sessions(session: MysqlConnection, chosen: Callable[[Row], bool]) -> None:
    """Kill the sessions that `chosen` picks from the rows of SHOW PROCESSLIST; raises MysqlError.

    One that has ended by itself meanwhile is no error.
    """
    for thread in await session.rows("SHOW PROCESSLIST"):
        if not chosen(thread):
            continue
        try:
            await session.run(f"KILL {thread['Id']}")
        except MysqlError as error:
            if error.errno != _NO_SUCH_THREAD:
                raise


def quote(text: str) -> str:
    """Return a string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def quote_name(name: str) -> str:
    """Return a quoted identifier."""
    return "`" + name.replace("`", "``") + "`"


def _from_server(number: int) -> bool:
    """Whether the error came from the server: clients make up those from 2000 to 2999 (MySQL manual, "Client Error
    Message Reference").
    """
    return number >= 1000 and not 2000 <= number < 3000


def _number_and_text(error: Exception) -> tuple[int, str]:
    arguments: Sequence[object] = error.args
    if len(arguments) >= 2 and isinstance(arguments[0], int):
        return arguments[0], str(arguments[1])
    return 0, str(error) or type(error).__name__
