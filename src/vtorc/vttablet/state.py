"""A tablet's own state: type, term, record, serving state. Changes of type happen here and nowhere else.

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
    """What the health stream says; the term is in seconds since the Unix epoch, 0 unless PRIMARY."""

    type: TabletType
    serving: bool
    error: str
    term_seconds: int


class TabletState:
    """Owns the tablet's record in memory and keeps the one in the topology server equal to it."""

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
        """The tablet's type, as it believes."""
        return _TYPES[self.record.type]

    @property
    def is_primary(self) -> bool:
        """Whether its type is PRIMARY."""
        return self.record.type == topodata_pb2.PRIMARY

    @property
    def term(self) -> int:
        """Start of its primary term in nanoseconds since the Unix epoch, 0 unless PRIMARY."""
        return time_from_proto(self.record.primary_term_start_time)

    # Changing the type

    async def change_type(self, wanted: TabletType, *, read_write: bool = False) -> None:
        """Change the type; the caller holds the action lock. To PRIMARY it starts a new term and, if asked, lets
        writes in.

        The topology server hears of a new primary before MySQL takes writes, so that there are never two writable
        primaries without a trace of it.
        """
        if wanted is not TabletType.PRIMARY:
            self.record.type = wire_type(wanted)
            self.record.ClearField("primary_term_start_time")
        else:
            record = await self._claim_term(self.wall())
            if read_write:
                await self.let_writes_in()
            self.record.CopyFrom(record)
        await self.settle()
        await self.publish()
        self.type_changed.set()

    async def let_writes_in(self) -> None:
        """Turn super_read_only and read_only off."""
        try:
            await self.server.set_super_read_only(False)
        except MysqlError as error:
            if error.errno != UNKNOWN_VARIABLE:
                raise
        await self.server.set_read_only(False)

    async def resume_term(self, term: int) -> None:
        """Be PRIMARY again under a term that began at `term`, as the topology server still has it."""
        self.record.type = topodata_pb2.PRIMARY
        self.record.primary_term_start_time.CopyFrom(time_to_proto(term))
        await self.settle()
        self.type_changed.set()

    async def _claim_term(self, term: int) -> topodata_pb2.Tablet:
        """Write type and term into the topology server, and return the record as it should be in memory."""
        meant = topodata_pb2.Tablet()
        meant.CopyFrom(self.record)
        meant.type = topodata_pb2.PRIMARY
        meant.primary_term_start_time.CopyFrom(time_to_proto(term))

        def claim(stored: topodata_pb2.Tablet) -> None:
            stored.type = meant.type
            stored.primary_term_start_time.CopyFrom(meant.primary_term_start_time)

        try:
            await self.topo.update_tablet(self.config.alias, claim)
        except VtorcError:
            # The write may have gone through all the same: only a read can tell.
            if await self._reread_term() != term:
                raise
        return meant

    async def _reread_term(self) -> int:
        while True:
            try:
                return (await self.topo.tablet(self.config.alias)).primary_term_start
            except VtorcError:
                await asyncio.sleep(self.timings.topo_reread)

    # Publishing the record

    async def publish(self) -> None:
        """Write the record to the topology server; what fails for a passing reason is tried again in the background."""
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
        """Publish again what could not be published, until it can."""
        while True:
            await self._unpublished.wait()
            await asyncio.sleep(self.timings.publish_retry)
            self._unpublished.clear()
            await self.publish()

    def _replace(self, stored: topodata_pb2.Tablet) -> None:
        """Put our record in the place of the stored one, if that is still ours."""
        mine = self.record
        if (stored.hostname, stored.port_map["vt"]) != (mine.hostname, mine.port_map["vt"]):
            raise TabletAliasLost(
                f"another process took {self.config.alias}: its record says {stored.hostname}:{stored.port_map['vt']}, "
                f"we are {mine.hostname}:{mine.port_map['vt']}"
            )
        stored.CopyFrom(mine)

    def _lose(self, error: TabletAliasLost) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)

    # Serving

    @property
    def serving(self) -> bool:
        """Whether the query service would take queries."""
        return (
            self._ready_to_serve
            and self._mysql_up
            and self.type in SERVING_TYPES
            and not self._demoting
            and not (self.is_primary and self._has_source_shards)
        )

    def health(self) -> Health:
        """Tell what the health stream says now."""
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
        """Make every health stream send a message."""
        changed, self._health_changed = self._health_changed, asyncio.Event()
        changed.set()

    def set_demoting(self, demoting: bool) -> None:
        """Stop taking queries for a demotion, or take them again."""
        self._change(lambda: setattr(self, "_demoting", demoting))

    def set_mysql_up(self, up: bool) -> None:
        """Note whether the MySQL server answers."""
        self._change(lambda: setattr(self, "_mysql_up", up))
        self.set_error("mysql", "" if up else "mysqld is down")

    def set_has_source_shards(self, has: bool) -> None:
        """Note whether the shard record names source shards, under which a primary does not serve."""
        self._change(lambda: setattr(self, "_has_source_shards", has))

    def set_error(self, subject: str, text: str) -> None:
        """Set or, with an empty text, clear one reason to report the tablet unhealthy."""

        def change() -> None:
            self._errors.pop(subject, None)
            if text:
                self._errors[subject] = text

        self._change(change)

    async def open_query_service(self) -> None:
        """Start to serve, once the tablet knows its type and has its record."""
        self._ready_to_serve = True
        await self.settle()

    async def settle(self) -> None:
        """Bring the query service into the state that the type asks for; a first primary creates its databases."""
        self._demoting = False
        if self._ready_to_serve and self.is_primary:
            try:
                await self.server.create_database(self.config.database)
                await self.server.create_sidecar(self.sidecar)
            except MysqlError as error:
                # A primary that restarts has them already; it may be read-only, or its server down.
                if error.errno not in (READ_ONLY_SERVER, 2002, 2013):
                    raise
        self.announce_health()

    def _change(self, change: Callable[[], None]) -> None:
        before = self.health()
        change()
        if self.health() != before:
            self.announce_health()


def refuse_drained_twice(current: TabletType, wanted: TabletType) -> None:
    """Refuse to drain a drained tablet (Vitess `rpc_actions.go`: some other action owns it)."""
    if current is TabletType.DRAINED and wanted is TabletType.DRAINED:
        raise TabletActionError(f"Tablet: {current} is already drained")


def wire_type(type_: TabletType) -> topodata_pb2.TabletType.ValueType:
    """Write a tablet's type as the topology has it."""
    return topodata_pb2.TabletType.ValueType(type_.value)
