"""A client's session with a simulated server, for the few SQL statements that the demo sends."""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from vtorc.core.facts.status import ThreadState
from vtorc.errors import MysqlError
from vtorc.sim.engine.process import Life
from vtorc.sim.mysql.admin import statement
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.reports import replica_report, semi_sync
from vtorc.sim.mysql.server import SimMysqld
from vtorc.vttablet.mysql_api import ReplicaReport
from vtorc.vttablet.sql_session import Column, ResultSet, Row

_TEXT_TYPE, _UTF8 = 253, 255
_NOT_SUPPORTED = 1235
_THREADS = {ThreadState.RUNNING: "Yes", ThreadState.CONNECTING: "Connecting"}

_Answer = Callable[["SimSession", re.Match[str]], Coroutine[Any, Any, list[Row]]]


class SimSession:
    """Implements `SqlSession`; ends with the server's process."""

    def __init__(self, server: SimMysqld, client: Life) -> None:
        self._server = server
        self._client = client
        self._serving = server.life
        self._kills = server.kills
        self._open = True

    @property
    def alive(self) -> bool:
        """Whether the session can still be used."""
        return self._open and self._serving.alive and self._server.kills == self._kills

    async def run(self, sql: str) -> ResultSet:
        """Run one statement; a cancelled one is killed in the server.

        Raises MysqlError 2013 when the process that the session connected to has ended, 1235 for a statement that
        simulated servers do not know.
        """
        rows = await self.rows(sql)
        names = list(rows[0]) if rows else []
        return ResultSet(
            tuple(Column(name, _TEXT_TYPE, _UTF8, 0) for name in names), tuple(tuple(row.values()) for row in rows)
        )

    async def rows(self, sql: str) -> list[Row]:
        """Run one statement and return its rows by column name; raises as `run` does."""
        if not self.alive:
            raise MysqlError("mysqld is down: the connection broke", errno=2013)
        for pattern, answer in _STATEMENTS:
            if (match := pattern.fullmatch(sql)) is not None:
                return await answer(self, match)
        raise MysqlError(f"a simulated server does not know this statement: {sql}", errno=_NOT_SUPPORTED)

    async def row(self, sql: str) -> Row:
        """Run a statement that returns exactly one row."""
        return (await self.rows(sql))[0]

    async def value(self, sql: str) -> str:
        """Run a statement that returns one value."""
        return next(iter((await self.row(sql)).values()))

    def close(self) -> None:
        """End the session."""
        self._open = False

    async def _entered(self) -> SimMysqld:
        await self._server.begin_statement(pooled=True)
        return self._server

    async def _insert(self, match: re.Match[str]) -> list[Row]:
        await statement(self._server.write(InsertRow(int(match["row"])), pooled=True), self._client)
        return []

    async def _variable(self, match: re.Match[str]) -> list[Row]:
        server = await self._entered()
        values = {"read_only": str(int(server.read_only)), "gtid_executed": str(server.executed.value)}
        return [{match[0].removeprefix("SELECT "): values[match["name"]]}]

    async def _table(self, match: re.Match[str]) -> list[Row]:
        """Return that the table exists: a simulated server has every table."""
        await self._entered()
        return [{"1": "1"}]

    async def _ids(self, match: re.Match[str]) -> list[Row]:
        found = await self._between(match)
        return [{"id": str(row)} for row in found]

    async def _count(self, match: re.Match[str]) -> list[Row]:
        return [{"COUNT(*)": str(len(await self._between(match)))}]

    async def _between(self, match: re.Match[str]) -> Sequence[int]:
        rows = (await self._entered()).tables.rows
        return [row for row in range(int(match["first"]), int(match["last"]) + 1) if row in rows]

    async def _count_listed(self, match: re.Match[str]) -> list[Row]:
        rows = (await self._entered()).tables.rows
        return [{"COUNT(*)": str(len(rows.intersection(map(int, match["rows"].split(", ")))))}]

    async def _replica_status(self, match: re.Match[str]) -> list[Row]:
        report = replica_report(await self._entered())
        return [] if report is None else [_replica_row(report)]

    async def _semi_sync_variables(self, match: re.Match[str]) -> list[Row]:
        status = semi_sync(await self._entered())
        return _pairs(
            rpl_semi_sync_source_enabled=_on(status.primary_enabled),
            rpl_semi_sync_replica_enabled=_on(status.replica_enabled),
            rpl_semi_sync_source_timeout=str(status.timeout),
            rpl_semi_sync_source_wait_for_replica_count=str(status.wait_for_replica_count),
        )

    async def _semi_sync_status(self, match: re.Match[str]) -> list[Row]:
        status = semi_sync(await self._entered())
        return _pairs(
            Rpl_semi_sync_source_status=_on(status.primary_active),
            Rpl_semi_sync_replica_status=_on(status.replica_active),
            Rpl_semi_sync_source_clients=str(status.primary_clients),
        )


