"""Calls to real tablets over gRPC (Vitess `go/vt/vttablet/grpctmclient/client.go`)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar

from google.protobuf.message import Message

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import HIGHEST_PORT, TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletUnreachable
from vtorc.files import beside_the_loop
from vtorc.mysql.survey import Row, survey
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet import convert
from vtorc.tablet.api import FLUSH_BINARY_LOGS, HealthReport, StopMode, StoppedReplication, TabletManager
from vtorc.tablet.certificates import Certificates
from vtorc.tablet.connection import STREAM_HEALTH, Address, Connection
from vtorc.tablet.failures import is_not_a_replica
from vtorc.tablet.query_rows import rows
from vtorc.tablet.reach import Timeout
from vtorc.tablet.settings import ClientSettings
from vtorc.tablet.wall_clock import READ_CLOCK, clock_nanoseconds

_SERVICE = "/tabletmanagerservice.TabletManager/"
_FULL_STATUS = "FullStatus"
_PAYLOAD = "payload"
_MOST_ROWS = 1000
_SYNTAX_ERROR = 1064
"""The error of MySQL before 8.0.22 for statements with the word REPLICA."""

_Answer = TypeVar("_Answer", bound=Message)
_Read = TypeVar("_Read")


class GrpcTabletManager(TabletManager):
    """The tablet manager of real tablets; it keeps one connection to each address while it is in use.

    It builds method paths from message names instead of using generated stubs. Stubs cost 44 KB per connection, and
    there is a connection to every tablet of the cluster.
    """

    def __init__(
        self,
        settings: ClientSettings = ClientSettings(),  # noqa: B008 - frozen
        *,
        wait_timeout: Callable[[], float] = lambda: 60.0,
        timeout: Timeout = asyncio.timeout,
    ) -> None:
        """Start without connections; raises TabletClientMisconfigured if a file of the settings cannot be used.

        `wait_timeout` bounds commands that wait for MySQL, in seconds; it is called for each of them. `timeout` makes
        the deadlines of connecting and of silent health streams.
        """
        self._settings = settings
        self._certificates = Certificates(settings.tls)
        self._wait_timeout = wait_timeout
        self._timeout = timeout
        self._metadata = settings.read_credentials()
        self._connections: dict[Address, Connection] = {}
        self._next_sweep = 0.0
        self._closed = False

    async def reload_credentials(self) -> bool:
        """Read the credentials file again for all later calls, and return whether the credentials changed.

        Raises TabletClientMisconfigured and keeps the earlier ones if the file cannot be used.
        """
        read = await beside_the_loop(self._settings.read_credentials)
        before, self._metadata = self._metadata, read
        return before != read

    async def close(self) -> None:
        """Close all connections; calls that still run end with TabletUnreachable."""
        self._closed = True
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.close()
        await self._certificates.close()

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Return the status; a tablet of 12 or 13 lacks this call, and its mysqld is asked in SQL instead."""
        connection = await self._connection(tablet)

        def read(answer: bytes) -> TabletStatus:
            with _naming(tablet, _FULL_STATUS):
                return connection.last_status.read(answer)

        if _FULL_STATUS not in connection.unknown_calls:
            try:
                return await self._call(tablet, tm.FullStatusRequest(), read, timeout=self._settings.probe_timeout)
            except TabletCallUnknown:
                connection.unknown_calls.add(_FULL_STATUS)
        return await self._survey(tablet)

    async def ping(self, tablet: TabletRecord) -> None:
        """Return if the tablet process answers."""
        answer = await self._probe(tablet, tm.PingRequest(payload=_PAYLOAD), tm.PingResponse)
        if answer.payload != _PAYLOAD:
            raise TabletBadAnswer(f"Ping of {tablet.alias}: payload is {answer.payload!r}: expected {_PAYLOAD!r}")

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        """Return SHOW REPLICA STATUS; None if the server has no replication source."""
        try:
            answer = await self._probe(tablet, tm.ReplicationStatusRequest(), tm.ReplicationStatusResponse)
        except TabletCallFailed as failure:
            if is_not_a_replica(failure):
                return None
            raise
        with _naming(tablet, "ReplicationStatus"):
            _require(answer, "status")
            return convert.replication_status(answer.status)

    async def primary_position(self, tablet: TabletRecord) -> GtidSet:
        """Return the executed GTID set of a primary or replica."""
        answer = await self._probe(tablet, tm.PrimaryPositionRequest(), tm.PrimaryPositionResponse)
        with _naming(tablet, "PrimaryPosition"):
            return convert.gtids(answer.position, field="position")

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        """Wait until the server has executed `position`."""
        request = tm.WaitForPositionRequest(position=convert.position_text(position))
        await self._wait(tablet, request, tm.WaitForPositionResponse)

    async def stop_replication(self, tablet: TabletRecord) -> None:
        """Stop both replication threads."""
        await self._command(tablet, tm.StopReplicationRequest(), tm.StopReplicationResponse)

    async def wall_clock(self, tablet: TabletRecord) -> int:
        """Return the time of the mysqld's host, in nanoseconds since the Unix epoch."""
        answer = await self._probe(tablet, _as_dba(READ_CLOCK), tm.ExecuteFetchAsDbaResponse)
        with _naming(tablet, READ_CLOCK):
            found = rows(answer.result)
            if len(found) != 1:
                raise TabletBadAnswer(f"{len(found)} rows: expected one")
            return clock_nanoseconds(next(iter(found[0].values()), None) or "")

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        """Stop the IO thread in any state, in SQL, since no call of the tablet manager does it.

        If the sidecar database is not `_vt`, tablets from 17 on parse the statement, and their parser does not know
        STOP (Vitess `rpc_query.go`, ReplaceTableQualifiers). Tablets from 20 on accept it as the text of a prepared
        statement. On 17 to 19, vtorc waits until the SQL thread has applied the relay log and stops both threads.
        """
        try:
            await self._stop_io_thread_in_sql(tablet)
        except (TabletCallUnknown, TabletCallFailed) as failure:
            if isinstance(failure, TabletCallFailed) and failure.errno:
                raise
            status = await self.replication_status(tablet)
            if status is not None:
                await self.wait_for_position(tablet, status.received)
            await self.stop_replication(tablet)

    async def _stop_io_thread_in_sql(self, tablet: TabletRecord) -> None:
        try:
            await self._execute(tablet, "STOP REPLICA IO_THREAD")
        except TabletCallFailed as failure:
            if failure.errno != _SYNTAX_ERROR:
                raise
            await self._execute(tablet, "STOP SLAVE IO_THREAD")

    async def _execute(self, tablet: TabletRecord, statement: str) -> None:
        """Run a statement without quotes in it; if the tablet, not its mysqld, refuses it, as a prepared statement."""
        try:
            await self._command(tablet, _as_dba(statement), tm.ExecuteFetchAsDbaResponse)
        except TabletCallFailed as failure:
            if failure.errno:
                raise
            prepared = f"PREPARE vtorc FROM '{statement}'; EXECUTE vtorc".encode()
            request = tm.ExecuteMultiFetchAsDbaRequest(sql=prepared, max_rows=_MOST_ROWS)
            await self._command(tablet, request, tm.ExecuteMultiFetchAsDbaResponse)

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        """Stop replication threads; None without a replication source."""
        wire_mode = replicationdata_pb2.StopReplicationMode.ValueType(mode.value)
        request = tm.StopReplicationAndGetStatusRequest(stop_replication_mode=wire_mode)
        try:
            answer = await self._command(tablet, request, tm.StopReplicationAndGetStatusResponse)
        except TabletCallFailed as failure:
            if is_not_a_replica(failure):
                return None
            raise
        with _naming(tablet, "StopReplicationAndGetStatus"):
            _require(answer, "status")
            _require(answer.status, "before")
            _require(answer.status, "after")
            return StoppedReplication(
                before=convert.replication_status(answer.status.before),
                after=convert.replication_status(answer.status.after),
            )

    async def start_replication(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Set the replica side of semi-sync, then start both threads."""
        await self._command(tablet, tm.StartReplicationRequest(semiSync=semi_sync), tm.StartReplicationResponse)

    async def set_replication_source(
        self,
        tablet: TabletRecord,
        source: TabletAlias,
        *,
        semi_sync: bool,
        force_start: bool,
        wait_position: GtidSet | None = None,
        time_created_ns: int = 0,
        heartbeat_interval: float = 0.0,
    ) -> None:
        """Make the server a replica of `source`."""
        request = tm.SetReplicationSourceRequest(
            parent=convert.alias_message(source),
            time_created_ns=time_created_ns,
            force_start_replication=force_start,
            wait_position=convert.position_text(wait_position),
            semiSync=semi_sync,
            heartbeat_interval=heartbeat_interval,
        )
        await self._wait(tablet, request, tm.SetReplicationSourceResponse)

    async def reset_replication_parameters(self, tablet: TabletRecord) -> None:
        """Remove the server's replication source."""
        await self._command(tablet, tm.ResetReplicationParametersRequest(), tm.ResetReplicationParametersResponse)

    async def promote_replica(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a replica the primary."""
        answer = await self._wait(tablet, tm.PromoteReplicaRequest(semiSync=semi_sync), tm.PromoteReplicaResponse)
        with _naming(tablet, "PromoteReplica"):
            return convert.gtids(answer.position, field="position")

    async def init_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a tablet the first primary of its shard."""
        answer = await self._wait(tablet, tm.InitPrimaryRequest(semiSync=semi_sync), tm.InitPrimaryResponse)
        with _naming(tablet, "InitPrimary"):
            return convert.gtids(answer.position, field="position")

    async def demote_primary(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        """Stop serving writes and turn read-only."""
        answer = await self._wait(tablet, tm.DemotePrimaryRequest(force=force), tm.DemotePrimaryResponse)
        with _naming(tablet, "DemotePrimary"):
            return convert.gtids(answer.primary_status.position, field="primary_status.position")

    async def undo_demote_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Make a demoted primary writable again."""
        await self._command(tablet, tm.UndoDemotePrimaryRequest(semiSync=semi_sync), tm.UndoDemotePrimaryResponse)

    async def set_read_only(self, tablet: TabletRecord) -> None:
        """Turn read_only on."""
        await self._command(tablet, tm.SetReadOnlyRequest(), tm.SetReadOnlyResponse)

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type; with `semi_sync` it acknowledges from now on."""
        request = tm.ChangeTypeRequest(tablet_type=topodata_pb2.TabletType.Value(type_.name), semiSync=semi_sync)
        await self._command(tablet, request, tm.ChangeTypeResponse)

    async def flush_binary_logs(self, tablet: TabletRecord) -> None:
        """Close the present binary log and begin a new one, in SQL, since no call of the tablet manager does it."""
        await self._execute(tablet, FLUSH_BINARY_LOGS)

    async def populate_reparent_journal(
        self, tablet: TabletRecord, *, time_created_ns: int, action: str, primary: TabletAlias, position: GtidSet
    ) -> None:
        """Write one row of the reparent journal."""
        request = tm.PopulateReparentJournalRequest(
            time_created_ns=time_created_ns,
            action_name=action,
            primary_alias=convert.alias_message(primary),
            replication_position=convert.position_text(position),
        )
        await self._wait(tablet, request, tm.PopulateReparentJournalResponse)

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        """Return MySQL global status variables by name; tablets before 20 lack this call."""
        request = tm.GetGlobalStatusVarsRequest(variables=names)
        answer = await self._probe(tablet, request, tm.GetGlobalStatusVarsResponse)
        return dict(answer.status_values)

    async def stream_health(self, tablet: TabletRecord) -> AsyncGenerator[HealthReport, None]:
        """Yield health reports as they come; raises TabletUnreachable when the stream breaks, ends or falls silent."""
        call = f"StreamHealth of {tablet.alias}"
        connection = await self._connection(tablet)
        messages = connection.stream(
            STREAM_HEALTH,
            query_pb2.StreamHealthRequest(),
            query_pb2.StreamHealthResponse.FromString,
            call=call,
            metadata=self._metadata,
        )
        async with aclosing(messages):
            async for message in messages:
                with _naming(tablet, "StreamHealth"):
                    report = convert.health_report(message)
                connection.note_alias(report.alias)
                connection.expect_alias(tablet.alias, call)
                yield report

    async def _survey(self, tablet: TabletRecord) -> TabletStatus:
        async def fetch(sql: str) -> list[Row]:
            return rows((await self._probe(tablet, _as_dba(sql), tm.ExecuteFetchAsDbaResponse)).result)

        limit = self._settings.probe_timeout
        try:
            async with self._timeout(limit):
                with _naming(tablet, "survey"):
                    return await survey(fetch)
        except TimeoutError:
            raise TabletUnreachable(
                f"survey of {tablet.alias}: not done within {limit:g} s", reason="timeout"
            ) from None

    async def _probe(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer.FromString, timeout=self._settings.probe_timeout)

    async def _command(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer.FromString, timeout=self._settings.rpc_timeout)

    async def _wait(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer.FromString, timeout=self._wait_timeout())

    async def _call(
        self, tablet: TabletRecord, request: Message, read: Callable[[bytes], _Read], *, timeout: float
    ) -> _Read:
        """Make the call that the request's message type is named after; `read` reads its answer."""
        name = type(request).__name__.removesuffix("Request")
        connection = await self._connection(tablet)
        return await connection.call(
            _SERVICE + name,
            request,
            read,
            call=f"{name} of {tablet.alias}",
            timeout=timeout,
            metadata=self._metadata,
            alias=tablet.alias,
        )

    async def _connection(self, tablet: TabletRecord) -> Connection:
        if tablet.is_shut_down:
            raise TabletUnreachable(
                f"{tablet.alias} was shut down on purpose, as its record says: start it if it is to take part",
                reason="shut down",
            )
        if self._closed:
            raise TabletUnreachable(f"{tablet.alias}: vtorc is stopping and makes no more calls", reason="unreachable")
        if not 0 < tablet.grpc_port <= HIGHEST_PORT:
            # The resolver would use the port modulo 65536, which may be that of another process.
            raise TabletUnreachable(
                f"{tablet.alias}: the gRPC port of its record is {tablet.grpc_port}: expected 1 to {HIGHEST_PORT}",
                reason="unreachable",
            )
        address = (tablet.hostname, tablet.grpc_port)
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = Connection(
                address, self._settings, self._certificates, self._timeout
            )
        now = connection.used_at = asyncio.get_running_loop().time()
        if now >= self._next_sweep:
            self._next_sweep = now + self._settings.idle_timeout / 4
            await self._close_unused(now - self._settings.idle_timeout, keep=address)
        return connection

    async def _close_unused(self, since: float, *, keep: Address) -> None:
        """Close connections that were not used since then: their tablets were deleted, or moved to another address."""
        unused = [
            address
            for address, connection in self._connections.items()
            if address != keep and connection.is_idle and connection.used_at <= since
        ]
        # All of them are taken out at once: a call that comes amid this gets a connection of its own.
        for connection in [self._connections.pop(address) for address in unused]:
            await connection.close()


def _as_dba(sql: str) -> tm.ExecuteFetchAsDbaRequest:
    return tm.ExecuteFetchAsDbaRequest(query=sql.encode(), max_rows=_MOST_ROWS)


def _require(message: Message, field: str) -> None:
    if not message.HasField(field):
        raise TabletBadAnswer(f"{field} is missing: expected a message")


@contextmanager
def _naming(tablet: TabletRecord, call: str) -> Iterator[None]:
    """Add the call and the tablet to the message of a TabletBadAnswer."""
    try:
        yield
    except TabletBadAnswer as bad:
        raise TabletBadAnswer(f"{call} of {tablet.alias}: {bad}") from bad
