"""The tablet managers of a simulated world as one process calls them, over the network; vttablet's code answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus
from vtorc.errors import MysqlError, TabletCallFailed, TabletUnreachable, VtorcError
from vtorc.sim.cluster.health_stream import serve_health
from vtorc.sim.cluster.tablet import Address, SimTablet
from vtorc.sim.engine.network import Network, NetworkError, NoAnswer
from vtorc.sim.engine.process import Life
from vtorc.sim.engine.stream import connect
from vtorc.tablet.api import FLUSH_BINARY_LOGS, HealthReport, StopMode, StoppedReplication
from vtorc.tablet.sending import about_to_send
from vtorc.tablet.wall_clock import READ_CLOCK, clock_nanoseconds
from vtorc.vttablet.agent import TabletAgent
from vtorc.vttablet.mysql_api import Fetch, JournalRow

_T = TypeVar("_T")

_NOT_A_REPLICA = 100

Watcher = Callable[[SimTablet, str], None]
"""Called with the tablet and the call's name at the moment at which a call is sent that changes something."""


_CONNECT_S = 1.0
_RPC_S = 15.0
_WAIT_S = 60.0
_HEALTH_S = 60.0
"""Longest times in seconds, the defaults of the real client."""


@dataclass(slots=True)
class _Channel:
    """The client's knowledge of its connection to one address."""

    life: Life | None = None
    doubtful: bool = False

    @property
    def connected(self) -> bool:
        return self.life is not None and self.life.alive


