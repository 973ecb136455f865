"""Keeps this tablet's primary term in the shard record, and yields to a newer one.

Vitess: `go/vt/vttablet/tabletmanager/shard_sync.go`.
"""

import asyncio
import contextlib

import structlog

from vtorc.core.facts.records import ShardRecord
from vtorc.errors import BadRecord, VtorcError
from vtorc.proto import topodata_pb2
from vtorc.topo import records
from vtorc.topo.tasks import OwnedTasks
from vtorc.vttablet.reparent import ReparentActions
from vtorc.vttablet.state import TabletState

_log = structlog.get_logger(__name__)


class ShardSync:
    """Acts on changes of the type and, while it is PRIMARY, of the shard record.

    It writes that record without a lock, by compare-and-swap.
    """

    def __init__(self, state: TabletState, reparent: ReparentActions) -> None:
        self._state = state
        self._reparent = reparent
        self._wake = state.type_changed
        self._tasks = OwnedTasks()
        self._watcher: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Synchronise until cancelled."""
        try:
            while True:
                self._wake.clear()
                done = await self._try_once()
                self._watch(self._state.is_primary)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if done else self._state.timings.shard_sync_retry):
                        await self._wake.wait()
        finally:
            await self._tasks.close()

    async def _try_once(self) -> bool:
        if not self._state.is_primary:
            return True
        try:
            await self.synchronise()
        except (VtorcError, TimeoutError) as error:
            _log.warning("the shard record could not be brought in line, will be tried again", error=str(error))
            return False
        return True

    async def synchronise(self) -> None:
        """Write this primary into the shard record if its term is the newest, or end its term if another's is newer."""
        async with asyncio.timeout(self._state.timings.topo_deadline):
            shard = await self._state.topo.update_shard(self._state.config.shard, self._claim)
        newest = records.time_from_proto(shard.primary_term_start_time)
        if self._state.is_primary and newest > self._state.term:
            successor = records.alias_from_proto(shard.primary_alias)
            _log.info("another tablet has a newer primary term, this one yields", newer=str(successor))
            await self._reparent.end_term(successor)

    def _claim(self, stored: topodata_pb2.Shard) -> bool:
        """Put this tablet into the stored record, unless that has this term or a newer one already."""
        if not self._state.is_primary or records.time_from_proto(stored.primary_term_start_time) >= self._state.term:
            return False
        stored.primary_alias.CopyFrom(records.alias_to_proto(self._state.config.alias))
        stored.primary_term_start_time.CopyFrom(records.time_to_proto(self._state.term))
        return True

    def _watch(self, on: bool) -> None:
        if on and (self._watcher is None or self._watcher.done()):
            self._watcher = self._tasks.start(self._follow(), "follow the shard record")
        elif not on and self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def _follow(self) -> None:
        """Wake the loop at every change of the shard record."""
        known: ShardRecord | BadRecord | None = None
        while True:
            changes = self._state.topo.watch_shard_record(self._state.config.shard)
            try:
                async with contextlib.aclosing(changes):
                    async for record in changes:
                        if record != known:
                            self._wake.set()
                        known = record
            except VtorcError as error:
                _log.warning("the watch of the shard record broke, will be set up again", error=str(error))
                self._wake.set()
            await asyncio.sleep(self._state.timings.shard_sync_retry)
