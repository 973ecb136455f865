"""Calls to real tablets over gRPC (Vitess `go/vt/vttablet/grpctmclient/client.go`)."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TypeVar

from google.protobuf.message import Message

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus
from vtorc.errors import TabletBadAnswer, TabletCallFailed, TabletCallUnknown, TabletUnreachable
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet import convert
from vtorc.tablet.api import HealthReport, StopMode, StoppedReplication, TabletManager
from vtorc.tablet.connection import STREAM_HEALTH, Address, Connection
from vtorc.tablet.failures import is_not_a_replica
from vtorc.tablet.settings import ClientSettings
from vtorc.tablet.survey import rows, survey
from vtorc.tablet.wall_clock import READ_CLOCK, nanoseconds

_SERVICE = "/tabletmanagerservice.TabletManager/"
_FULL_STATUS = "FullStatus"
_PAYLOAD = "payload"
_HIGHEST_PORT = 65535
_MOST_ROWS = 1000
_SYNTAX_ERROR = 1064
"""What MySQL before 8.0.22 answers to statements that say REPLICA."""

_Answer = TypeVar("_Answer", bound=Message)


class GrpcTabletManager(TabletManager):
    """The tablet manager of real tablets; one connection to each address, kept while it is used.

    Method paths are put together from message names rather than taken from generated stubs: those cost 44 KB per
    connection, and there is a connection to every tablet of the cluster.
    """

    def __init__(
        self,
        settings: ClientSettings = ClientSettings(),  # noqa: B008 - frozen
        *,
        wait_timeout: Callable[[], float] = lambda: 60.0,
    ) -> None:
        """Start without connections; raises TabletClientMisconfigured if a file of the settings cannot be used.

        `wait_timeout`, in seconds and read anew for each, bounds commands that wait for MySQL to get somewhere.
        """
        if settings.tls.wanted:
            settings.tls.credentials()
        self._settings = settings
        self._wait_timeout = wait_timeout
        self._metadata = settings.read_credentials()
        self._connections: dict[Address, Connection] = {}
        self._next_sweep = 0.0
        self._closed = False

    def reload_credentials(self) -> bool:
        """Read the credentials file again for all calls from now on; returns whether they are others than before.

        Raises TabletClientMisconfigured, and goes on with those it has.
        """
        before, self._metadata = self._metadata, self._settings.read_credentials()
        return before != self._metadata

    async def close(self) -> None:
        """Close all connections; calls that still run end with TabletUnreachable."""
        self._closed = True
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.close()

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Ask for the whole state; a tablet of 12 or 13 does not know this call and is asked in SQL instead."""
        connection = await self._connection(tablet)
        if _FULL_STATUS not in connection.lacks:
            try:
                answer = await self._probe(tablet, tm.FullStatusRequest(), tm.FullStatusResponse)
            except TabletCallUnknown:
                connection.lacks.add(_FULL_STATUS)
            else:
                with _naming(tablet, _FULL_STATUS):
                    _require(answer, "status")
                    return convert.tablet_status(answer.status)
        return await self._survey(tablet)

    async def ping(self, tablet: TabletRecord) -> None:
        """Ask the tablet process whether it is there."""
        answer = await self._probe(tablet, tm.PingRequest(payload=_PAYLOAD), tm.PingResponse)
        if answer.payload != _PAYLOAD:
            raise TabletBadAnswer(f"Ping of {tablet.alias}: payload is {answer.payload!r}: expected {_PAYLOAD!r}")

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        """Ask for SHOW REPLICA STATUS; None if the server is nobody's replica."""
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
        """Ask for the executed GTID set of any server."""
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
        """Tell the time of the mysqld's host, in nanoseconds since the Unix epoch."""
        answer = await self._probe(tablet, _as_dba(READ_CLOCK), tm.ExecuteFetchAsDbaResponse)
        with _naming(tablet, READ_CLOCK):
            found = rows(answer.result)
            if len(found) != 1:
                raise TabletBadAnswer(f"{len(found)} rows: expected one")
            return nanoseconds(next(iter(found[0].values()), None) or "")

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        """Stop the IO thread whatever its state, in SQL: no call of the tablet manager does it.

        With a sidecar database that is not called `_vt`, tablets from 17 on parse what they are to execute, and know
        no STOP (Vitess `rpc_query.go`, ReplaceTableQualifiers). Those from 20 on take it as text to prepare. For the
        others the relay log is applied first, so that both threads may be stopped.
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
        """Run a statement without quotes in it; if it is the tablet that refuses it, by way of a prepared one."""
        try:
            await self._command(tablet, _as_dba(statement), tm.ExecuteFetchAsDbaResponse)
        except TabletCallFailed as failure:
            if failure.errno:
                raise
            prepared = f"PREPARE vtorc FROM '{statement}'; EXECUTE vtorc".encode()
            request = tm.ExecuteMultiFetchAsDbaRequest(sql=prepared, max_rows=_MOST_ROWS)
            await self._command(tablet, request, tm.ExecuteMultiFetchAsDbaResponse)

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        """Stop replication threads; None if the server is nobody's replica."""
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
        """Point the server at `source`."""
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
        """Make the server nobody's replica."""
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

    async def set_read_write(self, tablet: TabletRecord) -> None:
        """Turn read_only and super_read_only off."""
        await self._command(tablet, tm.SetReadWriteRequest(), tm.SetReadWriteResponse)

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type."""
        wire_type = topodata_pb2.TabletType.ValueType(type_.value)
        request = tm.ChangeTypeRequest(tablet_type=wire_type, semiSync=semi_sync)
        await self._command(tablet, request, tm.ChangeTypeResponse)

    async def refresh_state(self, tablet: TabletRecord) -> None:
        """Make the tablet read its shard record again."""
        await self._command(tablet, tm.RefreshStateRequest(), tm.RefreshStateResponse)

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

    async def reparent_journal_length(self, tablet: TabletRecord) -> int:
        """Number of rows in the reparent journal; tablets before 21 do not know this call."""
        request = tm.ReadReparentJournalInfoRequest()
        answer = await self._probe(tablet, request, tm.ReadReparentJournalInfoResponse)
        with _naming(tablet, "ReadReparentJournalInfo"):
            return convert.not_negative(answer.length, field="length")

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        """Values of MySQL global status variables; tablets before 20 do not know this call."""
        request = tm.GetGlobalStatusVarsRequest(variables=names)
        answer = await self._probe(tablet, request, tm.GetGlobalStatusVarsResponse)
        return dict(answer.status_values)

    async def stream_health(self, tablet: TabletRecord) -> AsyncGenerator[HealthReport, None]:
        """Health reports as they come; ends with TabletUnreachable when the stream breaks, is ended or falls silent."""
        what = f"StreamHealth of {tablet.alias}"
        connection = await self._connection(tablet)
        messages = connection.stream(
            STREAM_HEALTH,
            query_pb2.StreamHealthRequest(),
            query_pb2.StreamHealthResponse,
            what=what,
            metadata=self._metadata,
        )
        async with aclosing(messages):
            async for message in messages:
                with _naming(tablet, "StreamHealth"):
                    report = convert.health_report(message)
                connection.note_resident(report.alias)
                connection.expect(tablet.alias, what)
                yield report

    async def watch_connectivity(self, tablet: TabletRecord) -> AsyncGenerator[bool, None]:
        """Tell whether there is a connection to the tablet, now and at each change."""
        connection = await self._connection(tablet)
        async with aclosing(connection.watch()) as changes:
            async for up in changes:
                yield up

    async def _survey(self, tablet: TabletRecord) -> TabletStatus:
        async def fetch(sql: str) -> query_pb2.QueryResult:
            return (await self._probe(tablet, _as_dba(sql), tm.ExecuteFetchAsDbaResponse)).result

        limit = self._settings.probe_timeout
        try:
            async with asyncio.timeout(limit):
                with _naming(tablet, "survey"):
                    return await survey(fetch)
        except TimeoutError:
            raise TabletUnreachable(
                f"survey of {tablet.alias}: not done within {limit:g} s", reason="timeout"
            ) from None

    async def _probe(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer, timeout=self._settings.probe_timeout)

    async def _command(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer, timeout=self._settings.rpc_timeout)

    async def _wait(self, tablet: TabletRecord, request: Message, answer: type[_Answer]) -> _Answer:
        return await self._call(tablet, request, answer, timeout=self._wait_timeout())

    async def _call(self, tablet: TabletRecord, request: Message, answer: type[_Answer], *, timeout: float) -> _Answer:
        """Make the call whose request this is: each is named after its call."""
        name = type(request).__name__.removesuffix("Request")
        connection = await self._connection(tablet)
        return await connection.call(
            _SERVICE + name,
            request,
            answer,
            what=f"{name} of {tablet.alias}",
            timeout=timeout,
            metadata=self._metadata,
            meant_for=tablet.alias,
        )

    async def _connection(self, tablet: TabletRecord) -> Connection:
        if tablet.is_shut_down:
            raise TabletUnreachable(
                f"{tablet.alias} was shut down on purpose, as its record says: start it if it is to take part",
                reason="shut down",
            )
        if self._closed:
            raise TabletUnreachable(f"{tablet.alias}: vtorc is stopping and calls nobody", reason="unreachable")
        if not 0 < tablet.grpc_port <= _HIGHEST_PORT:
            # The resolver would take it modulo 65536, and tell of somebody else.
            raise TabletUnreachable(
                f"{tablet.alias}: the gRPC port of its record is {tablet.grpc_port}: expected 1 to {_HIGHEST_PORT}",
                reason="unreachable",
            )
        address = (tablet.hostname, tablet.grpc_port)
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = Connection(address, self._settings)
        now = connection.used_at = asyncio.get_running_loop().time()
        if now >= self._next_sweep:
            self._next_sweep = now + self._settings.idle_timeout / 4
            await self._close_unused(now - self._settings.idle_timeout, keep=address)
        return connection

    async def _close_unused(self, since: float, *, keep: Address) -> None:
        """Close what nobody used since then: tablets that are gone, or have moved to another address."""
        unused = [
            address
            for address, each in self._connections.items()
            if address != keep and each.is_idle and each.used_at <= since
        ]
        for address in unused:
            connection = self._connections.pop(address)
            await connection.close()


def _as_dba(sql: str) -> tm.ExecuteFetchAsDbaRequest:
    return tm.ExecuteFetchAsDbaRequest(query=sql.encode(), max_rows=_MOST_ROWS)


def _require(message: Message, field: str) -> None:
    if not message.HasField(field):
        raise TabletBadAnswer(f"{field} is missing: expected a message")


@contextmanager
def _naming(tablet: TabletRecord, call: str) -> Iterator[None]:
    """Say which tablet gave a bad answer, to which call."""
    try:
        yield
    except TabletBadAnswer as bad:
        raise TabletBadAnswer(f"{call} of {tablet.alias}: {bad}") from bad
