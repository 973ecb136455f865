"""A simulated mysqld: commits, read-only switches, crashes, and the replicas that read its binary log."""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence

from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.errors import MysqlError
from vtorc.sim.engine.network import Network
from vtorc.sim.engine.process import Process
from vtorc.sim.engine.stream import End
from vtorc.sim.mysql.ack_receiver import AckReceiver
from vtorc.sim.mysql.binlog import Binlog, Change, Transaction
from vtorc.sim.mysql.data_folder import DataFolder
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.dump import DumpRequest
from vtorc.sim.mysql.dump_threads import DumpThreads
from vtorc.sim.mysql.executed_waits import ExecutedWaits
from vtorc.sim.mysql.gate import Commit, CommitGate
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.mysqld_process import fail, lost_connection, resolve
from vtorc.sim.mysql.replica import Replication
from vtorc.sim.mysql.replica_server import Address, ReplicaServer
from vtorc.sim.mysql.report_cache import KeptReports
from vtorc.sim.mysql.semisync import AckWaits
from vtorc.sim.mysql.settings import DropReason, SimMysqlSettings
from vtorc.sim.mysql.setup import VITESS_OWN
from vtorc.sim.mysql.tables import Tables


class MysqlObserver:
    """Learns what happens in a server at the moment at which it happens; does nothing by default."""

    def committed(self, server: "SimMysqld", transaction: Transaction, *, acknowledged: bool, waited: bool) -> None:
        """A commit that was made on this server became visible.

        `waited` says that it had to be acknowledged first, `acknowledged` that enough replicas did so.
        """

    def wrote(self, server: "SimMysqld", transaction: Transaction) -> None:
        """A write that was made on this server is in its binary log."""

    def received(self, server: "SimMysqld", transaction: Transaction) -> None:
        """A transaction is in the relay log."""

    def applied(self, server: "SimMysqld", transaction: Transaction) -> None:
        """A transaction from the relay log is about to be committed."""

    def restored(self, server: "SimMysqld", other: "SimMysqld") -> None:
        """The server, which is stopped, has a copy of another server's data."""

    def rolled_back(self, server: "SimMysqld") -> None:
        """The server, which is stopped, has older data of its own."""

    def emptied(self, server: "SimMysqld") -> None:
        """The server, which is stopped, has no data any more."""

    def pointed(self, server: "SimMysqld") -> None:
        """The server's relay log is empty, and its source may be another one."""

    def relay_log_dropped(self, server: "SimMysqld", lost: Sequence[Transaction], why: DropReason) -> None:
        """The server has lost these transactions, which it had received and not applied."""

    def history_wiped(self, server: "SimMysqld") -> None:
        """The server is about to wipe its binary log and its GTID history."""

    def writability_changed(self, server: "SimMysqld") -> None:
        """Something changed that decides whether a write to this server can be acknowledged."""


