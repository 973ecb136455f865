"""Runs statements for the callers of `ExecuteFetchAs…`: text results with the type numbers of `query.Type`."""

from pathlib import Path

from vtorc.errors import MysqlError
from vtorc.lab.mysql_connection import connect, quote_name
from vtorc.vttablet.mysql_api import Fetch, Fetched, FetchedColumn
from vtorc.vttablet.sql_session import Column, ResultSet, Value

_TOO_MANY_ROWS = 10001
_BINARY_CHARSET = 63
_UNSIGNED, _ENUM, _SET = 32, 256, 2048

# MySQL's protocol types (manual of the protocol, "Column Definition") and the `query.Type` of each.
_INTEGERS = {1: 257, 2: 259, 3: 263, 8: 265, 9: 261}
_PLAIN = {
    **{0: 18, 246: 18, 4: 1035, 5: 1036, 6: 0, 7: 2061, 10: 2062, 11: 2063, 12: 2064, 13: 785},
    **{16: 2073, 242: 2083, 245: 2078, 247: 2074, 248: 2075, 255: 2077},
}
# Text types; a column of the binary character set has the second number.
_TEXT = {15: (6165, 10262), 253: (6165, 10262), 254: (6167, 10264), **dict.fromkeys(range(249, 253), (6163, 10260))}
_UNSIGNED_OFFSET = 513  # the distance between INT8 and UINT8, and so on for the wider ones


async def fetch(socket: Path, wanted: Fetch) -> list[Fetched]:
    """Run the statements in a new session; an unknown `database` is no error (both as in Vitess' `rpc_query.go`)."""
    session = await connect(socket, user=wanted.user)
    try:
        if wanted.disable_binlogs:
            await session.run("SET sql_log_bin = OFF")
        if wanted.disable_foreign_key_checks:
            await session.run("SET SESSION foreign_key_checks = OFF")
        if wanted.database:
            try:
                await session.run(f"USE {quote_name(wanted.database)}")
            except MysqlError:
                if not session.usable:
                    raise
        results = await session.run_all(wanted.sql)
    finally:
        session.close()
    return [_fetched(result, wanted.max_rows) for result in results]


def _fetched(result: ResultSet, max_rows: int) -> Fetched:
    if max_rows and len(result.rows) > max_rows:
        raise MysqlError(f"Row count exceeded {max_rows}", errno=_TOO_MANY_ROWS)
    return Fetched(
        columns=tuple(FetchedColumn(column.name, query_type(column)) for column in result.columns),
        rows=tuple(tuple(map(_as_bytes, row)) for row in result.rows),
        affected=result.affected,
        insert_id=result.insert_id,
    )


def query_type(column: Column) -> int:
    """Return the `query.Type` number of a result column."""
    if column.type in _INTEGERS:
        return _INTEGERS[column.type] + (_UNSIGNED_OFFSET if column.flags & _UNSIGNED else 0)
    if column.flags & _ENUM:
        return _PLAIN[247]
    if column.flags & _SET:
        return _PLAIN[248]
    if column.type in _TEXT:
        return _TEXT[column.type][column.charset == _BINARY_CHARSET]
    return _PLAIN.get(column.type, _TEXT[253][0])


def _as_bytes(value: Value) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
