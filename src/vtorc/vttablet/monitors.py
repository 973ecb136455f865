"""What a tablet notices by itself: that its MySQL server went away or came back, and that its disk hangs.

Vitess: `go/vt/vttablet/tabletserver/state_manager.go` (a lost server stops serving at once when there is traffic),
`go/vt/vttablet/tabletmanager/disk_health_monitor.go`.
"""

import asyncio
import contextlib

from vtorc.errors import MysqlError
from vtorc.vttablet.config import AgentTimings, DiskProbe
from vtorc.vttablet.state import TabletState


class MysqlMonitor:
    """Follows whether the MySQL server answers, and tells the state of the tablet."""

    def __init__(self, state: TabletState) -> None:
        self._state = state
        self._server = state.server

    async def wait_up(self) -> None:
        """Wait until the server answers."""
        while True:
            try:
                await self._server.server_uuid()
            except MysqlError:
                await asyncio.sleep(self._state.timings.mysql_poll)
            else:
                self._state.set_mysql_up(True)
                return

    async def run(self) -> None:
        """Follow the server until cancelled; nothing is repaired, as vttablet repairs nothing."""
        while True:
            await self.wait_up()
            with contextlib.suppress(MysqlError):  # it may go between the two questions
                await self._server.wait_gone()
            self._state.set_mysql_up(False)


class DiskMonitor:
    """Writes to the disk now and then, and calls it stalled while a write takes too long."""

    def __init__(self, probe: DiskProbe | None, timings: AgentTimings) -> None:
        self._probe = probe
        self._timings = timings
        self.stalled = False

    async def run(self) -> None:
        """Probe until cancelled; at most one write is under way."""
        while self._probe is not None:
            writing = asyncio.ensure_future(self._probe())
            try:
                done, _ = await asyncio.wait({writing}, timeout=self._timings.disk_deadline)
                self.stalled = not done
                await asyncio.wait({writing})
            finally:
                writing.cancel()
            self.stalled = writing.exception() is not None
            await asyncio.sleep(self._timings.disk_check)