class SimMysqld(ReplicaServer):
    """One MySQL server; `directory` maps addresses to all servers of the world."""

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
        super().__init__(
            process,
            uuid=uuid,
            server_id=server_id,
            network=network,
            sources=directory,
            generator=generator,
            settings=settings,
        )
        self.address: Address = (process.host.name, port)
        self.series = (uuid, "")
        self.observer = observer
        self.binlog = Binlog()
        self.tables = Tables()
        self.read_only = True
        self.super_read_only = True
        self.acks = AckWaits(count=settings.wait_for_replica_count)
        self.ack_receiver = AckReceiver(self)
        self.replication = Replication(self)
        self.dumps = DumpThreads(self.acks, self.ack_receiver, self.note_writability)
        self.gate = CommitGate(self)
        self.setup = VITESS_OWN
        self.refuses_connections = False
        self.has_socket = True
        self.comes_and_goes = False  # whether it refuses every other report to its vttablet
        self.reports_asked_for = 0
        self.account_locks = 0  # how many faults keep the replication account locked
        self.started_at = 0.0
        self.kills = 0
        self.reports = KeptReports()
        self._next_number = 1
        self._first_uuid = uuid
        self._generation = 0
        self._executed_waits = ExecutedWaits(self)

    # --- life

    def start(self) -> None:
        """Start the process and recover: all transactions of the binary log are committed, acknowledged or not."""
        life = self.process.start()
        life.at_end.append(self._ended)
        self.started_at = self.loop.time()
        self.has_socket = True
        self.read_only = self.super_read_only = True
        self.semi_sync_replica = False
        for transaction in self.binlog.retained:
            if not self.executed.has(transaction.series, transaction.number):
                self.make_visible(transaction)
        self._next_number = max(self.executed.last(self.series), self.binlog.gtids.last(self.series)) + 1
        self.replication.recover()
        self.note_writability()

    def shut_down(self, seconds: float) -> None:
        """Shut down in order, as SIGTERM asks for: the connections of replicas are closed last, after so many seconds.

        Until then the server takes no new connections and no statements, but a commit that waits may be acknowledged
        (seen with MySQL 9.7: eight seconds). Its own IO thread ends at once.
        """
        if self.process.listening:
            self.process.port_closed = True
            self.kill_sessions()
            self.replication.end_receiving()
            self.later(seconds, self.process.crash)

    def _ended(self) -> None:
        self.fail_waits()
        self.acks.forget()
        self.ack_receiver.forget()
        self.gate.forget()
        self.disk.forget()
        self._executed_waits.forget()
        self.dumps.forget()
        self.replication.crashed()
        self.note_writability()

    # --- statements

    async def begin_statement(self, *, pooled: bool = False) -> None:
        """Send the server a statement and wait until it begins, over a new connection unless `pooled`.

        Raises MysqlError 2002 if no process listens, 1040 if the server takes no new connections, 2013 if it ends.
        """
        if not self.process.listening:
            raise MysqlError(f"Can't connect to MySQL server on {self.address[0]}:{self.address[1]}", errno=2002)
        if self.refuses_connections and not pooled:
            raise MysqlError("Too many connections", errno=1040, sqlstate="08004")
        await self.work(self.duration(self.settings.statement))

    # --- writing

    async def write(self, change: Change, *, is_super: bool = False, pooled: bool = False) -> Transaction:
        """Commit a change and return its transaction once it is visible.

        Raises MysqlError 1290 on a read-only server (read_only does not stop a SUPER user), 1026 when the disk is full.
        It is 2013 when the server ends or the session is killed: then the outcome is unknown. Cancelling kills the
        session: a commit that waits for acknowledgements goes on waiting, and no client learns its outcome (seen with
        MySQL 9.7).
        """
        kills = self.kills
        await self.begin_statement(pooled=pooled)
        if self.gate.locked:
            await self.gate.wait_unlocked()
        if kills != self.kills and not is_super:
            raise lost_connection()
        if self.super_read_only or (self.read_only and not is_super):
            option = "super-read-only" if self.super_read_only else "read-only"
            raise MysqlError(
                f"The MySQL server is running with the --{option} option so it cannot execute this statement",
                errno=1290,
            )
        return await self._commit(change, by_tablet=is_super)

    async def inject(self, change: Change) -> Transaction:
        """Commit a change whatever the read-only switches say; on a replica this is an errant transaction."""
        await self.begin_statement()
        return await self._commit(change, by_tablet=False)

    async def _commit(self, change: Change, *, by_tablet: bool) -> Transaction:
        commit = Commit(change, self.new_wait(), by_tablet=by_tablet)
        self.gate.enter(commit)
        self.later(self.duration(self.settings.commit), self._flush, commit)
        try:
            transaction: Transaction = await self.wait(commit.done)
        except asyncio.CancelledError:
            commit.killed = True
            raise
        return transaction

    def kill_sessions(self) -> None:
        """Kill all sessions but those of vttablet and of replicas; their clients lose the connection at once.

        A commit that is not in the binary log yet never gets there; one that waits for acknowledgements waits on.
        """
        self.kills += 1
        for commit in self.gate.running:
            if not commit.by_tablet:
                commit.killed = True
                fail(commit.done, lost_connection())

    def _flush(self, commit: Commit) -> None:
        if commit.killed:
            self.gate.leave(commit)
        elif self.disk.hold_up(self._flush, commit):
            return
        elif self.disk.state is DiskState.FULL_FAILING:
            self.gate.leave(commit)
            fail(
                commit.done, MysqlError("Error writing file 'binlog' (errno: 28 - No space left on device)", errno=1026)
            )
        else:
            transaction = Transaction(
                self.series, self._next_number, commit.change, self.loop.time(), server_id=self.server_id
            )
            self._next_number += 1
            commit.transaction = transaction
            commit.waited = self.acks.active and self.setup.log_bin
            self.observer.wrote(self, transaction)
            self.log(transaction, lambda acked: self._finish(commit, acked))
            if self.settings.wait_after_commit:
                self.make_visible(transaction)

    def log(self, transaction: Transaction, release: Callable[[bool], None]) -> int:
        """Write to the binary log and send to the replicas; `release` is called when the commit may become visible."""
        position = self.binlog.append(transaction)
        self.dumps.pump()
        if self.setup.log_bin:
            self.acks.wait(position, release)
            if math.isfinite(self.settings.ack_timeout) and self.acks.active:
                self.later(self.settings.ack_timeout, self.acks.give_up, position)
        else:
            release(False)  # semi-sync waits for the binary log, and knows nothing of a commit without one
        return position

    def commit_applied(self, transaction: Transaction, done: Callable[[], None]) -> None:
        """Log and commit what the filters leave of a transaction of the relay log; `done` is called after that."""
        self.observer.applied(self, transaction)
        left = self.setup.pass_filters(transaction)

        def release(_: bool) -> None:
            self.make_visible(left)
            done()

        if self.setup.log_replica_updates:
            self.log(left, release)
        else:
            self.binlog.leave_out(left)
            release(False)

    def _finish(self, commit: Commit, acknowledged: bool) -> None:
        assert commit.transaction is not None
        self.gate.leave(commit)
        if not self.executed.has(commit.transaction.series, commit.transaction.number):
            self.make_visible(commit.transaction)
        self.observer.committed(self, commit.transaction, acknowledged=acknowledged, waited=commit.waited)
        resolve(commit.done, commit.transaction)

    def make_visible(self, transaction: Transaction) -> None:
        """Commit in the storage engine, so that readers see the transaction."""
        self.executed.add(transaction.series, transaction.number)
        self.tables.apply(transaction.change)
        self._executed_waits.wake(self.executed)

    async def wait_for_executed(self, position: GtidSet) -> None:
        """Wait until all transactions of `position` are visible."""
        if not position.is_subset_of(self.executed.value):
            await self._executed_waits.wait(position)

    # --- locks and switches

    async def set_read_only(self, on: bool, *, is_super: bool) -> None:
        """Turn read_only or super_read_only on or off; super_read_only implies read_only."""
        if not on:
            self.super_read_only = False
            self.read_only = self.read_only and is_super
        elif not (self.super_read_only if is_super else self.read_only):
            await self.gate.lock()
            self.read_only = True
            self.super_read_only = self.super_read_only or is_super
            self.gate.unlock()
        self.note_writability()

    def set_semi_sync(self, *, primary: bool, replica: bool) -> None:
        """Switch the two sides of semi-sync; a connected IO thread keeps the setting that it connected with.

        No commit waits once the source side is off; the statement ends when `ack_receiver` has stopped. Without the
        plugins, it raises MysqlError 1193.
        """
        if not self.setup.semi_sync_plugins:
            raise MysqlError("Unknown system variable 'rpl_semi_sync_source_enabled'", errno=1193)
        self.semi_sync_replica = replica
        if primary is not self.acks.enabled:
            self.acks.switch(primary)
            if primary:
                self.ack_receiver.look_up()
            else:
                self.ack_receiver.stop(ackers=self.dumps.semi_sync_clients)
        self.note_writability()

    def change_uuid(self, uuid: str) -> None:
        """Take another server_uuid, as with another auto.cnf, and connect to the source under it."""
        self.uuid = uuid
        self.series = (uuid, "")
        self._next_number = max(self.executed.last(self.series), self.binlog.gtids.last(self.series)) + 1
        self.replication.reconnect()

    def reset_binary_logs(self, purged: GtidSet) -> None:
        """Wipe binary log and GTID history, as RESET BINARY LOGS AND GTIDS does, then set gtid_purged."""
        self.observer.history_wiped(self)
        self.dumps.close()
        self.binlog.reset(purged)
        self.executed = GtidLog(purged)
        self._next_number = self.executed.last(self.series) + 1

    def restore(self, other: "SimMysqld") -> None:
        """Replace the data by a copy of another server's, as from a backup; the process must be stopped."""
        self.binlog.reset(other.executed.value)
        self.executed = GtidLog(other.executed.value)
        self.tables = other.tables.copy()
        self.replication.forget()
        self.observer.restored(self, other)

    def snapshot(self) -> DataFolder:
        """Return a copy of all that is on the server's disk."""
        return DataFolder(
            binlog=self.binlog.copy(),
            executed=self.executed.value,
            tables=self.tables.copy(),
            relay_log=self.replication.relay_log(),
        )

    def roll_back(self, folder: DataFolder) -> None:
        """Put an older copy of the data in place, as a disk or a virtual machine is reset; the process must be stopped.

        The server keeps its UUID, and numbers its next transactions as it did before.
        """
        self.binlog = folder.binlog.copy()
        self.executed = GtidLog(folder.executed)
        self.tables = folder.tables.copy()
        self.replication.put_back(folder.relay_log)
        self.observer.rolled_back(self)

    def rebuild(self, other: "SimMysqld | None") -> None:
        """Become another server at the same address, which has a copy of another one's data, or none; the process must
        be stopped.
        """
        self._generation += 1
        self.uuid = f"{self._first_uuid[:19]}{0x8000 + self._generation:04x}{self._first_uuid[23:]}"
        self.series = (self.uuid, "")
        self.reports = KeptReports()
        if other is not None:
            self.restore(other)
            return
        self.binlog.reset(EMPTY_GTID_SET)
        self.executed = GtidLog(EMPTY_GTID_SET)
        self.tables = Tables()
        self.replication.forget()
        self.observer.emptied(self)

    # --- being a source

    def accept_dump(self, end: End, request: DumpRequest) -> None:
        """Start a dump thread for a replica, or refuse its request."""
        problem = self._dump_problem(request.uuid, request.known)
        if problem is not None:
            end.send(request.refused, *problem)
            return
        dump = self.dumps.open(self.binlog, end, request, now=self.loop.time())
        end.send(request.accepted, self.uuid, self.server_id)
        dump.begin()
        self.note_writability()

    def close_dumps(self) -> None:
        """End all dump threads."""
        self.dumps.close()
        self.note_writability()

    def _dump_problem(self, uuid: str, known: GtidSet) -> tuple[int, str] | None:
        if self.refuses_connections:
            return 1040, "Too many connections"
        if uuid == self.uuid:
            return 1593, "The replica I/O thread stops because source and replica have equal MySQL server UUIDs"
        if not self.setup.log_bin:
            return 1236, "Binary log is not open"
        if self.account_locks:
            return 3118, "Access denied for user 'vt_repl'@'replica'. Account is locked."
        if not self.binlog.purged.is_subset_of(known):
            return 1236, (
                "Cannot replicate because the source purged required binary logs. The missing transactions are "
                f"'{self.binlog.purged.difference(known)}'"
            )
        if not known.only_uuid(self.uuid).is_subset_of(self.binlog.gtids.value):
            return 1236, "The replica has more GTIDs than the source has, using the source's SERVER_UUID"
        return None

    def acknowledged(self, replica: str, position: int) -> None:
        """Note the semi-sync acknowledgement of a replica, if it is still connected."""
        self.dumps.acknowledged(replica, position)

    @property
    def received(self) -> GtidSet:
        """All transactions that the server holds: visible, in its binary log, or in its relay log."""
        return self.binlog.gtids.value.union(self.executed.value, self.replication.retrieved.value)

    # --- for the replication threads, whose news go to the observer

    def note_received(self, transaction: Transaction) -> None:
        """Tell the observer."""
        self.observer.received(self, transaction)

    def note_relay_log_dropped(self, lost: Sequence[Transaction], why: DropReason) -> None:
        """Tell the observer."""
        self.observer.relay_log_dropped(self, lost, why)

    def note_pointed(self) -> None:
        """Tell the observer."""
        self.observer.pointed(self)

    def note_writability(self) -> None:
        """Tell the observer."""
        self.observer.writability_changed(self)

    def __repr__(self) -> str:
        return f"<mysqld {self.address[0]}:{self.address[1]}>"
