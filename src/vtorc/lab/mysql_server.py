"""A real mysqld (8.0.26 or newer) driven over SQL as a tablet's MySQL server."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import SemiSyncStatus
from vtorc.errors import MysqlError
from vtorc.lab import mysql_fetch, mysql_report
from vtorc.lab.mysql_connection import MysqlConnection, connect, kill_sessions, quote, quote_name
from vtorc.lab.sidecar import SIDECAR_TABLES
from vtorc.vttablet.mysql_api import (
    Fetch,
    Fetched,
    JournalRow,
    PrimaryReport,
    ReplicaReport,
    ServerReport,
    Source,
    Threads,
)
from vtorc.vttablet.sql_session import Row

_IDLE_SESSIONS = 20
"""Sessions that are kept while nothing uses them, as many as vttablet keeps (its flag dba_pool_size)."""

_UNKNOWN_DATABASE, _UNKNOWN_TABLE = 1049, 1146
_ALREADY_LOCKED = 1205
_JOURNAL_POSITION_LIMIT = 64000
_CONNECT_RETRY_S = 10
_WAIT_SLICE_S = 3600
_HOLDING_OFF = frozenset(("Waiting for global read lock", "Waiting for commit lock"))
_OWN_USERS = frozenset(("vt_dba", "system user", "event_scheduler"))


class RealMysqlServer:
    """Implements `MysqlServer` over the unix socket of a mysqld; it opens sessions as needed and keeps a few idle."""

    def __init__(self, socket: Path, *, version: tuple[int, int, int]) -> None:
        self._socket = socket
        self._renamed = version >= (8, 2, 0)  # MASTER left the last statements in 8.2
        self._idle: list[MysqlConnection] = []
        self._locker: MysqlConnection | None = None

    async def report(self) -> ServerReport:
        """Read everything that FullStatus reports about the server."""
        async with self._session() as session:
            return await mysql_report.server_report(session, self._log_status)

    async def replication_status(self) -> ReplicaReport | None:
        """Read SHOW REPLICA STATUS; None if the server has no replication source."""
        async with self._session() as session:
            return await mysql_report.replica_report(session)

    async def primary_report(self) -> PrimaryReport | None:
        """Read the server's own binary log position; None without binary logs."""
        async with self._session() as session:
            return await mysql_report.primary_report(session, self._log_status)

    async def executed(self) -> GtidSet:
        """Read gtid_executed."""
        return GtidSet.parse(await self._value("SELECT @@global.gtid_executed"))

    async def server_uuid(self) -> str:
        """Read server_uuid."""
        return await self._value("SELECT @@global.server_uuid")

    async def is_read_only(self) -> bool:
        """Read read_only."""
        return await self._value("SELECT @@global.read_only") == "1"

    async def set_read_only(self, on: bool) -> None:
        """Set read_only; OFF turns super_read_only off as well."""
        await self._run(f"SET GLOBAL read_only = {_on(on)}")

    async def set_super_read_only(self, on: bool) -> None:
        """Set super_read_only; ON turns read_only on as well and waits for running commits."""
        await self._run(f"SET GLOBAL super_read_only = {_on(on)}")

    async def start_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Start replication threads."""
        await self._run(f"START REPLICA {threads.value}".strip())

    async def start_replication_until_after(self, position: GtidSet) -> None:
        """Start both threads; the SQL thread stops once `position` is executed."""
        await self._run(f"START REPLICA UNTIL SQL_AFTER_GTIDS = {quote(str(position))}")

    async def stop_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Stop replication threads; a server without a source does nothing."""
        await self._run(f"STOP REPLICA {threads.value}".strip())

    async def change_source(self, source: Source) -> None:
        """Point the server at another source, with auto position; drops the relay log. Threads must be stopped."""
        options = [
            f"SOURCE_HOST = {quote(source.host)}",
            f"SOURCE_PORT = {source.port}",
            "SOURCE_USER = 'vt_repl'",
            "SOURCE_PASSWORD = ''",
            f"SOURCE_CONNECT_RETRY = {_CONNECT_RETRY_S}",
            "GET_SOURCE_PUBLIC_KEY = 1",
            "SOURCE_AUTO_POSITION = 1",
        ]
        if source.heartbeat_interval:
            options.append(f"SOURCE_HEARTBEAT_PERIOD = {source.heartbeat_interval:g}")
        await self._run(f"CHANGE REPLICATION SOURCE TO {', '.join(options)}")

    async def reset_replica(self, *, forget_source: bool) -> None:
        """Drop the relay log, and with `forget_source` the source settings too. Threads must be stopped."""
        await self._run("RESET REPLICA ALL" if forget_source else "RESET REPLICA")

    async def reset_binary_logs(self, *, purged: GtidSet | None = None) -> None:
        """Wipe binary logs and GTID history, then set gtid_purged to `purged` unless that is None."""
        async with self._session() as session:
            await session.run("RESET BINARY LOGS AND GTIDS" if self._renamed else "RESET MASTER")
            if purged is not None:
                await session.run(f"SET GLOBAL gtid_purged = {quote(str(purged))}")

    async def flush_binary_logs(self) -> None:
        """Begin a new binary log file."""
        await self._run("FLUSH BINARY LOGS")

    async def semi_sync(self) -> SemiSyncStatus | None:
        """Read the semi-sync settings; None without the plugins."""
        async with self._session() as session:
            return await mysql_report.semi_sync(session)

    async def set_semi_sync(self, *, primary: bool, replica: bool) -> None:
        """Switch the source and replica sides of semi-sync; a running IO thread keeps the setting it started with."""
        await self._run(
            f"SET GLOBAL rpl_semi_sync_source_enabled = {_on(primary)}, "
            f"GLOBAL rpl_semi_sync_replica_enabled = {_on(replica)}"
        )

    async def semi_sync_wait_sessions(self) -> int:
        """Read how many commits wait for an acknowledgement."""
        status = await self.global_status(["Rpl_semi_sync_source_wait_sessions"])
        return int(next(iter(status.values()), "0"))

    async def holds_commits_off(self) -> bool:
        """Whether a statement that turns the server read-only waits for running commits and holds new ones off.

        Such a statement waits for two locks, one after the other. While it waits, no other session gets them (MySQL
        manual, "General Thread States").
        """
        async with self._session() as session:
            threads = await session.rows("SHOW PROCESSLIST")
        return any(thread["State"] in _HOLDING_OFF for thread in threads)

    async def kill_application_sessions(self) -> None:
        """Kill the sessions of all clients but the tablet and the replicas; each loses its connection at once."""
        async with self._session() as session:
            await kill_sessions(session, _is_application)

    async def wait_for_executed(self, position: GtidSet) -> None:
        """Wait until gtid_executed contains `position`."""
        statement = f"SELECT WAIT_FOR_EXECUTED_GTID_SET({quote(str(position))}, {_WAIT_SLICE_S})"
        while await self._value(statement) != "0":
            pass

    async def create_database(self, name: str) -> None:
        """Create a database unless it exists; it checks first, since MySQL logs even a CREATE without effect."""
        async with self._session() as session:
            if not await session.rows(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = {quote(name)}"):
                await session.run(f"CREATE DATABASE IF NOT EXISTS {quote_name(name)}")

    async def create_sidecar(self, name: str) -> None:
        """Create the sidecar database and its tables unless they exist."""
        await self.create_database(name)
        async with self._session() as session:
            existing = await session.rows(
                f"SELECT table_name AS name FROM information_schema.tables WHERE table_schema = {quote(name)}"
            )
            for table, columns in SIDECAR_TABLES.items():
                if {"name": table} not in existing:
                    await session.run(
                        f"CREATE TABLE IF NOT EXISTS {quote_name(name)}.{table} ({columns}) ENGINE = InnoDB"
                    )

    async def write_journal(self, sidecar: str, row: JournalRow) -> None:
        """Insert a row into the reparent journal; under semi-sync the insert waits for its acknowledgement."""
        position = quote(row.position[:_JOURNAL_POSITION_LIMIT])
        await self._run(
            f"INSERT INTO {quote_name(sidecar)}.reparent_journal "
            "(time_created_ns, action_name, primary_alias, replication_position) "
            f"VALUES ({row.time_created_ns}, {quote(row.action)}, {quote(row.primary_alias)}, {position})"
        )

    async def has_journal_row(self, sidecar: str, time_created_ns: int) -> bool:
        """Whether the reparent journal has this row; False also as long as the table does not exist."""
        journal = f"{quote_name(sidecar)}.reparent_journal"
        try:
            async with self._session() as session:
                return bool(await session.rows(f"SELECT 1 FROM {journal} WHERE time_created_ns = {time_created_ns}"))
        except MysqlError as error:
            if error.errno in (_UNKNOWN_DATABASE, _UNKNOWN_TABLE):
                return False
            raise

    async def journal_length(self, sidecar: str) -> int:
        """Count the rows of the reparent journal."""
        return int(await self._value(f"SELECT COUNT(*) FROM {quote_name(sidecar)}.reparent_journal"))

    async def write_semi_sync_heartbeat(self, sidecar: str) -> None:
        """Commit a heartbeat row, which needs an acknowledgement under semi-sync."""
        await self._run(f"INSERT INTO {quote_name(sidecar)}.semisync_heartbeat (ts) VALUES (NOW(6))")

    async def replica_hosts(self) -> Sequence[str]:
        """List the hosts of the replicas that read this server's binary log."""
        async with self._session() as session:
            threads = await session.rows("SHOW PROCESSLIST")
        return [thread["Host"].rpartition(":")[0] for thread in threads if thread["Command"].startswith("Binlog Dump")]

    async def global_status(self, names: Sequence[str]) -> Mapping[str, str]:
        """Read status variables, all of them if no name is given."""
        only = f" WHERE Variable_name IN ({', '.join(map(quote, names))})" if names else ""
        async with self._session() as session:
            rows = await session.rows(f"SHOW GLOBAL STATUS{only}")
        return {row["Variable_name"]: row["Value"] for row in rows}

    async def fetch(self, fetch: Fetch) -> Sequence[Fetched]:
        """Run one or several statements for the caller of an RPC; returns one result each."""
        return await mysql_fetch.fetch(self._socket, fetch)

    async def lock_tables(self) -> None:
        """Hold a global read lock until `unlock_tables`; raises MysqlError if it is held already."""
        if self._locker is not None:
            raise MysqlError("tables already locked", errno=_ALREADY_LOCKED)
        session = await connect(self._socket)
        self._locker = session
        try:
            await session.run("FLUSH TABLES WITH READ LOCK")
        except BaseException:
            self._locker = None
            session.close()
            raise

    async def unlock_tables(self) -> None:
        """Release the global read lock; raises MysqlError if it is not held."""
        session, self._locker = self._locker, None
        if session is None:
            raise MysqlError("tables were not locked", errno=_ALREADY_LOCKED)
        session.close()

    async def wait_gone(self) -> None:
        """Wait until the server, which must answer now, has ended: its end breaks a held connection."""
        session = await connect(self._socket)
        try:
            with contextlib.suppress(MysqlError):
                while True:
                    await session.run(f"DO SLEEP({_WAIT_SLICE_S})")
        finally:
            session.close()

    async def close(self) -> None:
        """Close all connections."""
        for session in (*self._idle, *([self._locker] if self._locker else ())):
            session.close()
        self._idle.clear()
        self._locker = None

    @property
    def _log_status(self) -> str:
        return "SHOW BINARY LOG STATUS" if self._renamed else "SHOW MASTER STATUS"

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[MysqlConnection]:
        session = await self._open()
        try:
            yield session
        finally:
            if session.usable and len(self._idle) < _IDLE_SESSIONS:
                self._idle.append(session)
            else:
                session.close()

    async def _open(self) -> MysqlConnection:
        while self._idle:
            session = self._idle.pop()
            if session.alive:
                return session
            session.close()
        return await connect(self._socket)

    async def _run(self, sql: str) -> None:
        async with self._session() as session:
            await session.run(sql)

    async def _value(self, sql: str) -> str:
        async with self._session() as session:
            return await session.value(sql)


def _is_application(thread: Row) -> bool:
    """Whether a session is an application's, and not one of the tablet, of MySQL itself or of a replica."""
    return thread["User"] not in _OWN_USERS and not thread["Command"].startswith(("Binlog Dump", "Daemon"))


def _on(on: bool) -> str:
    return "ON" if on else "OFF"
