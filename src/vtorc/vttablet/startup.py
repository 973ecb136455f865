"""A tablet's start and shutdown: its records, its type and term, its first replication settings.

Vitess: `go/vt/vttablet/tabletmanager/tm_init.go`.
"""

import asyncio
import contextlib

import structlog

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId, TabletType, is_replica_type
from vtorc.core.facts.records import ShardRecord, TabletRecord
from vtorc.errors import NodeExists, NoNode, VtorcError
from vtorc.proto import topodata_pb2
from vtorc.topo.records import alias_to_proto, key_range_to_proto, time_to_proto
from vtorc.vttablet.errors import TabletPreconditionError
from vtorc.vttablet.mysql_api import Source
from vtorc.vttablet.replication import ReplicationActions
from vtorc.vttablet.semi_sync import SemiSync
from vtorc.vttablet.state import TabletState, wire_type

_log = structlog.get_logger(__name__)


class Startup:
    """Starts one tablet, and shuts it down in order."""

    def __init__(self, state: TabletState, semi_sync: SemiSync, replication: ReplicationActions) -> None:
        self._state = state
        self._topo = state.topo
        self._config = state.config
        self._semi_sync = semi_sync
        self._replication = replication

    async def write_records(self) -> None:
        """Decide the tablet's type and term, and write its record and its place in the shard.

        The record has MySQL port 0 until the server has answered once.
        """
        config = self._config
        await self._make_shard(config.shard)
        keyspace = await self._topo.keyspace(config.shard.keyspace)
        self._state.sidecar = keyspace.sidecar_db_name
        shard = await self._topo.shard(config.shard)
        own = await self._own_record()
        record = self._state.record
        record.alias.CopyFrom(alias_to_proto(config.alias))
        record.hostname = config.hostname
        record.port_map.update({"vt": config.vt_port, "grpc": config.grpc_port})
        record.keyspace, record.shard = config.shard.keyspace, config.shard.shard
        if (key_range := key_range_to_proto(config.shard)) is not None:
            record.key_range.CopyFrom(key_range)
        record.tags.update(config.tags)
        record.db_name_override = config.db_name_override
        record.mysql_hostname = config.mysql_hostname
        record.tablet_start_time.CopyFrom(time_to_proto(self._state.wall()))
        term = self._primary_term(shard, own)
        record.type = wire_type(TabletType.PRIMARY if term else config.init_type)
        if term:
            record.primary_term_start_time.CopyFrom(time_to_proto(term))
        await self._write_tablet(record)

    async def take_up_mysql(self) -> None:
        """Publish the server's port, and start replication if the shard has another primary; the server must answer."""
        self._state.record.mysql_port = self._config.mysql_port
        await self._state.publish()
        try:
            async with asyncio.timeout(self._state.timings.topo_deadline):
                await self._initialise_replication()
        except (VtorcError, TimeoutError) as error:
            _log.warning("replication was not started", error=str(error))
        if self._state.is_primary:
            status = await self._state.server.semi_sync()
            self._semi_sync.watch(status is not None and status.primary_enabled)
        await self._state.open_query_service()

    async def shut_down(self) -> None:
        """Clear the addresses in the record, so that no client connects; type and term stay."""

        def blank(stored: topodata_pb2.Tablet) -> None:
            stored.hostname = ""
            stored.mysql_hostname = ""
            stored.ClearField("port_map")
            stored.ClearField("tablet_start_time")
            stored.tablet_shutdown_time.CopyFrom(time_to_proto(self._state.wall()))

        async with asyncio.timeout(self._state.timings.topo_deadline):
            await self._topo.update_tablet(self._config.alias, blank)

    async def _make_shard(self, shard: ShardId) -> None:
        with contextlib.suppress(NodeExists):
            await self._topo.create_keyspace(shard.keyspace)
        with contextlib.suppress(NodeExists):
            await self._topo.create_shard(shard)

    async def _write_tablet(self, record: topodata_pb2.Tablet) -> None:
        try:
            await self._topo.create_tablet(record)
            return
        except NodeExists:
            pass

        def replace(stored: topodata_pb2.Tablet) -> None:
            if (stored.keyspace, stored.shard) != (record.keyspace, record.shard):
                raise TabletPreconditionError(
                    f"{self._config.alias} belongs to {stored.keyspace}/{stored.shard}: delete its record first"
                )
            stored.CopyFrom(record)

        await self._topo.update_tablet(self._config.alias, replace)
        await self._topo.enter_replication(self._config.alias, self._config.shard)

    async def _own_record(self) -> TabletRecord | None:
        try:
            return await self._topo.tablet(self._config.alias)
        except NoNode:
            return None

    def _primary_term(self, shard: ShardRecord, own: TabletRecord | None) -> int:
        """Return the primary term to continue; 0 if this tablet is not the primary."""
        own_term = own.primary_term_start if own is not None and own.type is TabletType.PRIMARY else 0
        if shard.primary_alias == self._config.alias:
            if own is None:
                return self._state.wall()
            return own_term or shard.primary_term_start
        return own_term if own_term > shard.primary_term_start else 0

    async def _initialise_replication(self) -> None:
        if not is_replica_type(self._state.type):
            return
        shard = await self._topo.shard(self._config.shard)
        if shard.primary_alias is None or shard.primary_alias == self._config.alias:
            return
        keyspace = await self._topo.keyspace(self._config.shard.keyspace)
        primary = await self._topo.tablet(shard.primary_alias)
        durability = policy(keyspace.durability_policy or "none")
        wanted = durability.may_ack(Member(primary.alias, primary.type), Member(self._config.alias, self._state.type))
        await self._semi_sync.fix(await self._semi_sync.action(wanted), self._state.type)
        if not primary.mysql_hostname:
            raise TabletPreconditionError(f"the record of the primary {primary.alias} has no MySQL address")
        await self._replication.check_errant(primary)
        server = self._state.server
        await server.stop_replication()
        await self._replication.point_at(
            Source(host=primary.mysql_hostname, port=primary.mysql_port), stop=False, start=True
        )
