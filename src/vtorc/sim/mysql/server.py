"""A simulated mysqld: commits, read-only switches, crashes, its binary log and who reads it."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from vtorc.core.facts.gtid import GtidSet
from vtorc.errors import MysqlError
from vtorc.sim.engine.network import Network
from vtorc.sim.engine.process import Life, Process
from vtorc.sim.engine.stream import End
from vtorc.sim.mysql.binlog import Binlog, Change, CreateSchema, InsertJournal, InsertRow, Transaction
from vtorc.sim.mysql.dump import Dump, Hello
from vtorc.sim.mysql.gate import Commit, CommitGate, SickDisk, fail, resolve
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.replica import Replication
from vtorc.sim.mysql.reports import Reports
from vtorc.sim.mysql.semisync import AckWaits
from vtorc.sim.mysql.settings import Disk, MysqlObserver, SimMysqlSettings, draw
from vtorc.vttablet.mysql_api import JournalRow

Address = tuple[str, int]


class SimMysqld:
    """One MySQL server; `directory` maps addresses to servers, `wall` is in seconds and only measures lag."""

    def __init__(
        self,
        process: Process,
        port: int,
        *,
        uuid: str,
        server_id: int,
        network: Network,
        directory: "Mapping[Address, SimMysqld]",
        generator: random.Random,
        settings: SimMysqlSettings,
        observer: MysqlObserver,
    ) -> None:
        self.process = process
        self.address: Address = (process.host.name, port)
        self.uuid = uuid
        self.series = (uuid, "")
        self.server_id = server_id
        self.network = network
        self.directory = directory
        self.settings = settings
        self.observer = observer
        self.random = generator
        self.loop = asyncio.get_running_loop()
        self.binlog = Binlog()
        self.executed = GtidLog()
        self.journal: dict[str, dict[int, JournalRow]] = {}
        self.schemas: set[str] = set()
        self.rows: set[int] = set()
        self.read_only = True
        self.super_read_only = True
        self.semi_sync_replica = False
        self.acks = AckWaits(count=settings.wait_for_replica_count)
        self.replication = Replication(self)
        self.dumps: dict[str, Dump] = {}
        self.gate = CommitGate(self)
        self.disk = SickDisk(self)
        self.refuses_connections = False
        self.slowness = 1.0
        self.started_at = 0.0
        self.kills = 0
        self.reports = Reports()
        self._next_number = 1
        self._open: dict[asyncio.Future[Any], None] = {}
        self._position_waiters: list[tuple[GtidSet, asyncio.Future[None]]] = []

    # --- life

    def start(self) -> None:
        """Start the process and recover: what was in the binary log is committed, acknowledged or not."""
        life = self.process.start()
        life.at_end.append(self._ended)
        self.started_at = self.loop.time()
        settings = self.settings
        self.read_only = self.super_read_only = settings.super_read_only_at_start
        self.acks.forget()
        self.semi_sync_replica = False
        for transaction in self.binlog.retained:
            if not self.executed.has(transaction.series, transaction.number):
                self.make_visible(transaction)
        self._next_number = max(self.executed.last(self.series), self.binlog.gtids.last(self.series)) + 1
        self.replication.recover()
        self.observer.writability_changed(self)

    @property
    def life(self) -> Life:
        """The present incarnation of the process."""
        return self.process.life

    def _ended(self) -> None:
        gone, self._open = list(self._open), {}
        for future in gone:
            if not future.done():
                future.set_exception(_lost_connection())
                future.exception()  # a caller that died as well never asks
        self.gate.forget()
        self.disk.forget()
        self._position_waiters.clear()
        self.dumps.clear()
        self.replication.crashed()
        self.observer.writability_changed(self)

    # --- statements

    async def enter(self, *, pooled: bool = False) -> None:
        """Be heard, over a new connection unless `pooled`.

        Raises MysqlError 2002 if nobody listens, 1040 if the server takes no new connections, 2013 if it dies.
        """
        if not self.process.listening:
            raise MysqlError(f"Can't connect to MySQL server on {self.address[0]}:{self.address[1]}", errno=2002)
        if self.refuses_connections and not pooled:
            raise MysqlError("Too many connections", errno=1040, sqlstate="08004")
        await self.work(self.settings.statement.draw(self.random) * self.slowness)

    async def work(self, seconds: float) -> None:
        """Spend so long in this process; raises MysqlError 2013 if it dies meanwhile."""
        loop, life = self.loop, self.process.life
        done: asyncio.Future[None] = loop.create_future()
        self._open[done] = None
        loop.call_at(loop.time() + seconds, self._worked, life, done)
        try:
            await done
        finally:
            self._open.pop(done, None)

    def _worked(self, life: Life, done: "asyncio.Future[None]") -> None:
        if life.runs:
            resolve(done, None)
        else:
            self.in_life(life, resolve, (done, None))

    def opened(self) -> "asyncio.Future[Any]":
        """Return a future that fails when the server dies."""
        future: asyncio.Future[Any] = self.loop.create_future()
        self._open[future] = None
        return future

    async def outcome(self, future: "asyncio.Future[Any]") -> Any:
        """Wait for a future that `opened` made."""
        try:
            return await future
        finally:
            self._open.pop(future, None)

    def later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        """Call back after so long, later if the process is frozen by then, never if it has died."""
        self.loop.call_later(seconds, self.in_life, self.life, callback, args)

    def in_life(self, life: Life, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Call back unless that incarnation has ended."""
        if life.alive:
            self.process.when_running(callback, *args)

    # --- writing

    async def write(self, change: Change, *, is_super: bool = False, pooled: bool = False) -> Transaction:
        """Commit a change and return its transaction once it is visible.

        Raises MysqlError 1290 on a read-only server (read_only does not stop a SUPER user), 1026 when the disk is full,
        2013 when the server dies or the session is killed: then nobody knows. Cancelling kills the session: a commit
        that waits for acknowledgements goes on waiting, with nobody to be told how it ended (seen with MySQL 9.7).
        """
        kills = self.kills
        await self.enter(pooled=pooled)
        if self.gate.locked:
            await self.gate.passing()
        if kills != self.kills and not is_super:
            raise _lost_connection()
        if self.super_read_only or (self.read_only and not is_super):
            option = "super-read-only" if self.super_read_only else "read-only"
            raise MysqlError(
                f"The MySQL server is running with the --{option} option so it cannot execute this statement",
                errno=1290,
            )
        return await self._commit(change, by_tablet=is_super)

    async def inject(self, change: Change) -> Transaction:
        """Commit a change whatever the read-only switches say: an errant transaction, if this is a replica."""
        await self.enter()
        return await self._commit(change, by_tablet=False)

    async def _commit(self, change: Change, *, by_tablet: bool) -> Transaction:
        commit = Commit(change, self.opened(), by_tablet=by_tablet)
        self.gate.enter(commit)
        self.later(draw(self.settings.commit, self.random, factor=self.slowness), self._flush, commit)
        try:
            transaction: Transaction = await self.outcome(commit.done)
        except asyncio.CancelledError:
            commit.killed = True
            raise
        return transaction

    def kill_sessions(self) -> None:
        """Kill all sessions but those of vttablet and of replicas; their clients lose the connection at once.

        What is not in the binary log yet never gets there; what waits for acknowledgements goes on waiting.
        """
        self.kills += 1
        for commit in self.gate.running:
            if not commit.by_tablet:
                commit.killed = True
                fail(commit.done, _lost_connection())

    def _flush(self, commit: Commit) -> None:
        if commit.killed:
            self.gate.leave(commit)
        elif self.disk.hold_up(self._flush, commit):
            return
        elif self.disk.state is Disk.FULL_FAILING:
            self.gate.leave(commit)
            fail(
                commit.done, MysqlError("Error writing file 'binlog' (errno: 28 - No space left on device)", errno=1026)
            )
        else:
            transaction = Transaction(self.series, self._next_number, commit.change, self.loop.time())
            self._next_number += 1
            commit.transaction = transaction
            commit.waited = self.acks.enabled
            self.observer.wrote(self, transaction)
            self.log(transaction, lambda acked: self._finish(commit, acked))

    def log(self, transaction: Transaction, release: Callable[[bool], None]) -> int:
        """Write to the binary log, send it to the replicas, call `release` when the commit may become visible."""
        position = self.binlog.append(transaction)
        for dump in list(self.dumps.values()):
            dump.pump()
        self.acks.wait(position, release)
        return position

    def _finish(self, commit: Commit, acknowledged: bool) -> None:
        assert commit.transaction is not None
        self.gate.leave(commit)
        self.make_visible(commit.transaction)
        self.observer.committed(self, commit.transaction, acknowledged=acknowledged, waited=commit.waited)
        resolve(commit.done, commit.transaction)

    def make_visible(self, transaction: Transaction) -> None:
        """Commit in the storage engine: now readers see it."""
        self.executed.add(transaction.series, transaction.number)
        change = transaction.change
        if isinstance(change, InsertRow):
            self.rows.add(change.id)
        elif isinstance(change, InsertJournal):
            self.journal.setdefault(change.sidecar, {})[change.row.time_created_ns] = change.row
        elif isinstance(change, CreateSchema):
            self.schemas.add(change.name)
            if change.tables:
                self.journal.setdefault(change.name, {})
        if self._position_waiters:
            self._wake_position_waiters()

    async def wait_for_executed(self, position: GtidSet) -> None:
        """Wait until everything in `position` is visible."""
        if position.is_subset_of(self.executed.value):
            return
        reached: asyncio.Future[None] = self.opened()
        entry = (position, reached)
        self._position_waiters.append(entry)
        try:
            await self.outcome(reached)
        finally:
            if entry in self._position_waiters:
                self._position_waiters.remove(entry)

    def _wake_position_waiters(self) -> None:
        executed = self.executed.value
        for position, reached in self._position_waiters:
            if position.is_subset_of(executed):
                resolve(reached, None)

    # --- locks and switches

    async def set_read_only(self, on: bool, *, is_super: bool) -> None:
        """Turn read_only or super_read_only on or off; super implies read_only, read_only off implies super off."""
        if not on:
            self.super_read_only = False
            self.read_only = self.read_only and is_super
        elif not (self.super_read_only if is_super else self.read_only):
            await self.gate.lock()
            self.read_only = True
            self.super_read_only = self.super_read_only or is_super
            self.gate.unlock()
        self.observer.writability_changed(self)

    def set_semi_sync(self, *, primary: bool, replica: bool) -> None:
        """Switch the two sides of semi-sync; a connected IO thread keeps the side it connected with."""
        self.semi_sync_replica = replica
        if primary is not self.acks.enabled:
            self.acks.switch(primary)
        self.observer.writability_changed(self)

    def reset_binary_logs(self, purged: GtidSet) -> None:
        """Wipe binary log and GTID history, as RESET BINARY LOGS AND GTIDS does, then set gtid_purged."""
        self.observer.history_wiped(self)
        for dump in list(self.dumps.values()):
            dump.end.close()
        self.dumps.clear()
        self.binlog.reset(purged)
        self.executed = GtidLog(purged)
        self._next_number = self.executed.last(self.series) + 1

    def restore(self, other: "SimMysqld") -> None:
        """Take over a copy of another server's data, as from a backup; the process must be stopped."""
        self.binlog.reset(other.executed.value)
        self.executed = GtidLog(other.executed.value)
        self.journal = {sidecar: dict(rows) for sidecar, rows in other.journal.items()}
        self.schemas = set(other.schemas)
        self.rows = set(other.rows)
        self.replication.forget()
        self.observer.restored(self, other)

    # --- being a source

    def accept_dump(self, end: End, hello: Hello) -> None:
        """Take a replica's request for the binary log, or refuse it."""
        problem = self._dump_problem(hello.known)
        if problem is not None:
            end.send(hello.refused, *problem)
            return
        former = self.dumps.pop(hello.uuid, None)
        if former is not None:
            former.end.close()
        dump = self.dumps[hello.uuid] = Dump(self, end, hello)
        end.on_close = lambda: self._dump_closed(dump)
        end.send(hello.accepted, self.uuid, self.server_id)
        dump.begin()
        self.observer.writability_changed(self)

    def _dump_problem(self, known: GtidSet) -> tuple[int, str] | None:
        if self.refuses_connections:
            return 1040, "Too many connections"
        if not self.binlog.purged.is_subset_of(known):
            return 1236, (
                "Cannot replicate because the source purged required binary logs. The missing transactions are "
                f"'{self.binlog.purged.difference(known)}'"
            )
        if not known.only_uuid(self.uuid).is_subset_of(self.binlog.gtids.value):
            return 1236, "The replica has more GTIDs than the source has, using the source's SERVER_UUID"
        return None

    def _dump_closed(self, dump: Dump) -> None:
        if self.dumps.get(dump.uuid) is dump:
            del self.dumps[dump.uuid]
            self.observer.writability_changed(self)

    @property
    def semi_sync_clients(self) -> int:
        """How many connected replicas acknowledge."""
        return sum(dump.semi_sync for dump in self.dumps.values())

    @property
    def received(self) -> GtidSet:
        """Everything that it holds: visible, in its binary log, or in its relay log."""
        return self.binlog.gtids.value.union(self.executed.value, self.replication.retrieved.value)

    def __repr__(self) -> str:
        return f"<mysqld {self.address[0]}:{self.address[1]}>"


def _lost_connection() -> MysqlError:
    return MysqlError("Lost connection to MySQL server during query", errno=2013)
