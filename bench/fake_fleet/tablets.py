"""The tablet manager and the health stream of each fake tablet: real calls, answered from the state of its shard."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Protocol

from google.protobuf.message import Message

from bench.fake_fleet import messages
from bench.fake_fleet.http2 import DEADLINE_EXCEEDED, UNIMPLEMENTED, UNKNOWN, CallFailed, GrpcConnection, Stream
from bench.fake_fleet.layout import Place
from bench.fake_fleet.servers import FakeServer, FakeShard
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.proto import query_pb2, replicationdata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.tablet.wall_clock import READ_CLOCK

_SERVICE = "/tabletmanagerservice.TabletManager/"
_STREAM_HEALTH = "/queryservice.Query/StreamHealth"
_JOURNAL_WAITS = 30.0
"""Seconds that a journal row waits for an acknowledgement."""

CHANGING_CALLS = frozenset(
    {
        "ChangeType",
        "DemotePrimary",
        "ExecuteMultiFetchAsDba",
        "InitPrimary",
        "PopulateReparentJournal",
        "PromoteReplica",
        "ResetReplicationParameters",
        "SetReadOnly",
        "SetReadWrite",
        "SetReplicationSource",
        "StartReplication",
        "StopReplication",
        "StopReplicationAndGetStatus",
        "UndoDemotePrimary",
    }
)
"""Calls after which a server is not what it was; none of them is due in a healthy fleet."""


class Records(Protocol):
    """Where tablets write what becomes of them."""

    async def promoted(self, place: Place, term: int) -> None:
        """Write that a tablet is primary since `term`, in nanoseconds since the Unix epoch."""
        ...

    async def changed_type(self, alias: TabletAlias, type_: TabletType) -> None:
        """Write another type than PRIMARY."""
        ...


class FakeTablet:
    """One tablet; `calls` counts what all of them are asked for."""

    def __init__(self, shard: FakeShard, server: FakeServer, records: Records, calls: Counter[str]) -> None:
        self.shard = shard
        self.server = server
        self.connections: set[GrpcConnection] = set()
        self.first_asked_at: float | None = None
        self._records = records
        self._calls = calls
        self._streams: set[Stream] = set()
        self._status = (-1, b"")

    # bench.fake_fleet.http2.Service

    def call(self, path: str, request: bytes) -> bytes | Awaitable[bytes]:
        """Answer a call of the tablet manager."""
        name = path.removeprefix(_SERVICE)
        self._calls[name] += 1
        now = time.monotonic()
        self.shard.advance(now)
        if name == "FullStatus":
            return self._full_status(now)
        if name == "Ping":
            return request  # request and answer are one text in the same field
        handler = _HANDLERS.get(name)
        if handler is None:
            raise CallFailed(UNIMPLEMENTED, f"unknown method {name}")
        try:
            return handler(self, request, now)
        finally:
            self.shard.version += 1

    def is_stream(self, path: str) -> bool:
        """Whether it is the health stream."""
        return path == _STREAM_HEALTH

    def open_stream(self, path: str, stream: Stream) -> None:
        """Send the first report of a health stream."""
        self._calls["StreamHealth"] += 1
        self._streams.add(stream)
        stream.send(messages.health(self.server).SerializeToString())

    def close_stream(self, stream: Stream) -> None:
        """Send no more reports there."""
        self._streams.discard(stream)

    # The fleet's side

    def send_health(self) -> None:
        """Send a report to all health streams."""
        if self._streams:
            report = messages.health(self.server).SerializeToString()
            for stream in self._streams:
                stream.send(report)

    # Calls

    def _full_status(self, now: float) -> bytes:
        if self.first_asked_at is None:
            self.first_asked_at = now
        version, answer = self._status
        if version != self.shard.version:
            status = messages.full_status(self.shard, self.server, now)
            answer = tm.FullStatusResponse(status=status).SerializeToString()
            self._status = (self.shard.version, answer)
        return answer

    def _replication_status(self, _: bytes, now: float) -> bytes:
        return _wire(tm.ReplicationStatusResponse(status=self._require_status(now)))

    def _require_status(self, now: float) -> replicationdata_pb2.Status:
        if self.server.source is None:
            raise CallFailed(UNKNOWN, "no replication status (errno 100) (sqlstate HY000)")
        return messages.replication_status(self.server, now)

    def _position(self, _: bytes, __: float) -> bytes:
        return _wire(tm.PrimaryPositionResponse(position=self.server.position))

    def _wait_for_position(self, request: bytes, _: float) -> bytes:
        wanted = tm.WaitForPositionRequest.FromString(request).position.removeprefix("MySQL56/")
        if not GtidSet.parse(self.server.position.removeprefix("MySQL56/")).contains(GtidSet.parse(wanted)):
            raise CallFailed(DEADLINE_EXCEEDED, "this fake server has no relay log that it could apply")
        return _wire(tm.WaitForPositionResponse())

    def _stop_and_get_status(self, request: bytes, now: float) -> bytes:
        wanted = tm.StopReplicationAndGetStatusRequest.FromString(request)
        before = self._require_status(now)
        self.server.io_running = False
        if wanted.stop_replication_mode != replicationdata_pb2.IOTHREADONLY:
            self.server.sql_running = False
        after = self._require_status(now)
        status = replicationdata_pb2.StopReplicationStatus(before=before, after=after)
        return _wire(tm.StopReplicationAndGetStatusResponse(status=status))

    def _stop_replication(self, _: bytes, __: float) -> bytes:
        self.server.io_running = self.server.sql_running = False
        return _wire(tm.StopReplicationResponse())

    def _start_replication(self, request: bytes, now: float) -> bytes:
        self.server.acknowledges = tm.StartReplicationRequest.FromString(request).semiSync
        self._start(now)
        return _wire(tm.StartReplicationResponse())

    def _start(self, now: float) -> None:
        server = self.server
        server.io_running = server.sql_running = server.source is not None
        server.connected_at = now
        if server.source is not None:
            self.shard.replicate(server.source, now)

    async def _set_source(self, wanted: tm.SetReplicationSourceRequest, now: float) -> bytes:
        parent = TabletAlias(wanted.parent.cell, wanted.parent.uid)
        source = next((s for s in self.shard.servers if s.place.alias == parent), None)
        if source is None or source is self.server:
            raise CallFailed(UNKNOWN, f"no other tablet of this shard is called {parent}")
        server = self.server
        runs = server.io_running or server.sql_running
        server.read_only, server.requires_acks, server.acknowledges = True, False, wanted.semiSync
        server.source = source
        server.io_running = server.sql_running = False
        if runs or wanted.force_start_replication:
            self._start(now)
        if server.type is TabletType.PRIMARY:
            server.type, server.term = TabletType.REPLICA, 0
            await self._records.changed_type(server.place.alias, server.type)
            self.send_health()
        return _wire(tm.SetReplicationSourceResponse())

    def _set_source_of(self, request: bytes, now: float) -> Awaitable[bytes]:
        return self._set_source(tm.SetReplicationSourceRequest.FromString(request), now)

    def _reset_parameters(self, _: bytes, __: float) -> bytes:
        self.server.source = None
        self.server.io_running = self.server.sql_running = False
        return _wire(tm.ResetReplicationParametersResponse())

    async def _promote(self, *, semi_sync: bool) -> str:
        server = self.server
        server.source = None
        server.io_running = server.sql_running = False
        server.requires_acks, server.read_only = semi_sync, False
        server.type, server.term = TabletType.PRIMARY, time.time_ns()
        position = server.position
        await self._records.promoted(server.place, server.term)
        self.send_health()
        return position

    async def _promote_replica(self, *, semi_sync: bool) -> bytes:
        return _wire(tm.PromoteReplicaResponse(position=await self._promote(semi_sync=semi_sync)))

    async def _init_primary(self, *, semi_sync: bool) -> bytes:
        return _wire(tm.InitPrimaryResponse(position=await self._promote(semi_sync=semi_sync)))

    def _demote(self, _: bytes, __: float) -> bytes:
        self.server.read_only, self.server.requires_acks = True, False
        return _wire(tm.DemotePrimaryResponse(primary_status=messages.primary_status(self.server)))

    def _undo_demote(self, request: bytes, _: float) -> bytes:
        self.server.requires_acks = tm.UndoDemotePrimaryRequest.FromString(request).semiSync
        self.server.read_only = False
        return _wire(tm.UndoDemotePrimaryResponse())

    def _set_read_only(self, _: bytes, __: float) -> bytes:
        self.server.read_only = True
        return _wire(tm.SetReadOnlyResponse())

    def _set_read_write(self, _: bytes, __: float) -> bytes:
        self.server.read_only = False
        return _wire(tm.SetReadWriteResponse())

    async def _change_type(self, type_: TabletType) -> bytes:
        if type_ is TabletType.PRIMARY:
            await self._promote(semi_sync=True)
        else:
            self.server.type, self.server.term = type_, 0
            await self._records.changed_type(self.server.place.alias, type_)
        self.send_health()
        return _wire(tm.ChangeTypeResponse())

    async def _write_journal(self) -> bytes:
        """Write a row, and wait until a replica has acknowledged it."""
        server = self.server
        until = time.monotonic() + _JOURNAL_WAITS
        while server.requires_acks and not self.shard.ackers_of(server, time.monotonic()):
            if time.monotonic() >= until:
                raise CallFailed(DEADLINE_EXCEEDED, "no replica acknowledged the row of the reparent journal")
            await asyncio.sleep(0.02)
        server.executed[server.uuid] = server.executed.get(server.uuid, 0) + 1
        self.shard.replicate(server, time.monotonic())
        self.shard.version += 1
        return _wire(tm.PopulateReparentJournalResponse())

    def _execute(self, request: bytes, _: float) -> bytes:
        sql = tm.ExecuteFetchAsDbaRequest.FromString(request).query.decode()
        result = query_pb2.QueryResult()
        if sql == READ_CLOCK:
            moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f").encode()
            result.fields.add(name="UTC_TIMESTAMP(6)", type=query_pb2.DATETIME)
            result.rows.add(lengths=[len(moment)], values=moment)
        elif sql == "STOP REPLICA IO_THREAD":
            self._calls["StopReplication"] += 1  # in SQL, but a change all the same
            self.server.io_running = False
        else:
            raise CallFailed(UNKNOWN, f"this fake server does not know the statement {sql[:60]}")
        return _wire(tm.ExecuteFetchAsDbaResponse(result=result))


def fake_tablets(shard: FakeShard, records: Records, calls: Counter[str]) -> Iterator[FakeTablet]:
    """Make the tablets of a shard."""
    for server in shard.servers:
        yield FakeTablet(shard, server, records, calls)


def _wire(message: Message) -> bytes:
    return message.SerializeToString()


Handler = Callable[[FakeTablet, bytes, float], bytes | Awaitable[bytes]]

_HANDLERS: dict[str, Handler] = {
    "ChangeType": lambda tablet, request, _: tablet._change_type(
        TabletType(tm.ChangeTypeRequest.FromString(request).tablet_type)
    ),
    "DemotePrimary": FakeTablet._demote,
    "ExecuteFetchAsDba": FakeTablet._execute,
    "GetGlobalStatusVars": lambda *_: _wire(tm.GetGlobalStatusVarsResponse()),
    "InitPrimary": lambda tablet, request, _: tablet._init_primary(
        semi_sync=tm.InitPrimaryRequest.FromString(request).semiSync
    ),
    "PopulateReparentJournal": lambda tablet, *_: tablet._write_journal(),
    "PrimaryPosition": FakeTablet._position,
    "PromoteReplica": lambda tablet, request, _: tablet._promote_replica(
        semi_sync=tm.PromoteReplicaRequest.FromString(request).semiSync
    ),
    "ReadReparentJournalInfo": lambda *_: _wire(tm.ReadReparentJournalInfoResponse(length=1)),
    "RefreshState": lambda *_: _wire(tm.RefreshStateResponse()),
    "ReplicationStatus": FakeTablet._replication_status,
    "ResetReplicationParameters": FakeTablet._reset_parameters,
    "SetReadOnly": FakeTablet._set_read_only,
    "SetReadWrite": FakeTablet._set_read_write,
    "SetReplicationSource": FakeTablet._set_source_of,
    "StartReplication": FakeTablet._start_replication,
    "StopReplication": FakeTablet._stop_replication,
    "StopReplicationAndGetStatus": FakeTablet._stop_and_get_status,
    "UndoDemotePrimary": FakeTablet._undo_demote,
    "WaitForPosition": FakeTablet._wait_for_position,
}
