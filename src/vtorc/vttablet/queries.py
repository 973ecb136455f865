"""RPCs that tell and do not change how the tablet replicates, and the odd jobs.

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
    """Everything that callers ask without taking the action lock, and what concerns the tablet alone."""

    def __init__(self, state: TabletState, semi_sync: SemiSync, disk: DiskMonitor) -> None:
        self._state = state
        self._server = state.server
        self._semi_sync = semi_sync
        self._disk = disk
        self._table_lock: asyncio.TimerHandle | None = None
        self._told: tuple[ServerReport, bool, TabletType] | None = None
        self._status = ServerReport()

    async def full_status(self) -> ServerReport:
        """Report the whole state; nothing but `disk_stalled` when the disk hangs."""
        if not self._state.started.is_set():
            await self._state.started.wait()
        if self._disk.stalled:
            return ServerReport(disk_stalled=True)
        report = await self._server.report()
        told = (report, self._semi_sync.blocked, self._state.type)
        if told != self._told:
            self._told = told
            self._status = dataclasses.replace(
                report, disk_stalled=False, semi_sync_blocked=told[1], tablet_type=told[2]
            )
        return self._status

    async def primary_report(self) -> PrimaryReport:
        """Report the server as a source; raises TabletActionError if it has no binary logs."""
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
        """List the hosts that replicate from this server, those of this machine left out."""
        await self._state.started.wait()
        return [host for host in await self._server.replica_hosts() if host != "localhost"]

    async def global_status(self, names: Sequence[str]) -> Mapping[str, str]:
        """Read MySQL status variables; all when none is named."""
        return await self._server.global_status(names)

    async def fetch(self, fetch: Fetch) -> Fetched:
        """Run a statement for the caller; raises TabletActionError if it is more than one (as vttablet from 23 on)."""
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
        """Replace the tablet's tags, or merge into them (an empty value deletes); returns them all."""
        async with HeldActionLock(self._state):
            merged = dict(tags) if replace else {**self._state.record.tags, **tags}
            self._state.record.ClearField("tags")
            self._state.record.tags.update({key: value for key, value in merged.items() if value or replace})
            await self._state.publish()
            return dict(self._state.record.tags)

    async def refresh_state(self) -> None:
        """Read the shard record again and settle whether to serve."""
        async with HeldActionLock(self._state):
            shard = await self._state.topo.update_shard(self._state.config.shard, lambda _: False)
            self._state.set_has_source_shards(bool(shard.source_shards))

    async def sleep(self, seconds: float) -> None:
        """Hold the action lock for so long."""
        async with HeldActionLock(self._state):
            await asyncio.sleep(seconds)

    async def reload_schema(self, position: GtidSet | None) -> None:
        """Wait for a position, if one is given; the lab's tablets keep no schema."""
        async with HeldActionLock(self._state):
            if position is not None:
                await self._server.wait_for_executed(position)

    async def lock_tables(self) -> None:
        """Hold a read lock on all tables until `unlock_tables`, or for a minute at most."""
        await self._server.lock_tables()
        self._table_lock = asyncio.get_running_loop().call_later(self._state.timings.table_lock, self._release_tables)

    async def unlock_tables(self) -> None:
        """Give the read lock on all tables back."""
        if self._table_lock is not None:
            self._table_lock.cancel()
            self._table_lock = None
        await self._server.unlock_tables()

    def _release_tables(self) -> None:
        self._table_lock = None
        self._state.tasks.start(self._server.unlock_tables(), "unlock tables")
