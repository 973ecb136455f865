"""A tablet's own state: type, term, record, serving state. Only this module changes the type.

Vitess: `go/vt/vttablet/tabletmanager/tm_state.go`, `rpc_actions.go`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from vtorc.core.facts.ids import TabletType
from vtorc.errors import MysqlError, NoNode, VtorcError
from vtorc.proto import topodata_pb2
from vtorc.topo.records import time_from_proto, time_to_proto
from vtorc.topo.server import TopoServer
from vtorc.topo.tasks import OwnedTasks
from vtorc.vttablet.config import AgentTimings, TabletConfig, WallClock
from vtorc.vttablet.errors import TabletActionError, TabletAliasLost
from vtorc.vttablet.mysql_api import MysqlServer

SERVING_TYPES = frozenset(
    (TabletType.PRIMARY, TabletType.REPLICA, TabletType.RDONLY, TabletType.EXPERIMENTAL, TabletType.DRAINED)
)
UNKNOWN_VARIABLE, READ_ONLY_SERVER = 1193, 1290

_TYPES = {type_.value: type_ for type_ in TabletType}


@dataclass(frozen=True, slots=True)
class Health:
    """One message of the health stream; `term_seconds` counts from the Unix epoch, 0 unless the type is PRIMARY."""

    type: TabletType
    serving: bool
    error: str
    term_seconds: int


class TabletState:
    """Owns the tablet's record in memory, and keeps the one in the topology server equal to it."""

    def __init__(
        self, config: TabletConfig, topo: TopoServer, server: MysqlServer, *, wall: WallClock, timings: AgentTimings
    ) -> None:
        self.config = config
        self.topo = topo
        self.server = server
        self.wall = wall
        self.timings = timings
        self.record = topodata_pb2.Tablet()
        self.sidecar = "_vt"
        self.action_lock = asyncio.Lock()
        self.started = asyncio.Event()
        self.type_changed = asyncio.Event()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks = OwnedTasks()
        self._health_changed = asyncio.Event()
        self._unpublished = asyncio.Event()
        self._ready_to_serve = False
        self._mysql_up = False
        self._demoting = False
        self._has_source_shards = False
        self._errors: dict[str, str] = {}

    @property
    def type(self) -> TabletType:
        """The type in the tablet's own record; the topology server's may be older or newer."""
        return _TYPES[self.record.type]

    @property
    def is_primary(self) -> bool:
        """Whether its type is PRIMARY."""
        return self.record.type == topodata_pb2.PRIMARY

    @property
    def term(self) -> int:
        """The start of its primary term in nanoseconds since the Unix epoch, 0 unless its type is PRIMARY."""
        return time_from_proto(self.record.primary_term_start_time)

    # Changing the type

    async def change_type(self, wanted: TabletType, *, read_write: bool = False) -> None:
        """Change the type; for PRIMARY it begins a new term and, with `read_write`, makes the server writable.

        The caller holds the action lock. The topology server has the new primary's record before MySQL takes writes,
        so that the records show whenever two primaries may be writable.
        """
        if wanted is not TabletType.PRIMARY:
            self.record.type = wire_type(wanted)
            self.record.ClearField("primary_term_start_time")
        else:
            record = await self._claim_term(self.wall())
            if read_write:
                await self.allow_writes()
            self.record.CopyFrom(record)
        try:
            await self.settle()
            await self.publish()
        except BaseException:
            # The type holds, so a caller that gave up keeps neither record from it (Vitess `ChangeTabletType`).
            self._unpublished.set()
            raise
        finally:
            self.type_changed.set()

    async def allow_writes(self) -> None:
        """Turn super_read_only and read_only off."""
        try:
            await self.server.set_super_read_only(False)
        except MysqlError as error:
            if error.errno != UNKNOWN_VARIABLE:
                raise
        await self.server.set_read_only(False)

    async def resume_term(self, term: int) -> None:
        """Become PRIMARY again in the term that began at `term`, which the topology server still has."""
        self.record.type = topodata_pb2.PRIMARY
        self.record.primary_term_start_time.CopyFrom(time_to_proto(term))
        await self.settle()
        self.type_changed.set()

    async def _claim_term(self, term: int) -> topodata_pb2.Tablet:
        """Write type and term into the topology server, and return the record for the memory."""
        claimed = topodata_pb2.Tablet()
        claimed.CopyFrom(self.record)
        claimed.type = topodata_pb2.PRIMARY
        claimed.primary_term_start_time.CopyFrom(time_to_proto(term))

        def claim(stored: topodata_pb2.Tablet) -> None:
            stored.type = claimed.type
            stored.primary_term_start_time.CopyFrom(claimed.primary_term_start_time)

        try:
            await self.topo.update_tablet(self.config.alias, claim)
        except VtorcError:
            # The write may have succeeded all the same, which only a read tells.
            if await self._reread_term() != term:
                raise
        return claimed

    async def _reread_term(self) -> int:
        while True:
            try:
                return (await self.topo.tablet(self.config.alias)).primary_term_start
            except VtorcError:
                await asyncio.sleep(self.timings.topo_reread)

    # Publishing the record

    async def publish(self) -> None:
        """Write the record to the topology server; after a passing failure `publish_loop` tries again."""
        try:
            async with asyncio.timeout(self.timings.topo_deadline):
                await self.topo.update_tablet(self.config.alias, self._replace)
        except NoNode:
            self._lose(TabletAliasLost(f"the record of {self.config.alias} was deleted from the topology server"))
        except TabletAliasLost as error:
            self._lose(error)
        except (VtorcError, TimeoutError):
            self._unpublished.set()

    async def publish_loop(self) -> None:
        """Publish the record again after each failure, until cancelled."""
        while True:
            await self._unpublished.wait()
            await asyncio.sleep(self.timings.publish_retry)
            self._unpublished.clear()
            await self.publish()

    def _replace(self, stored: topodata_pb2.Tablet) -> None:
        """Replace the stored record by this tablet's; raises TabletAliasLost if the stored one is another process's."""
        own = self.record
        if (stored.hostname, stored.port_map["vt"]) != (own.hostname, own.port_map["vt"]):
            raise TabletAliasLost(
                f"another process took {self.config.alias}: its record says {stored.hostname}:{stored.port_map['vt']}, "
                f"we are {own.hostname}:{own.port_map['vt']}"
            )
        stored.CopyFrom(own)

    def _lose(self, error: TabletAliasLost) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)

    # Serving

    @property
    def serving(self) -> bool:
        """Whether the query service takes queries."""
        return (
            self._ready_to_serve
            and self._mysql_up
            and self.type in SERVING_TYPES
            and not self._demoting
            and not (self.is_primary and self._has_source_shards)
        )

    def health(self) -> Health:
        """Return the health stream's message for now."""
        term_seconds = self.term // 1_000_000_000 if self.is_primary else 0
        return Health(self.type, self.serving, "; ".join(self._errors.values()), term_seconds)

    async def watch_health(self) -> AsyncIterator[Health]:
        """Yield the health at once, at every change, and once per health interval."""
        while True:
            changed = self._health_changed
            yield self.health()
            try:
                async with asyncio.timeout(self.timings.health_interval):
                    await changed.wait()
            except TimeoutError:
                continue

    def announce_health(self) -> None:
        """Let every health stream send a message."""
        changed, self._health_changed = self._health_changed, asyncio.Event()
        changed.set()

    def set_demoting(self, demoting: bool) -> None:
        """Stop taking queries for a demotion, or take them again."""
        self._change(lambda: setattr(self, "_demoting", demoting))

    def set_mysql_up(self, up: bool) -> None:
        """Set whether the MySQL server answers."""
        self._change(lambda: setattr(self, "_mysql_up", up))
        self.set_error("mysql", "" if up else "mysqld is down")

    def set_has_source_shards(self, has: bool) -> None:
        """Set whether the shard record names source shards; with these a primary does not serve."""
        self._change(lambda: setattr(self, "_has_source_shards", has))

    def set_error(self, subject: str, text: str) -> None:
        """Set one reason why the tablet is unhealthy; an empty text clears it."""

        def change() -> None:
            self._errors.pop(subject, None)
            if text:
                self._errors[subject] = text

        self._change(change)

    async def open_query_service(self) -> None:
        """Start to serve; the tablet's type must be known and its record written."""
        self._ready_to_serve = True
        await self.settle()

    async def settle(self) -> None:
        """Bring the query service into the state that the type asks for; a primary creates missing databases."""
        self._demoting = False
        if self._ready_to_serve and self.is_primary:
            try:
                await self.server.create_database(self.config.database)
                await self.server.create_sidecar(self.sidecar)
            except MysqlError as error:
                # A primary that was started again has the databases; its server may be read-only or down.
                if error.errno not in (READ_ONLY_SERVER, 2002, 2013):
                    raise
        self.announce_health()

    def _change(self, change: Callable[[], None]) -> None:
        before = self.health()
        change()
        if self.health() != before:
            self.announce_health()


def refuse_drained_twice(current: TabletType, wanted: TabletType) -> None:
    """Raise TabletActionError for a second drain, since another action owns the first (Vitess `rpc_actions.go`)."""
    if current is TabletType.DRAINED and wanted is TabletType.DRAINED:
        raise TabletActionError(f"Tablet: {current} is already drained")


def wire_type(type_: TabletType) -> topodata_pb2.TabletType.ValueType:
    """Return a tablet's type in the topology's form."""
    return topodata_pb2.TabletType.ValueType(type_.value)
