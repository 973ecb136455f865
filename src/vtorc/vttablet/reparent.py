"""RPCs that promote and demote.

Vitess: `go/vt/vttablet/tabletmanager/rpc_replication.go`.
"""

import asyncio
from collections.abc import Awaitable, Callable

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.errors import MysqlError
from vtorc.vttablet import read_only
from vtorc.vttablet.errors import TabletActionError, TabletPreconditionError
from vtorc.vttablet.mysql_api import JournalRow, PrimaryReport, Source
from vtorc.vttablet.replication import HeldActionLock, ReplicationActions
from vtorc.vttablet.semi_sync import SemiSync
from vtorc.vttablet.state import UNKNOWN_VARIABLE, TabletState, refuse_drained_twice

Undo = Callable[[], Awaitable[None]]

_UNDO_DEADLINE = 15.0


class ReparentActions:
    """The RPCs that promote, demote, and change a tablet's type or its read-only setting."""

    def __init__(self, state: TabletState, semi_sync: SemiSync, replication: ReplicationActions) -> None:
        self._state = state
        self._server = state.server
        self._semi_sync = semi_sync
        self._replication = replication

    async def change_type(self, wanted: TabletType, *, semi_sync: bool) -> None:
        """Change the tablet's type and leave read_only alone; raises TabletActionError for a tablet drained twice."""
        async with HeldActionLock(self._state):
            refuse_drained_twice(self._state.type, wanted)
            action = await self._semi_sync.action(semi_sync)
            await self._state.change_type(wanted)
            if wanted is not TabletType.PRIMARY:
                await self._semi_sync.fix(action, wanted)
                await self._semi_sync.restart_io_if_needed()

    async def promote_replica(self, *, semi_sync: bool) -> GtidSet:
        """Promote a replica to a writable primary; returns its position before that."""
        async with HeldActionLock(self._state):
            action = await self._semi_sync.action(semi_sync)
            await self._server.stop_replication()
            await self._server.reset_replica(forget_source=True)
            await self._server.flush_binary_logs()
            position = await self._server.executed()
            await self._semi_sync.fix(action, TabletType.PRIMARY)
            await self._state.change_type(TabletType.PRIMARY, read_write=True)
            return position

    async def init_primary(self, *, semi_sync: bool) -> GtidSet:
        """Make a tablet the first primary of its shard; its replication settings stay as they are."""
        async with HeldActionLock(self._state):
            action = await self._semi_sync.action(semi_sync)
            try:
                await self._server.set_super_read_only(False)
            except MysqlError as error:
                if error.errno != UNKNOWN_VARIABLE:
                    raise
            await self._server.create_database(self._state.sidecar)
            position = await self._server.executed()
            await self._state.change_type(TabletType.PRIMARY, read_write=True)
            await self._semi_sync.fix(action, TabletType.PRIMARY)
            return position

    async def populate_journal(self, row: JournalRow) -> None:
        """Write a row of the reparent journal; under semi-sync it returns once a replica has acknowledged it."""
        await self._state.started.wait()
        await self._server.write_journal(self._state.sidecar, row)

    async def init_replica(
        self, parent: TabletAlias, position: GtidSet, *, time_created_ns: int, semi_sync: bool
    ) -> None:
        """Set gtid_purged to `position`, replicate from `parent` and wait for its journal row."""
        async with HeldActionLock(self._state):
            action = await self._semi_sync.action(semi_sync)
            if self._state.is_primary:
                await self._state.change_type(TabletType.REPLICA)
            await self._semi_sync.fix(action, self._state.type)
            record: TabletRecord = await self._state.topo.tablet(parent)
            await self._server.reset_binary_logs(purged=position)
            source = Source(host=record.mysql_hostname, port=record.mysql_port)
            await self._replication.point_at(source, stop=False, start=True)
            await self._replication.wait_journal_row(time_created_ns)

    async def demote_primary(self, *, force: bool, revert: bool = True) -> PrimaryReport:
        """Refuse queries, turn read-only, and stop requiring acknowledgements; the type stays PRIMARY.

        It waits for running commits, and so for their acknowledgements. With `force` it releases the commits that wait
        for one. Before that all applications lose their connections, so that no client is told OK. After an error it
        undoes what it did. With `revert` False it then only requires acknowledgements again. It may be called on a
        replica, or twice.
        """
        stalled = asyncio.get_running_loop().call_later(
            self._state.timings.demote_stalled,
            self._state.set_error,
            "demotion",
            "VT09031: Primary demotion is stalled",
        )
        try:
            async with HeldActionLock(self._state):
                return await self._demote(force, revert)
        finally:
            stalled.cancel()
            self._state.set_error("demotion", "")

    async def _demote(self, force: bool, revert: bool) -> PrimaryReport:
        undo: list[Undo] = []
        acks: list[Undo] = []
        try:
            was_read_only = await self._server.is_read_only()
            if self._state.is_primary and not was_read_only:
                self._state.set_demoting(True)
                undo.append(self._serve_again)
            if not was_read_only:
                undo.append(self._state.allow_writes)
            if force:
                await read_only.by_force(
                    self._server,
                    read_only.turn_read_only(self._server),
                    lambda: self._stop_requiring_acks(acks),
                    poll=self._state.timings.demote_poll,
                )
            else:
                await self._semi_sync.wait_unblocked()
                await read_only.turn_read_only(self._server)
            await self._stop_requiring_acks(acks)
            report = await self._server.primary_report()
            if report is None:
                raise TabletActionError("no master status")
        except BaseException:
            # Also without `revert`: on a hung disk the demotion is given up, and the server still takes writes.
            await self._state.tasks.finish(_undo([*undo, *acks] if revert else acks), "undo a demotion")
            raise
        return report

    async def _stop_requiring_acks(self, undo: list[Undo]) -> None:
        status = await self._server.semi_sync()
        if status is None or not status.primary_enabled:
            return
        await self._server.set_semi_sync(primary=False, replica=True)
        self._semi_sync.watch(False)

        async def require_again() -> None:
            await self._server.set_semi_sync(primary=True, replica=True)
            self._semi_sync.watch(True)

        undo.append(require_again)

    async def _serve_again(self) -> None:
        self._state.set_demoting(False)

    async def undo_demote_primary(self, *, semi_sync: bool) -> None:
        """Make a demoted primary writable again, in the term that it had."""
        async with HeldActionLock(self._state):
            await self._semi_sync.fix(await self._semi_sync.action(semi_sync), TabletType.PRIMARY)
            if not self._state.is_primary:
                stored = await self._state.topo.tablet(self._state.config.alias)
                if stored.type is TabletType.PRIMARY:
                    await self._state.allow_writes()
                    await self._state.resume_term(stored.primary_term_start)
                    return
            await self._state.allow_writes()
            self._state.set_demoting(False)

    async def replica_was_promoted(self) -> None:
        """Set the type to PRIMARY, after another program has promoted the server."""
        async with HeldActionLock(self._state):
            await self._state.change_type(TabletType.PRIMARY)

    async def replica_was_restarted(self) -> None:
        """Set the type to REPLICA if it was PRIMARY, after another program has made the server a replica."""
        async with HeldActionLock(self._state):
            if self._state.is_primary:
                await self._state.change_type(TabletType.REPLICA)

    async def set_read_only(self) -> None:
        """Turn read_only on; super_read_only stays as it is."""
        async with HeldActionLock(self._state):
            await self._server.set_read_only(True)

    async def set_read_write(self) -> None:
        """Turn read_only and super_read_only off."""
        async with HeldActionLock(self._state):
            await self._state.allow_writes()

    async def end_term(self, successor: TabletAlias | None) -> None:
        """Yield to `successor`, the primary of a newer term: demote this tablet by force, then replicate from it.

        Raises TabletPreconditionError if the shard record names no successor.
        """
        if successor is None:
            raise TabletPreconditionError("the shard has a newer primary term, but names no primary")
        async with asyncio.timeout(self._state.timings.topo_deadline):
            await self.demote_primary(force=True, revert=False)
        async with asyncio.timeout(self._state.timings.topo_deadline):
            await self._replication.set_source(successor, semi_sync=None, force_start=True)


async def _undo(steps: list[Undo]) -> None:
    """Run the steps, the last one first; after a failed step the others still run."""
    for step in reversed(steps):
        try:
            async with asyncio.timeout(_UNDO_DEADLINE):
                await step()
        except (MysqlError, TimeoutError):
            continue
