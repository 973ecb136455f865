"""RPCs that read, and those that change neither replication nor the primary.

Vitess: `go/vt/vttablet/tabletmanager/rpc_actions.go`, `rpc_query.go`, `rpc_replication.go` (`FullStatus`).
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.vttablet.errors import TabletActionError
from vtorc.vttablet.monitors import DiskMonitor
from vtorc.vttablet.mysql_api import Fetch, Fetched, PrimaryReport, ServerReport
from vtorc.vttablet.replication import HeldActionLock
from vtorc.vttablet.semi_sync import SemiSync
from vtorc.vttablet.state import TabletState


class TabletQueries:
    """The RPCs that read the tablet's state, run statements, or change only the tablet itself."""

    def __init__(self, state: TabletState, semi_sync: SemiSync, disk: DiskMonitor) -> None:
        self._state = state
        self._server = state.server
        self._semi_sync = semi_sync
        self._disk = disk
        self._table_lock: asyncio.TimerHandle | None = None
        self._reported: tuple[ServerReport, bool, TabletType] | None = None
        self._status = ServerReport()

    async def full_status(self) -> ServerReport:
        """Report the whole state; while the disk hangs, only `disk_stalled`."""
        if not self._state.started.is_set():
            await self._state.started.wait()
        if self._disk.stalled:
            return ServerReport(disk_stalled=True)
        report = await self._server.report()
        reported = (report, self._semi_sync.blocked, self._state.type)
        if reported != self._reported:
            self._reported = reported
            self._status = dataclasses.replace(
                report, disk_stalled=False, semi_sync_blocked=reported[1], tablet_type=reported[2]
            )
        return self._status

    async def primary_report(self) -> PrimaryReport:
        """Report the server's status as a source; raises TabletActionError if it has no binary logs."""
        await self._state.started.wait()
        report = await self._server.primary_report()
        if report is None:
            raise TabletActionError("no master status")
        return report

    async def position(self) -> GtidSet:
        """Report gtid_executed."""
        await self._state.started.wait()
        return await self._server.executed()

    async def journal_length(self) -> int:
        """Count the rows of the reparent journal."""
        await self._state.started.wait()
        return await self._server.journal_length(self._state.sidecar)

    async def replica_hosts(self) -> Sequence[str]:
        """List the hosts that replicate from this server, without those on this machine."""
        await self._state.started.wait()
        return [host for host in await self._server.replica_hosts() if host != "localhost"]

    async def global_status(self, names: Sequence[str]) -> Mapping[str, str]:
        """Read MySQL status variables, all of them if no name is given."""
        return await self._server.global_status(names)

    async def fetch(self, fetch: Fetch) -> Fetched:
        """Run one statement for the caller; raises TabletActionError for more than one, as vttablet does from 23 on."""
        results = await self._server.fetch(fetch)
        if len(results) != 1:
            raise TabletActionError("statement contains more than one query: use ExecuteMultiFetchAsDba")
        return results[0]

    async def fetch_many(self, fetch: Fetch) -> Sequence[Fetched]:
        """Run several statements for the caller."""
        return await self._server.fetch(fetch)

    async def permissions(self) -> tuple[Fetched, Fetched]:
        """Read the tables of users and of database privileges."""
        users = await self.fetch(Fetch(sql="SELECT * FROM mysql.user ORDER BY host, user"))
        databases = await self.fetch(Fetch(sql="SELECT * FROM mysql.db ORDER BY host, db, user"))
        return users, databases

    async def change_tags(self, tags: Mapping[str, str], *, replace: bool) -> Mapping[str, str]:
        """Replace the tablet's tags, or merge into them, where an empty value deletes; returns all tags."""
        async with HeldActionLock(self._state):
            merged = dict(tags) if replace else {**self._state.record.tags, **tags}
            self._state.record.ClearField("tags")
            self._state.record.tags.update({key: value for key, value in merged.items() if value or replace})
            await self._state.publish()
            return dict(self._state.record.tags)

    async def refresh_state(self) -> None:
        """Read the shard record again, since its source shards decide whether a primary serves."""
        async with HeldActionLock(self._state):
            shard = await self._state.topo.update_shard(self._state.config.shard, lambda _: False)
            self._state.set_has_source_shards(bool(shard.source_shards))

    async def sleep(self, seconds: float) -> None:
        """Hold the action lock for `seconds`."""
        async with HeldActionLock(self._state):
            await asyncio.sleep(seconds)

    async def reload_schema(self, position: GtidSet | None) -> None:
        """Wait for a position if one is given; the small vttablet keeps no schema."""
        async with HeldActionLock(self._state):
            if position is not None:
                await self._server.wait_for_executed(position)

    async def lock_tables(self) -> None:
        """Hold a read lock on all tables until `unlock_tables`, or for at most `AgentTimings.table_lock` seconds."""
        await self._server.lock_tables()
        self._table_lock = asyncio.get_running_loop().call_later(self._state.timings.table_lock, self._release_tables)

    async def unlock_tables(self) -> None:
        """Release the read lock on all tables."""
        if self._table_lock is not None:
            self._table_lock.cancel()
            self._table_lock = None
        await self._server.unlock_tables()

    def _release_tables(self) -> None:
        self._table_lock = None
        self._state.tasks.start(self._server.unlock_tables(), "unlock tables")
