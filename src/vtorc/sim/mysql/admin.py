"""A simulated mysqld as its tablet sees it: the lab's `MysqlServer` over the simulated server."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.status import SemiSyncStatus
from vtorc.errors import MysqlError
from vtorc.sim.engine.process import Life, LightTask
from vtorc.sim.mysql.binlog import CreateSchema, Heartbeat, InsertJournal
from vtorc.sim.mysql.reports import coordinates, replica_report, semi_sync, server_report
from vtorc.sim.mysql.server import SimMysqld
from vtorc.tablet.api import FLUSH_BINARY_LOGS
from vtorc.tablet.wall_clock import READ_CLOCK
from vtorc.vttablet.mysql_api import (
    Fetch,
    Fetched,
    FetchedColumn,
    JournalRow,
    PrimaryReport,
    ReplicaReport,
    ServerReport,
    Source,
    Threads,
)

_T = TypeVar("_T")

_DATETIME = 2064  # `query.Type`


class SimMysqlServer:
    """Implements `MysqlServer` for one incarnation of a tablet's process, which is `life`."""

    def __init__(self, server: SimMysqld, life: Life) -> None:
        self._server = server
        self._life = life
        self._locked = False

    async def _enter(self) -> SimMysqld:
        life = self._life
        if not life.runs:
            await life.until_running()
        if not self._server.has_socket:
            raise MysqlError("Can't connect to local MySQL server through socket '/vt/mysql.sock' (2)", errno=2002)
        await self._server.begin_statement()
        if not life.runs:
            await life.until_running()
        return self._server

    async def _enter_variables(self) -> SimMysqld:
        """Begin a statement that reads or sets variables of the server."""
        server = await self._enter()
        await self._variables_free(server)
        return server

    async def _variables_free(self, server: SimMysqld) -> None:
        """Wait until the server is not switching semi-sync off any more."""
        if server.ack_receiver.is_stopping:
            await statement(server.ack_receiver.wait_stopped(), self._life)
            await self._life.until_running()

    async def _do(self, work: Callable[[SimMysqld], Coroutine[Any, Any, _T]]) -> _T:
        """Run a statement that changes something; cancelling kills it, the end of this tablet's process does not."""
        await self._enter()
        result = await statement(work(self._server), self._life)
        await self._life.until_running()
        return result

    async def report(self) -> ServerReport:
        """Read everything that FullStatus shows of the server."""
        server = await self._enter_variables()
        if server.comes_and_goes:
            server.reports_asked_for += 1
            if server.reports_asked_for % 2:
                raise MysqlError("Too many connections", errno=1040)
        if server.disk.state.holds_up:
            await server.disk.wait_ready()
        return server_report(server)

    async def replication_status(self) -> ReplicaReport | None:
        """Read SHOW REPLICA STATUS; None if the server has no source."""
        return replica_report(await self._enter())

    async def primary_report(self) -> PrimaryReport | None:
        """Read the server's own binary log position; waits for a stalled disk, and is None without binary logs."""
        server = await self._enter_variables()
        await server.disk.wait_ready()
        if not server.setup.log_bin:
            return None
        return PrimaryReport(
            executed=server.executed.value, server_uuid=server.uuid, coordinates=coordinates(server.binlog.end)
        )

    async def executed(self) -> GtidSet:
        """Read gtid_executed."""
        return (await self._enter_variables()).executed.value

    async def server_uuid(self) -> str:
        """Read server_uuid."""
        return (await self._enter_variables()).uuid

    async def is_read_only(self) -> bool:
        """Read read_only."""
        return (await self._enter_variables()).read_only

    async def set_read_only(self, on: bool) -> None:
        """Set read_only; OFF turns super_read_only off as well."""
        await self._do(lambda server: server.set_read_only(on, is_super=False))

    async def set_super_read_only(self, on: bool) -> None:
        """Set super_read_only; ON turns read_only on as well and waits for running commits."""
        await self._do(lambda server: server.set_read_only(on, is_super=True))

    async def start_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Start replication threads."""
        await self._do(lambda server: server.replication.start(threads))

    async def start_replication_until_after(self, position: GtidSet) -> None:
        """Start both threads and let the SQL thread stop once `position` is executed."""
        await self._do(lambda server: server.replication.start(Threads.BOTH, until=position))

    async def stop_replication(self, threads: Threads = Threads.BOTH) -> None:
        """Stop replication threads; nothing happens where there are none."""
        await self._do(lambda server: server.replication.stop(threads))

    async def change_source(self, source: Source) -> None:
        """Point the server at another source with auto position, and drop the relay log; threads must be stopped."""
        await self._do(lambda server: server.replication.change_source(source))

    async def reset_replica(self, *, forget_source: bool) -> None:
        """Drop the relay log, and with `forget_source` the source settings too; threads must be stopped."""
        await self._do(lambda server: server.replication.reset(forget_source=forget_source))

    async def reset_binary_logs(self, *, purged: GtidSet | None = None) -> None:
        """Wipe binary logs and GTID history; then pretend to have executed `purged`."""
        (await self._enter()).reset_binary_logs(EMPTY_GTID_SET if purged is None else purged)

    async def flush_binary_logs(self) -> None:
        """Begin a new binary log file, which takes no time but waits for a stalled disk."""
        await (await self._enter()).disk.wait_ready()

    async def semi_sync(self) -> SemiSyncStatus | None:
        """Read the semi-sync settings; None without the plugins."""
        server = await self._enter_variables()
        return semi_sync(server) if server.setup.semi_sync_plugins else None

    async def set_semi_sync(self, *, primary: bool, replica: bool) -> None:
        """Switch the two sides of semi-sync; a running IO thread keeps the side it started with."""
        server = await self._enter_variables()
        server.set_semi_sync(primary=primary, replica=replica)
        await self._variables_free(server)

    async def semi_sync_wait_sessions(self) -> int:
        """Read how many commits wait for an acknowledgement."""
        return (await self._enter()).acks.sessions

    async def holds_commits_off(self) -> bool:
        """Whether a statement that turns the server read-only waits for running commits and lets no new one begin."""
        return (await self._enter()).gate.locked

    async def kill_application_sessions(self) -> None:
        """Kill the sessions of all clients but the tablet and replicas; each client loses its connection at once."""
        (await self._enter()).kill_sessions()

    async def wait_for_executed(self, position: GtidSet) -> None:
        """Wait until gtid_executed contains `position`."""
        await (await self._enter()).wait_for_executed(position)

    async def create_database(self, name: str) -> None:
        """Create a database unless it exists."""
        if name not in (await self._enter()).tables.schemas:
            await self._do(lambda server: server.write(CreateSchema(name), is_super=True))

    async def create_sidecar(self, name: str) -> None:
        """Create the sidecar database and its tables unless they exist."""
        if name not in (await self._enter()).tables.journal:
            await self._do(lambda server: server.write(CreateSchema(name, tables=True), is_super=True))

    async def write_journal(self, sidecar: str, row: JournalRow) -> None:
        """Insert a row into the reparent journal; under semi-sync it waits for the acknowledgement."""
        await self._do(lambda server: server.write(InsertJournal(sidecar, row), is_super=True))

    async def has_journal_row(self, sidecar: str, time_created_ns: int) -> bool:
        """Whether the reparent journal has this row; False also while the table does not exist."""
        return time_created_ns in (await self._enter()).tables.journal.get(sidecar, {})

    async def journal_length(self, sidecar: str) -> int:
        """Count the rows of the reparent journal."""
        journal = (await self._enter()).tables.journal.get(sidecar)
        if journal is None:
            raise MysqlError(f"Table '{sidecar}.reparent_journal' doesn't exist", errno=1146, sqlstate="42S02")
        return len(journal)

    async def write_semi_sync_heartbeat(self, sidecar: str) -> None:
        """Commit a row that needs an acknowledgement."""
        await self._do(lambda server: server.write(Heartbeat(), is_super=True))

    async def replica_hosts(self) -> Sequence[str]:
        """List the hosts that read this server's binary log."""
        return [dump.end.peer.life.host.name for dump in (await self._enter()).dumps.all]

    async def global_status(self, names: Sequence[str]) -> Mapping[str, str]:
        """Read status variables; all of them when no name is given."""
        server = await self._enter()
        values = {
            "Innodb_buffer_pool_pages_data": str(1000 + server.server_id % 1000),
            "Uptime": str(int(server.loop.time() - server.started_at)),
            "Rpl_semi_sync_source_status": "ON" if server.acks.active else "OFF",
            "Rpl_semi_sync_source_wait_sessions": str(server.acks.sessions),
            "Rpl_semi_sync_source_clients": str(server.dumps.semi_sync_clients),
        }
        return {name: value for name, value in values.items() if not names or name in names}

    async def fetch(self, fetch: Fetch) -> Sequence[Fetched]:
        """Run one of the statements that vtorc sends; a simulated server knows no other ones."""
        if fetch.sql == READ_CLOCK:
            wall = (await self._enter()).process.host.wall()
            text = (datetime(1970, 1, 1) + timedelta(microseconds=wall // 1000)).isoformat(" ", "microseconds")
            return [Fetched(columns=(FetchedColumn("UTC_TIMESTAMP(6)", _DATETIME),), rows=((text.encode(),),))]
        if fetch.sql.upper() == "STOP REPLICA IO_THREAD":
            await self.stop_replication(Threads.IO)
            return [Fetched()]
        if fetch.sql == FLUSH_BINARY_LOGS:
            await self.flush_binary_logs()
            return [Fetched()]
        raise MysqlError(
            "This simulated server doesn't yet support statements of your own", errno=1235, sqlstate="42000"
        )

    async def lock_tables(self) -> None:
        """Hold a global read lock until `unlock_tables`; raises MysqlError if this tablet holds it already."""
        server = await self._enter()
        if self._locked:
            raise MysqlError("tables already locked", errno=1205)
        self._locked = True
        try:
            await server.gate.lock()
        except BaseException:
            self._locked = False
            raise

    async def unlock_tables(self) -> None:
        """Release the global read lock; raises MysqlError if this tablet does not hold it."""
        if not self._locked:
            raise MysqlError("tables were not locked", errno=1205)
        self._locked = False
        self._server.gate.unlock()

    async def wait_gone(self) -> None:
        """Return when the server, which must answer now, has ended, which breaks a held connection."""
        server = await self._enter()
        held: asyncio.Future[None] = server.new_wait()
        try:
            await server.wait(held)
        except MysqlError:
            await self._life.until_running()

    async def close(self) -> None:
        """Close all connections, which releases the table lock."""
        if self._locked:
            self._locked = False
            self._server.gate.unlock()


class Statement(Generic[_T]):
    """A statement that runs in a server from now on; mysqld goes on with it when its client's process ends."""

    def __init__(self, work: Coroutine[Any, Any, _T]) -> None:
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = LightTask(work)
        self._task.run(self._end)

    def kill(self) -> None:
        """Kill the statement."""
        self._task.cancel()

    @property
    def killed(self) -> bool:
        """Whether the statement was killed."""
        return self._task.cancelled()

    async def over(self, client: Life) -> None:
        """Wait for the end of the statement; cancelling kills it, unless that is because its client's process ended."""
        try:
            await self._ended
        except asyncio.CancelledError:
            if client.alive:
                self.kill()
            raise

    def result(self) -> _T:
        """Return the result of the statement, or raise its error, once it is over."""
        return self._task.result()

    def _end(self, light_task: LightTask[_T]) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


async def statement(work: Coroutine[Any, Any, _T], client: Life) -> _T:
    """Run a statement for a client process and return its result."""
    running = Statement(work)
    await running.over(client)
    return running.result()
