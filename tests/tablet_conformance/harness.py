"""The interface of the tablet conformance tests: three tablets behind gRPC, servers that can be broken, and RPCs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import grpc

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.lab import grpc_convert
from vtorc.proto import query_pb2, replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto.queryservice_pb2_grpc import QueryStub
from vtorc.proto.tabletmanagerservice_pb2_grpc import TabletManagerStub
from vtorc.topo.records import alias_to_proto
from vtorc.topo.server import TopoServer

PATIENCE = 120.0
SHARD = ShardId("commerce", "0")
POLICY = "semi_sync"
ALIASES = (TabletAlias("zone1", 101), TabletAlias("zone2", 102), TabletAlias("zone3", 103))
"""The tablets of the shard; each has type REPLICA at first, and no replication source."""


class Tablet(Protocol):
    """One tablet; its server has Vitess' settings, with a semi-sync timeout that never ends, and starts read-only."""

    alias: TabletAlias
    rpc: TabletManagerStub
    query: QueryStub

    async def write(self) -> None:
        """Commit at least one transaction as an application does; raises MysqlError, 1290 on a read-only server."""
        ...

    async def write_errant(self) -> None:
        """Commit an errant transaction on a read-only server, and leave it read-only."""
        ...

    async def stop_applier(self) -> None:
        """Stop the SQL thread alone."""
        ...

    async def kill_mysql(self) -> None:
        """Kill the server."""
        ...

    def hang_mysql(self, hung: bool) -> None:
        """Make the server hang with its connections open, or resume it."""
        ...

    async def purge_binlogs(self) -> None:
        """Delete all binary logs of the server but the one that it writes to."""
        ...

    async def start_mysql(self) -> None:
        """Start the server again and wait until it answers."""
        ...

    async def crash(self) -> None:
        """End the tablet without a shutdown; its server goes on."""
        ...

    async def start(self) -> None:
        """Start the tablet again and wait until it is up."""
        ...

    async def shut_down(self) -> None:
        """Shut the tablet down in order; its server goes on."""
        ...

    async def ended(self) -> Exception:
        """Wait until the tablet ends by itself, and return the error."""
        ...

    def stall_disk(self, stalled: bool) -> None:
        """Make writes to the disk hang, or resume them."""
        ...


class Shard(Protocol):
    """Three tablets of one shard that has no primary yet; the keyspace's policy is `semi_sync`."""

    tablets: Sequence[Tablet]
    topo: TopoServer

    def refuse_tablet_writes(self, refuse: bool) -> None:
        """Make the topology server refuse every change of a tablet record, or accept them again."""
        ...

    def silence_primary_records(self) -> None:
        """Make the topology server answer no change of a record that says PRIMARY already."""
        ...


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 (what is waited for gives no event)
            await asyncio.sleep(0.02)


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """Make a call that must fail, and return its code and text."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call went through")


async def full_status(tablet: Tablet) -> replicationdata_pb2.FullStatus:
    """Ask for the full status."""
    return (await tablet.rpc.FullStatus(tm.FullStatusRequest(), timeout=PATIENCE)).status


async def position(tablet: Tablet) -> GtidSet:
    """Read gtid_executed of a server."""
    answer = await tablet.rpc.PrimaryPosition(tm.PrimaryPositionRequest(), timeout=PATIENCE)
    return grpc_convert.gtids(answer.position)


async def record(shard: Shard, tablet: Tablet) -> TabletRecord:
    """Read a tablet's record."""
    return await shard.topo.tablet(tablet.alias)


async def init_primary(tablet: Tablet, *, semi_sync: bool = True) -> GtidSet:
    """Make a tablet the first primary."""
    answer = await tablet.rpc.InitPrimary(tm.InitPrimaryRequest(semiSync=semi_sync), timeout=PATIENCE)
    return grpc_convert.gtids(answer.position)


async def promote(tablet: Tablet, *, semi_sync: bool = True) -> GtidSet:
    """Make a replica the primary."""
    answer = await tablet.rpc.PromoteReplica(tm.PromoteReplicaRequest(semiSync=semi_sync), timeout=PATIENCE)
    return grpc_convert.gtids(answer.position)


