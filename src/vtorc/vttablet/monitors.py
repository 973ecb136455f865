"""Watches whether the MySQL server answers, and whether the disk hangs.

Vitess: `go/vt/vttablet/tabletserver/state_manager.go`, `go/vt/vttablet/tabletmanager/disk_health_monitor.go`. Under
traffic, a vttablet stops serving at once when its server is lost.
"""

import asyncio
import contextlib

from vtorc.errors import MysqlError
from vtorc.vttablet.config import AgentTimings, DiskProbe
from vtorc.vttablet.state import TabletState


class MysqlMonitor:
    """Watches whether the MySQL server answers, and enters that into the tablet's state."""

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
        """Watch the server until cancelled; like vttablet it repairs nothing."""
        while True:
            await self.wait_up()
            with contextlib.suppress(MysqlError):  # the server may end between the two calls
                await self._server.wait_gone()
            self._state.set_mysql_up(False)


class DiskMonitor:
    """Writes to the disk at intervals; the disk counts as stalled while a write takes too long."""

    def __init__(self, probe: DiskProbe | None, timings: AgentTimings) -> None:
        self._probe = probe
        self._timings = timings
        self.stalled = False

    async def run(self) -> None:
        """Probe until cancelled, with at most one write under way."""
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
