"""RPCs about replication: start, stop, status, and the source of a server.

Vitess: `go/vt/vttablet/tabletmanager/rpc_replication.go`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import SemiSyncStatus, ThreadState
from vtorc.errors import MysqlError
from vtorc.vttablet.config import Peers
from vtorc.vttablet.errors import TabletPreconditionError
from vtorc.vttablet.mysql_api import ReplicaReport, Source, Threads
from vtorc.vttablet.semi_sync import SemiSync, SemiSyncAction
from vtorc.vttablet.state import TabletState

_NOT_A_REPLICA = 100
_RELAY_LOG_ERRORS = frozenset((1201, 1872))


@dataclass(frozen=True, slots=True)
class StoppedReport:
    """Replication before and after a stop, with the semi-sync settings, which newer callers expect in both."""

    before: ReplicaReport
    after: ReplicaReport
    semi_sync: SemiSyncStatus


class ReplicationActions:
    """The RPCs about replication threads and sources; each takes the tablet's action lock, unless it only reads."""

    def __init__(self, state: TabletState, semi_sync: SemiSync, peers: Peers | None) -> None:
        self._state = state
        self._server = state.server
        self._semi_sync = semi_sync
        self._peers = peers  # with None there is no errant GTID check, as in vttablets before 22

    async def status(self) -> ReplicaReport:
        """Report SHOW REPLICA STATUS; raises MysqlError 100 if the server has no replication source."""
        await self._state.started.wait()
        return await self._require_status()

    async def wait_for_position(self, position: GtidSet) -> None:
        """Wait until the server has executed `position`."""
        await self._state.started.wait()
        if not (await self._server.executed()).contains(position):
            await self._server.wait_for_executed(position)

    async def stop(self) -> None:
        """Stop both threads."""
        async with self._action():
            await self._server.stop_replication()

    async def start(self, *, semi_sync: bool) -> None:
        """Set semi-sync for the tablet's type, then start both threads."""
        async with self._action():
            await self._semi_sync.fix(await self._semi_sync.action(semi_sync), self._state.type)
            await self._server.start_replication()

    async def restart(self, *, semi_sync: bool) -> None:
        """Stop both threads, set semi-sync for the tablet's type, start both threads."""
        async with self._action():
            action = await self._semi_sync.action(semi_sync)
            await self._server.stop_replication()
            await self._semi_sync.fix(action, self._state.type)
            await self._server.start_replication()

    async def stop_minimum(self, position: GtidSet, *, wait: float) -> GtidSet:
        """Wait at most `wait` s until `position` is executed, then stop; returns gtid_executed after that."""
        async with self._action():
            async with asyncio.timeout(wait or None):
                await self._server.wait_for_executed(position)
            await self._server.stop_replication()
            return await self._server.executed()

    async def start_until_after(self, position: GtidSet) -> None:
        """Start both threads; the SQL thread stops once `position` is executed."""
        async with self._action():
            await self._server.start_replication_until_after(position)

    async def reset(self) -> None:
        """Remove the replication source, and wipe binary logs and GTID history."""
        async with self._action():
            await self._server.stop_replication()
            await self._server.reset_replica(forget_source=True)
            await self._server.reset_binary_logs()
            await self._semi_sync.fix(await self._semi_sync.action(False), self._state.type)

    async def reset_parameters(self) -> None:
        """Remove the replication source."""
        async with self._action():
            await self._server.stop_replication()
            await self._server.reset_replica(forget_source=True)

    async def stop_and_get_status(self, *, io_only: bool) -> StoppedReport:
        """Stop the threads, or the IO thread alone, if they run, and report the status before and after.

        Raises MysqlError 100 if the server has no replication source.
        """
        async with self._action():
            before = await self._require_status()
            semi_sync = await self._server.semi_sync() or SemiSyncStatus()
            if not (before.io_healthy if io_only else _healthy(before)):
                return StoppedReport(before, before, semi_sync)
            await self._server.stop_replication(Threads.IO if io_only else Threads.BOTH)
            return StoppedReport(before, await self._require_status(), semi_sync)

    async def set_source(
        self,
        parent: TabletAlias | None,
        *,
        semi_sync: bool | None,
        force_start: bool,
        time_created_ns: int = 0,
        wait_position: GtidSet | None = None,
        heartbeat_interval: float = 0.0,
    ) -> None:
        """Replicate from `parent` (`SetReplicationSource`); `semi_sync` None leaves the semi-sync settings alone.

        The type of a primary becomes REPLICA before any step that can fail. Raises TabletPreconditionError on errant
        GTIDs, or if the parent's record has no MySQL address. If replication runs afterwards, it waits for the
        position and the journal row.
        """
        async with self._action():
            action = SemiSyncAction.NONE if semi_sync is None else await self._semi_sync.action(semi_sync)
            if self._state.is_primary:
                await self._state.change_type(TabletType.REPLICA)
            status = await self._server.replication_status()
            was_running = status is not None and (status.io_healthy or status.sql_state is ThreadState.RUNNING)
            should_start = status is None or was_running or force_start
            await self._semi_sync.fix(action, self._state.type)
            if parent is None:
                raise TabletPreconditionError("Shard primaryAlias is nil")
            record = await self._state.topo.tablet(parent)
            source = _source_of(record, heartbeat_interval)
            if self._peers is not None:
                await self._refuse_errant(record, status.received if status else await self._server.executed())
            if heartbeat_interval or status is None or status.source_address != (source.host, source.port):
                await self.point_at(source, stop=was_running, start=should_start)
            elif should_start:
                await self._repairing_relay_log(self._restart_threads)
            if should_start:
                await self._wait_caught_up(wait_position, time_created_ns)

    async def point_at(self, source: Source, *, stop: bool, start: bool) -> None:
        """Change the source; with `stop` and `start` the threads stop before and start after it.

        The caller holds the action lock.
        """

        async def change() -> None:
            if stop:
                await self._server.stop_replication()
            await self._server.change_source(source)
            if start:
                await self._server.start_replication()

        await self._repairing_relay_log(change)

    async def check_errant(self, parent: TabletRecord) -> None:
        """Raise TabletPreconditionError if the server has errant GTIDs: `parent` lacks them and did not write them."""
        if self._peers is not None:
            status = await self._server.replication_status()
            await self._refuse_errant(parent, status.received if status else await self._server.executed())

    async def _refuse_errant(self, parent: TabletRecord, own: GtidSet) -> None:
        assert self._peers is not None
        report = await self._peers.primary_report(parent)
        errant = own.difference(report.executed).without_uuid(report.server_uuid)
        if errant:
            raise TabletPreconditionError(
                f"Errant GTID detected - {errant}; Primary GTID - {report.executed}, Replica GTID - {own}"
            )

    async def _wait_caught_up(self, position: GtidSet | None, time_created_ns: int) -> None:
        if position is not None:
            await self._server.wait_for_executed(position)
        if time_created_ns:
            await self.wait_journal_row(time_created_ns)

    async def wait_journal_row(self, time_created_ns: int) -> None:
        """Wait until the journal row with that time has replicated."""
        while not await self._server.has_journal_row(self._state.sidecar, time_created_ns):  # noqa: ASYNC110
            await asyncio.sleep(self._state.timings.journal_poll)

    async def _restart_threads(self) -> None:
        await self._server.stop_replication()
        await self._server.start_replication()

    async def _repairing_relay_log(self, act: Callable[[], Awaitable[None]]) -> None:
        """Run `act`; if MySQL cannot open the relay log, drop the log, and start replication to fetch it again."""
        try:
            await act()
        except MysqlError as error:
            if error.errno not in _RELAY_LOG_ERRORS:
                raise
            await self._server.stop_replication()
            await self._server.reset_replica(forget_source=False)
            await self._server.start_replication()

    async def _require_status(self) -> ReplicaReport:
        status = await self._server.replication_status()
        if status is None:
            raise MysqlError("no replication status", errno=_NOT_A_REPLICA)
        return status

    def _action(self) -> "HeldActionLock":
        return HeldActionLock(self._state)


class HeldActionLock:
    """Waits until the tablet has started, and holds the action lock while one mutating RPC runs."""

    def __init__(self, state: TabletState) -> None:
        self._state = state

    async def __aenter__(self) -> None:
        await self._state.started.wait()
        await self._state.action_lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._state.action_lock.release()


def _healthy(status: ReplicaReport) -> bool:
    return status.io_healthy and status.sql_state is ThreadState.RUNNING


def _source_of(record: TabletRecord, heartbeat_interval: float) -> Source:
    if not record.mysql_hostname:
        raise TabletPreconditionError("Shard primary has empty mysql hostname")
    return Source(host=record.mysql_hostname, port=record.mysql_port, heartbeat_interval=heartbeat_interval)
