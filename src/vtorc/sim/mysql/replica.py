"""The replica's end of replication: relay log, IO thread and applier of one server."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ThreadState
from vtorc.errors import MysqlError
from vtorc.sim.engine.network import NetworkError
from vtorc.sim.engine.stream import Stream, connect
from vtorc.sim.mysql.applier import Applier
from vtorc.sim.mysql.binlog import Transaction
from vtorc.sim.mysql.data_folder import RelayLog
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.dump import DumpRequest
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.mysqld_process import fail, lost_connection, resolve
from vtorc.sim.mysql.replica_server import Address, ReplicaServer
from vtorc.sim.mysql.settings import DropReason
from vtorc.vttablet.mysql_api import Source, Threads

_DISK_FULL_IO = "Relay log write failure: could not queue event from source (errno: 28 - No space left on device)"


class Replication:
    """The replication of one server: its source, its relay log, and the two threads."""

    def __init__(self, server: ReplicaServer) -> None:
        self._server = server
        self._statements = asyncio.Lock()
        self.source: Source | None = None
        self.source_uuid = ""
        self.source_server_id = 0
        self.heartbeat_period = server.settings.replica_net_timeout / 2
        self.retrieved = GtidLog()
        self.relay: deque[Transaction] = deque()
        self.applier = Applier(server, self.relay)
        self.io_state = ThreadState.STOPPED
        self.last_io_error = ""
        self.acknowledges = False
        self._io_task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None
        self._last_data = 0.0
        self._stored_until = 0.0
        self._writing = 0
        self._written: list[asyncio.Future[None]] = []

    # --- statements

    async def start(self, threads: Threads, *, until: GtidSet | None = None) -> None:
        """Start threads; raises MysqlError 1200 if the server has no source."""
        async with self._alone():
            if self.source is None:
                raise MysqlError(
                    "The server is not configured as replica; fix with CHANGE REPLICATION SOURCE TO", errno=1200
                )
            await self._server.work(self._switch_time())
            if threads is not Threads.IO:
                self.applier.start(until)
            if threads is not Threads.SQL:
                self._start_io()

    async def stop(self, threads: Threads) -> None:
        """Stop threads; waits until their work is done, also where a disk holds it up."""
        async with self._alone():
            if threads is not Threads.SQL:
                await self._wait_written()
                self._stop_io()
            if threads is not Threads.IO:
                await self.applier.stop()
            if self.source is not None:
                await self._server.work(self._switch_time())

    async def change_source(self, source: Source) -> None:
        """Point to a source and drop the relay log; raises MysqlError 3081 while a thread runs."""
        async with self._alone():
            self._refuse_running()
            await self._server.work(self._switch_time())
            self._drop_relay_log(DropReason.REPOINTED)
            self.source = source
            self.source_uuid = ""
            self.last_io_error = ""
            self._server.note_pointed()
            self.heartbeat_period = source.heartbeat_interval or self._server.settings.replica_net_timeout / 2

    async def reset(self, *, forget_source: bool) -> None:
        """Drop the relay log and, if asked, the source; raises MysqlError 3081 while a thread runs."""
        async with self._alone():
            self._refuse_running()
            await self._server.work(self._switch_time())
            self._drop_relay_log(DropReason.RESET)
            self.last_io_error = self.applier.error = ""
            self.applier.delay = 0.0
            if forget_source:
                self.source = None
                self.source_uuid = ""
            self._server.note_pointed()

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait for other statements about replication, as MySQL runs one at a time."""
        life = self._server.life
        async with self._statements:
            if not life.alive:
                raise lost_connection()
            yield

    def _refuse_running(self) -> None:
        if self.io_state is not ThreadState.STOPPED or self.applier.running:
            raise MysqlError(
                "This operation cannot be performed with running replication threads; run STOP REPLICA first",
                errno=3081,
            )

    def _switch_time(self) -> float:
        return self._server.duration(self._server.settings.thread_switch)

    def _drop_relay_log(self, why: DropReason) -> None:
        lost = [each for each in self.relay if not self._server.executed.has(each.series, each.number)]
        self.relay.clear()
        self.retrieved.clear()
        self.applier.damaged = False
        if lost:
            self._server.note_relay_log_dropped(lost, why)

    # --- life of the server

    def end_receiving(self) -> None:
        """Stop the IO thread at once, as a shutdown of the server does."""
        self._stop_io()

    def crashed(self) -> None:
        """Drop threads and connection, as the process has ended."""
        self.io_state = ThreadState.STOPPED
        self.acknowledges = False
        self._io_task = None
        self._stream = None
        self._stored_until = 0.0
        self._writing = 0
        self._written.clear()
        self.applier.crashed()

    def recover(self) -> None:
        """Drop the relay log, if so configured, as the process starts again; no thread starts by itself."""
        if self._server.settings.relay_log_recovery:
            self._drop_relay_log(DropReason.CRASH)
        self.last_io_error = self.applier.error = ""

    def forget(self) -> None:
        """Drop source and relay log, as a restore does."""
        self.source = None
        self.source_uuid = ""
        self.relay.clear()
        self.retrieved.clear()
        self.applier.damaged = False
        self.last_io_error = self.applier.error = ""

    def relay_log(self) -> RelayLog:
        """Return a copy of what is on the disk."""
        return RelayLog(source=self.source, retrieved=self.retrieved.value, waiting=tuple(self.relay))

    def put_back(self, relay_log: RelayLog) -> None:
        """Put an older copy in place; no thread may run."""
        self.forget()
        self.source = relay_log.source
        self.retrieved = GtidLog(relay_log.retrieved)
        self.relay.extend(relay_log.waiting)

    # --- IO thread

    def _start_io(self) -> None:
        if self.io_state is ThreadState.STOPPED:
            self.io_state = ThreadState.CONNECTING
            self.last_io_error = ""
            self._io_task = self._server.life.spawn(self._receive_for_ever(), name="io thread")

    def reconnect(self) -> None:
        """Let a running IO thread connect anew, as after a restart of its server."""
        if self.io_state is not ThreadState.STOPPED:
            self._stop_io()
            self._start_io()

    def _stop_io(self) -> None:
        self.io_state = ThreadState.STOPPED
        self.acknowledges = False
        if self._stream is not None:
            self._stream.client.close()
            self._stream = None
        if self._io_task is not None:
            self._io_task.cancel()
            self._io_task = None
        self._server.note_writability()

    def _fail_io(self, text: str) -> None:
        self._stop_io()
        self.last_io_error = text

    async def _receive_for_ever(self) -> None:
        """Connect, read until the connection breaks or falls silent, and connect again."""
        while True:
            try:
                stream = await self._connect()
            except (NetworkError, MysqlError, TimeoutError) as error:
                silent = isinstance(error, NetworkError | TimeoutError)
                why = f"Can't connect to MySQL server ({str(error) or 'timed out'})" if silent else str(error)
                self.last_io_error = f"Error connecting to source 'vt_repl@{self._source_text()}'. Message: {why}"
                await asyncio.sleep(self._server.settings.connect_retry)
                continue
            closed: asyncio.Future[None] = self._server.loop.create_future()
            stream.client.on_close = lambda future=closed: resolve(future, None)
            if not stream.client.open:
                resolve(closed, None)
            self.io_state = ThreadState.RUNNING
            self.last_io_error = ""
            self._server.note_writability()
            self._last_data = self._server.loop.time()
            await self._until_silent(stream, closed)
            self.io_state = ThreadState.CONNECTING
            stream.client.close()

    async def _connect(self) -> Stream:
        server = self._server
        target = server.sources.get(self._source_address())
        if target is None:
            raise NetworkError("unreachable", self._source_text())
        async with asyncio.timeout(server.settings.replica_net_timeout):
            stream = await connect(server.network, server.life, target.process)
            self._stream = stream
            greeting: asyncio.Future[None] = server.loop.create_future()
            stream.client.on_close = lambda: _break(greeting)
            self.acknowledges = server.semi_sync_replica
            request = DumpRequest(
                uuid=server.uuid,
                semi_sync=self.acknowledges,
                known=server.executed.value.union(self.retrieved.value),
                accepted=lambda uuid, server_id: self._accepted(greeting, uuid, server_id),
                refused=lambda errno, text: self._refused(stream, greeting, errno, text),
                transactions=lambda batch, position: self._arrived(stream, batch, position),
            )
            stream.client.send(target.accept_dump, stream.server, request)
            try:
                await greeting
            except BaseException:
                stream.client.close()
                raise
        return stream

    def _source_address(self) -> Address:
        assert self.source is not None
        return self.source.host, self.source.port

    def _source_text(self) -> str:
        return f"{self.source.host}:{self.source.port}" if self.source else ""

    def _accepted(self, greeting: "asyncio.Future[None]", uuid: str, server_id: int) -> None:
        if not greeting.done():
            self.source_uuid, self.source_server_id = uuid, server_id
            greeting.set_result(None)

    def _refused(self, stream: Stream, greeting: "asyncio.Future[None]", errno: int, text: str) -> None:
        if stream is not self._stream:
            return
        if errno == 1236:
            self._fail_io(f"Got fatal error 1236 from source when reading data from binary log: '{text}'")
        elif errno in (1593, 13114):
            self._fail_io(f"Fatal error {errno}: {text}")
        else:
            fail(greeting, MysqlError(text, errno=errno))

    async def _until_silent(self, stream: Stream, closed: "asyncio.Future[None]") -> None:
        """Return when the connection is closed, or when not even a heartbeat came for replica_net_timeout."""
        limit = self._server.settings.replica_net_timeout
        phase = self._server.random.random() * self.heartbeat_period
        while not closed.done():
            heard = self._last_data
            if self.heartbeat_period < limit:
                silent_since = stream.client.heard_until()
                at_now = silent_since >= self._server.loop.time()
                heard = max(heard, silent_since if at_now else silent_since - phase)
            left = heard + limit - self._server.loop.time()
            if left <= 0:
                return
            await asyncio.wait([closed], timeout=left)
            await self._server.life.until_running()

    # --- relay log

    def _arrived(self, stream: Stream, batch: list[Transaction], position: int) -> None:
        """Begin to write a batch from the network to the relay log; its transactions count as received after that."""
        if stream is not self._stream:
            return
        self._last_data = self._server.loop.time()
        self._writing += 1
        # One thread writes the relay log: batches are written in the order in which they came.
        now = self._server.loop.time()
        work = self._server.duration(self._server.settings.relay)
        self._stored_until = max(now, self._stored_until) + work
        self._server.later(self._stored_until - now, self._store, stream, batch, position)

    def _store(self, stream: Stream, batch: list[Transaction], position: int) -> None:
        server = self._server
        if stream is self._stream and server.disk.hold_up(self._store, stream, batch, position):
            return
        self._writing -= 1
        if not self._writing:
            waiting, self._written = self._written, []
            for future in waiting:
                resolve(future, None)
        if stream is not self._stream:
            return
        if server.disk.state is DiskState.FULL_FAILING:
            self._fail_io(_DISK_FULL_IO)
            return
        for transaction in batch:
            if transaction.server_id == server.server_id:
                continue  # MySQL skips its own transactions (replicate_same_server_id), also those that it has lost
            if not self.retrieved.has(transaction.series, transaction.number):
                self.retrieved.add(transaction.series, transaction.number)
                self.relay.append(transaction)
                server.note_received(transaction)
        if position >= 0 and self.acknowledges:
            source = server.sources[self._source_address()]
            stream.client.send(source.acknowledged, server.uuid, position)
        self.applier.kick()

    async def _wait_written(self) -> None:
        if self._writing and self._server.disk.state.holds_up:
            written: asyncio.Future[None] = self._server.new_wait()
            self._written.append(written)
            await self._server.wait(written)


def _break(greeting: "asyncio.Future[None]") -> None:
    fail(greeting, MysqlError("Lost connection to MySQL server during handshake", errno=2013))