async def open_session(server: SimMysqld, client: Life) -> SimSession:
    """Connect a client's process to a server; raises MysqlError. A frozen server keeps the client waiting."""
    await server.begin_statement()
    return SimSession(server, client)


_STATEMENTS: tuple[tuple[re.Pattern[str], _Answer], ...] = tuple(
    (re.compile(pattern), answer)
    for pattern, answer in (
        (r"INSERT INTO \S+ \(id, tablet\) VALUES \((?P<row>\d+), '[^']*'\)", SimSession._insert),
        (r"SELECT @@global\.(?P<name>read_only|gtid_executed)", SimSession._variable),
        (r"SELECT 1 FROM information_schema\.tables WHERE .*", SimSession._table),
        (r"SELECT COUNT\(\*\) FROM \S+ WHERE id BETWEEN (?P<first>\d+) AND (?P<last>\d+)", SimSession._count),
        (r"SELECT id FROM \S+ WHERE id BETWEEN (?P<first>\d+) AND (?P<last>\d+)", SimSession._ids),
        (r"SELECT COUNT\(\*\) FROM \S+ WHERE id IN \((?P<rows>[\d, ]+)\)", SimSession._count_listed),
        (r"SHOW REPLICA STATUS", SimSession._replica_status),
        (r"SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'", SimSession._semi_sync_variables),
        (r"SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'", SimSession._semi_sync_status),
    )
)


def _replica_row(report: ReplicaReport) -> Row:
    return {
        "Source_Host": report.source_host,
        "Source_Port": str(report.source_port),
        "Source_UUID": report.source_uuid,
        "Source_User": report.source_user,
        "Source_Server_Id": str(report.source_server_id),
        "Replica_IO_Running": _THREADS.get(report.io_state, "No"),
        "Replica_SQL_Running": _THREADS.get(report.sql_state, "No"),
        "Last_IO_Error": report.last_io_error,
        "Last_SQL_Error": report.last_sql_error,
        "Executed_Gtid_Set": str(report.executed),
        "Retrieved_Gtid_Set": str(report.received.difference(report.executed)),
        "Seconds_Behind_Source": "" if report.lag is None else str(report.lag),
        "SQL_Delay": str(report.sql_delay),
        "Auto_Position": "1",
        "Connect_Retry": str(report.connect_retry),
        "Source_Log_File": "",
        "Read_Source_Log_Pos": "0",
        "Relay_Source_Log_File": "",
        "Exec_Source_Log_Pos": "0",
        "Relay_Log_File": report.relay_log_coordinates.partition(":")[0],
        "Relay_Log_Pos": report.relay_log_coordinates.partition(":")[2],
        "Source_SSL_Allowed": "No",
    }


def _pairs(**values: str) -> list[Row]:
    return [{"Variable_name": name, "Value": value} for name, value in values.items()]


def _on(on: bool) -> str:
    return "ON" if on else "OFF"