class SimTabletManager:
    """Implements `TabletManager` for one process of the simulated world."""

    def __init__(
        self,
        network: Network,
        client: Life,
        directory: Mapping[Address, SimTablet],
        *,
        watcher: Watcher,
    ) -> None:
        self._network = network
        self._client = client
        self._directory = directory
        self._watcher = watcher
        self._channels: dict[Address, _Channel] = {}

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Ask for `FullStatus`."""
        target = self._find(tablet)
        return await self._call(tablet, "FullStatus", lambda _: target.full_status(), ask=self._network.call_light)

    async def ping(self, tablet: TabletRecord) -> None:
        """Ask the tablet process for a sign of life."""
        await self._call(tablet, "Ping", _nothing, ask=self._network.call_light)

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        """Ask for SHOW REPLICA STATUS."""
        try:
            return await self._call(tablet, "ReplicationStatus", lambda agent: agent.replication.status())
        except TabletCallFailed as failure:
            if failure.errno == _NOT_A_REPLICA:
                return None
            raise

    async def primary_position(self, tablet: TabletRecord) -> GtidSet:
        """Ask for the executed GTID set."""
        return await self._call(tablet, "PrimaryPosition", lambda agent: agent.queries.position())

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        """Wait until the server has executed `position`."""
        await self._call(
            tablet,
            "WaitForPosition",
            lambda agent: agent.replication.wait_for_position(position),
            limit=_WAIT_S,
        )

    async def stop_replication(self, tablet: TabletRecord) -> None:
        """Stop both replication threads."""
        await self._change(tablet, "StopReplication", lambda agent: agent.replication.stop())

    async def wall_clock(self, tablet: TabletRecord) -> int:
        """Ask for the time of the mysqld's host, in nanoseconds since the Unix epoch."""
        fetched = await self._call(
            tablet, "ExecuteFetchAsDba", lambda agent: agent.queries.fetch(Fetch(sql=READ_CLOCK))
        )
        return clock_nanoseconds((fetched.rows[0][0] or b"").decode())

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        """Stop the IO thread whatever its state."""
        await self._change(
            tablet, "ExecuteFetchAsDba", lambda agent: agent.queries.fetch(Fetch(sql="STOP REPLICA IO_THREAD"))
        )

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        """Stop replication threads and report before and after."""

        async def work(agent: TabletAgent) -> StoppedReplication:
            report = await agent.replication.stop_and_get_status(io_only=mode is StopMode.IO_ONLY)
            return StoppedReplication(before=report.before, after=report.after)

        try:
            return await self._change(tablet, "StopReplicationAndGetStatus", work)
        except TabletCallFailed as failure:
            if failure.errno == _NOT_A_REPLICA:
                return None
            raise

    async def start_replication(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Set the replica side of semi-sync, then start both threads."""
        await self._change(tablet, "StartReplication", lambda agent: agent.replication.start(semi_sync=semi_sync))

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
        await self._change(
            tablet,
            "SetReplicationSource",
            lambda agent: agent.replication.set_source(
                source,
                semi_sync=semi_sync,
                force_start=force_start,
                wait_position=wait_position,
                time_created_ns=time_created_ns,
                heartbeat_interval=heartbeat_interval,
            ),
            limit=_WAIT_S,
        )

    async def reset_replication_parameters(self, tablet: TabletRecord) -> None:
        """Make the server forget its source."""
        await self._change(tablet, "ResetReplicationParameters", lambda agent: agent.replication.reset_parameters())

    async def promote_replica(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a replica the primary."""
        return await self._change(
            tablet, "PromoteReplica", lambda agent: agent.reparent.promote_replica(semi_sync=semi_sync)
        )

    async def init_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        """Make a tablet the first primary of its shard."""
        return await self._change(tablet, "InitPrimary", lambda agent: agent.reparent.init_primary(semi_sync=semi_sync))

    async def demote_primary(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        """Stop serving writes and turn read-only."""

        async def work(agent: TabletAgent) -> GtidSet:
            return (await agent.reparent.demote_primary(force=force)).executed

        return await self._change(tablet, "DemotePrimary", work)

    async def undo_demote_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        """Make a demoted primary writable again."""
        await self._change(
            tablet, "UndoDemotePrimary", lambda agent: agent.reparent.undo_demote_primary(semi_sync=semi_sync)
        )

    async def set_read_only(self, tablet: TabletRecord) -> None:
        """Turn read_only on."""
        await self._change(tablet, "SetReadOnly", lambda agent: agent.reparent.set_read_only())

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type."""
        await self._change(tablet, "ChangeType", lambda agent: agent.reparent.change_type(type_, semi_sync=semi_sync))

    async def flush_binary_logs(self, tablet: TabletRecord) -> None:
        """Begin a new binary log."""
        await self._change(tablet, "ExecuteFetchAsDba", lambda agent: agent.queries.fetch(Fetch(sql=FLUSH_BINARY_LOGS)))

    async def populate_reparent_journal(
        self, tablet: TabletRecord, *, time_created_ns: int, action: str, primary: TabletAlias, position: GtidSet
    ) -> None:
        """Write one row of the reparent journal."""
        row = JournalRow(
            time_created_ns=time_created_ns,
            action=action,
            primary_alias=str(primary),
            position=f"MySQL56/{position}",
        )
        await self._change(
            tablet,
            "PopulateReparentJournal",
            lambda agent: agent.reparent.populate_journal(row),
            limit=_WAIT_S,
        )

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        """Ask for MySQL's global status variables."""
        return await self._call(tablet, "GetGlobalStatusVars", lambda agent: agent.queries.global_status(names))

    async def stream_health(self, tablet: TabletRecord) -> AsyncGenerator[HealthReport, None]:
        """Yield health reports; raises TabletUnreachable when the stream breaks or falls silent."""
        what = f"StreamHealth of {tablet.alias}"
        target = self._find(tablet)
        await self._connected(what, target)
        if not _is_meant(target, tablet):
            raise _not_meant(target, tablet, what)
        reports: asyncio.Queue[HealthReport | None] = asyncio.Queue()
        try:
            stream = await connect(self._network, self._client, target.process)
        except NetworkError as error:
            raise _unreachable(what, error) from error
        stream.client.on_close = lambda: reports.put_nowait(None)
        stream.client.send(serve_health, target, stream.server, reports)
        try:
            while True:
                try:
                    async with asyncio.timeout(_HEALTH_S):
                        report = await reports.get()
                except TimeoutError:
                    raise TabletUnreachable(f"{what}: silent", reason="timeout") from None
                await self._client.until_running()
                if report is None:
                    raise TabletUnreachable(f"{what}: the stream broke", reason="unreachable")
                yield report
        finally:
            stream.client.close()

    async def close(self) -> None:
        """Do nothing: no connection is open between calls."""

    # --- calls

    async def _change(
        self,
        tablet: TabletRecord,
        name: str,
        work: Callable[[TabletAgent], Coroutine[Any, Any, _T]],
        *,
        limit: float | None = None,
    ) -> _T:
        await self._client.until_running()
        about_to_send()
        target = self._find(tablet)
        if _is_meant(target, tablet):  # no call is sent to another tablet at that address
            self._watcher(target, name)
        return await self._call(tablet, name, work, limit=limit)

    async def _call(
        self,
        tablet: TabletRecord,
        name: str,
        work: Callable[[TabletAgent], Coroutine[Any, Any, _T]],
        *,
        limit: float | None = None,
        ask: Callable[..., Coroutine[Any, Any, _T]] | None = None,
    ) -> _T:
        target = self._find(tablet)
        channel = self._channels.get(target.address)
        if channel is None or channel.doubtful or not channel.connected:
            channel = await self._connected(f"{name} of {tablet.alias}", target)
        if not _is_meant(target, tablet):
            raise _not_meant(target, tablet, f"{name} of {tablet.alias}")
        longest = _RPC_S if limit is None else limit

        async def handle() -> _T:
            assert target.agent is not None
            try:
                return await work(target.agent)
            except MysqlError as error:
                raise TabletCallFailed(f"{name} of {tablet.alias}: {error}", errno=error.errno) from error
            except (VtorcError, TimeoutError) as error:
                raise TabletCallFailed(f"{name} of {tablet.alias}: {error or 'context deadline exceeded'}") from error

        try:
            result = await (ask or self._network.call)(self._client, target.process, handle, limit=longest)
        except NetworkError as error:
            raise _unreachable(f"{name} of {tablet.alias}", error) from error
        except NoAnswer:
            channel.doubtful = True
            raise TabletUnreachable(
                f"{name} of {tablet.alias}: no answer within {longest:g} s", reason="timeout"
            ) from None
        except asyncio.CancelledError:
            channel.doubtful = True
            raise
        channel.doubtful = False
        return result

    def _find(self, tablet: TabletRecord) -> SimTablet:
        if tablet.is_shut_down:
            raise TabletUnreachable(f"{tablet.alias} was shut down on purpose", reason="shut down")
        target = self._directory.get((tablet.hostname, tablet.grpc_port))
        if target is None:
            raise TabletUnreachable(f"{tablet.hostname}: the name cannot be looked up", reason="unreachable")
        return target

    async def _connected(self, what: str, target: SimTablet) -> _Channel:
        """Connect as the real client does: the process must listen, and answer unless the channel is known to work.

        The tablet's first answer carries its alias.
        """
        channel = self._channels.setdefault(target.address, _Channel())
        if channel.connected and not channel.doubtful:
            return channel
        try:
            async with asyncio.timeout(_CONNECT_S):
                if channel.connected:
                    (await connect(self._network, self._client, target.process)).client.close()
                else:
                    await self._network.call_instantly(self._client, target.process, lambda: None)
        except NetworkError as error:
            raise _unreachable(what, error) from error
        except TimeoutError:
            raise TabletUnreachable(f"{what}: no connection within {_CONNECT_S:g} s", reason="timeout") from None
        channel.life = target.process.life
        return channel


async def _nothing(agent: TabletAgent) -> None:
    return None


def _is_meant(target: SimTablet, tablet: TabletRecord) -> bool:
    return target.config.alias == tablet.alias


def _not_meant(target: SimTablet, tablet: TabletRecord, what: str) -> TabletUnreachable:
    """Return the error by which the real client, once connected, refuses to talk to another tablet at an address."""
    return TabletUnreachable(
        f"{what}: at its address, {tablet.hostname} port {tablet.grpc_port}, {target.config.alias} answers: "
        "its record is out of date",
        reason="unreachable",
    )


def _unreachable(what: str, error: NetworkError) -> TabletUnreachable:
    reason = "refused" if error.reason == "refused" else "unreachable"
    return TabletUnreachable(f"{what}: {error}", reason=reason)