async def demote(tablet: Tablet, *, force: bool = False) -> replicationdata_pb2.PrimaryStatus:
    """Demote a primary."""
    answer = await tablet.rpc.DemotePrimary(tm.DemotePrimaryRequest(force=force), timeout=PATIENCE)
    return answer.primary_status


def source_request(
    parent: Tablet | None,
    *,
    semi_sync: bool = True,
    force: bool = True,
    time_created_ns: int = 0,
    wait_position: GtidSet | None = None,
    heartbeat_interval: float = 0.0,
) -> tm.SetReplicationSourceRequest:
    """Build a SetReplicationSource request."""
    return tm.SetReplicationSourceRequest(
        parent=alias_to_proto(parent.alias) if parent else None,
        semiSync=semi_sync,
        force_start_replication=force,
        time_created_ns=time_created_ns,
        wait_position=grpc_convert.position(wait_position) if wait_position is not None else "",
        heartbeat_interval=heartbeat_interval,
    )


async def follow(tablet: Tablet, parent: Tablet, *, semi_sync: bool = True, force: bool = True) -> None:
    """Make a tablet replicate from another."""
    request = source_request(parent, semi_sync=semi_sync, force=force)
    await tablet.rpc.SetReplicationSource(request, timeout=PATIENCE)


async def write_journal(tablet: Tablet, time_created_ns: int, *, timeout: float = PATIENCE) -> None:
    """Write a row of the reparent journal."""
    request = tm.PopulateReparentJournalRequest(
        time_created_ns=time_created_ns,
        action_name="Test",
        primary_alias=alias_to_proto(tablet.alias),
        replication_position="MySQL56/",
    )
    await tablet.rpc.PopulateReparentJournal(request, timeout=timeout)


async def stop_and_get_status(tablet: Tablet, *, io_only: bool) -> replicationdata_pb2.StopReplicationStatus:
    """Stop replication and report before and after."""
    mode = replicationdata_pb2.IOTHREADONLY if io_only else replicationdata_pb2.IOANDSQLTHREAD
    request = tm.StopReplicationAndGetStatusRequest(stop_replication_mode=mode)
    return (await tablet.rpc.StopReplicationAndGetStatus(request, timeout=PATIENCE)).status


async def change_type(tablet: Tablet, type_: topodata_pb2.TabletType.ValueType, *, semi_sync: bool = True) -> None:
    """Change a tablet's type."""
    await tablet.rpc.ChangeType(tm.ChangeTypeRequest(tablet_type=type_, semiSync=semi_sync), timeout=PATIENCE)


async def replicating(tablet: Tablet) -> bool:
    """Whether both replication threads run."""
    status = (await full_status(tablet)).replication_status
    return status.io_state == 3 and status.sql_state == 3


async def running_shard(shard: Shard, *, semi_sync: bool = True) -> tuple[Tablet, Tablet, Tablet]:
    """Make the first tablet the primary and the others its replicas; returns them in this order."""
    primary, one, other = shard.tablets
    await init_primary(primary, semi_sync=semi_sync)
    await asyncio.gather(*(follow(each, primary, semi_sync=semi_sync) for each in (one, other)))
    await primary.write()
    reached = await position(primary)
    await asyncio.gather(*(wait_for(each, reached) for each in (one, other)))
    return primary, one, other


async def wait_for(tablet: Tablet, gtids: GtidSet, *, timeout: float = PATIENCE) -> None:
    """Wait until a tablet has executed a position."""
    request = tm.WaitForPositionRequest(position=grpc_convert.position(gtids))
    await tablet.rpc.WaitForPosition(request, timeout=timeout)


async def health_until(
    tablet: Tablet, wanted: Callable[[query_pb2.StreamHealthResponse], bool]
) -> query_pb2.StreamHealthResponse:
    """Read the health stream until a message is as wanted, and return it."""
    async with asyncio.timeout(PATIENCE):
        async for message in tablet.query.StreamHealth(query_pb2.StreamHealthRequest()):
            if wanted(message):
                return message
    raise AssertionError("the health stream ended")
