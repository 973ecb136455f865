"""Semi-sync on a tablet: the settings that an RPC's `semiSync` asks for, and the monitor of blocked commits.

Vitess: `go/vt/vttablet/tabletmanager/rpc_replication.go` (`convertSemiSyncAction`, `fixSemiSync`) and
`semisyncmonitor/`.
"""

import asyncio
import contextlib
import enum

from vtorc.core.facts.ids import TabletType
from vtorc.errors import MysqlError
from vtorc.topo.tasks import OwnedTasks
from vtorc.vttablet import read_only
from vtorc.vttablet.errors import TabletPreconditionError
from vtorc.vttablet.state import TabletState

MAX_STUCK_WRITES = 15
"""How many heartbeat writes may wait for an acknowledgement before the primary counts as blocked."""


class SemiSyncAction(enum.Enum):
    """The change that an RPC makes to the semi-sync settings."""

    NONE = enum.auto()
    SET = enum.auto()
    UNSET = enum.auto()


class SemiSync:
    """Applies semi-sync actions, and on a semi-sync primary watches for commits that get no acknowledgement."""

    def __init__(self, state: TabletState) -> None:
        self._state = state
        self._server = state.server
        self._watching = False
        self._watch_changed = asyncio.Event()
        self._unblocked = asyncio.Event()
        self._unblocked.set()
        self._stuck = asyncio.Semaphore(MAX_STUCK_WRITES)

    @property
    def blocked(self) -> bool:
        """Whether `MAX_STUCK_WRITES` heartbeats wait for an acknowledgement (`semi_sync_blocked` of FullStatus)."""
        return self._watching and self._stuck.locked()

    async def action(self, wanted: bool) -> SemiSyncAction:
        """Return the action for an RPC's `semiSync`; raises TabletPreconditionError if the plugins are missing."""
        if await self._server.semi_sync() is not None:
            return SemiSyncAction.SET if wanted else SemiSyncAction.UNSET
        if wanted:
            raise TabletPreconditionError("VT09013: semi-sync plugins are not loaded")
        return SemiSyncAction.NONE

    async def fix(self, action: SemiSyncAction, type_: TabletType) -> None:
        """Apply the action to the settings, for a tablet of this type."""
        if action is SemiSyncAction.NONE:
            return
        if type_ is not TabletType.PRIMARY:
            await self._stop_taking_writes()
        primary = action is SemiSyncAction.SET and type_ is TabletType.PRIMARY
        await self._server.set_semi_sync(primary=primary, replica=action is SemiSyncAction.SET)
        self.watch(primary)

    async def _stop_taking_writes(self) -> None:
        """Turn the server read-only if it still takes writes as a semi-sync primary; its tablet is a replica by now.

        vttablet omits this when it starts again after another tablet became primary. The caller then switches semi-sync
        off, which would release waiting commits that no replica can acknowledge any more (simulator, seed 3522 of
        storm).
        """
        status = await self._server.semi_sync()
        if status is None or not status.primary_enabled or await self._server.is_read_only():
            return
        try:
            await read_only.by_force(
                self._server,
                read_only.turn_read_only(self._server),
                lambda: self._server.set_semi_sync(primary=False, replica=True),
                poll=self._state.timings.demote_poll,
            )
        except BaseException:
            await self._state.tasks.finish(self._require_acks_again(), "require acknowledgements again")
            raise

    async def _require_acks_again(self) -> None:
        """Switch the source side on again: after a demotion that failed, as on a hung disk, the server takes writes."""
        with contextlib.suppress(MysqlError, TimeoutError):
            async with asyncio.timeout(self._state.timings.topo_deadline):
                await self._server.set_semi_sync(primary=True, replica=True)

    def watch(self, on: bool) -> None:
        """Start or stop the monitor."""
        if on is not self._watching:
            self._watching = on
            self._unblocked.set()
            self._watch_changed.set()

    async def restart_io_if_needed(self) -> None:
        """Restart replication if its IO thread acknowledges, or does not, against the tablet's type."""
        status = await self._server.replication_status()
        semi_sync = await self._server.semi_sync()
        if status is None or not status.io_healthy or semi_sync is None:
            return
        should_ack = self._state.type in (TabletType.PRIMARY, TabletType.REPLICA)
        if should_ack is not semi_sync.replica_active:
            await self._server.stop_replication()
            await self._server.start_replication()

    async def wait_unblocked(self) -> None:
        """Wait until no commit of this primary is blocked; returns at once if the monitor does not run."""
        if self._watching and await self._server.semi_sync_wait_sessions():
            self._unblocked.clear()
            self._watch_changed.set()
            await self._unblocked.wait()

    async def monitor_loop(self) -> None:
        """While the tablet is a semi-sync primary, check at intervals that its commits are acknowledged."""
        while True:
            delay = self._state.timings.semi_sync_check if self._watching else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._watch_changed.wait()
            self._watch_changed.clear()
            with contextlib.suppress(MysqlError):
                if self._watching and await self._server.semi_sync_wait_sessions():
                    await self._write_until_acknowledged()
            self._unblocked.set()

    async def _write_until_acknowledged(self) -> None:
        """Write heartbeats, each in a session of its own, until no commit waits for an acknowledgement."""
        self._unblocked.clear()
        writers = OwnedTasks()
        try:
            while self._watching and await self._server.semi_sync_wait_sessions():
                if not self._stuck.locked():
                    writers.start(self._write(), "semi-sync heartbeat")
                await asyncio.sleep(self._state.timings.semi_sync_write)
        finally:
            await writers.close()

    async def _write(self) -> None:
        async with self._stuck:
            await self._server.write_semi_sync_heartbeat(self._state.sidecar)
