"""The disk below a simulated server, and the writes that wait for it."""

import asyncio
import enum
import errno
from collections.abc import Callable
from typing import Any

from vtorc.sim.engine.process import Life
from vtorc.sim.mysql.mysqld_process import MysqldProcess, resolve


class DiskState(enum.Enum):
    """The state of the disk that holds binary log and relay log."""

    FINE = "fine"
    STALLED = "stalled"
    FULL_WAITING = "full, writers wait for space"
    FULL_FAILING = "full, writers fail"

    @property
    def holds_up(self) -> bool:
        """Whether a write neither succeeds nor fails."""
        return self in (DiskState.STALLED, DiskState.FULL_WAITING)


class SimDisk:
    """The disk of one server."""

    def __init__(self, mysqld: MysqldProcess) -> None:
        self._mysqld = mysqld
        self._held_up: list[tuple[Life, Callable[..., None], tuple[Any, ...]]] = []
        self._probes: list[asyncio.Future[None]] = []
        self.state = DiskState.FINE

    def hold_up(self, callback: Callable[..., None], *args: Any) -> bool:
        """Return whether the disk keeps this write waiting; if so, `callback` is called once the disk goes on."""
        if not self.state.holds_up:
            return False
        self._held_up.append((self._mysqld.life, callback, args))
        return True

    def become(self, state: DiskState) -> None:
        """Change the state; held-up writes go on in their order if the new state lets them."""
        self.state = state
        if not state.holds_up:
            held_up, self._held_up = self._held_up, []
            for life, callback, args in held_up:
                self._mysqld.in_life(life, callback, args)
        if state is not DiskState.STALLED:
            probes, self._probes = self._probes, []
            for answered in probes:
                resolve(answered, None)

    async def probe(self) -> None:
        """Write a file, as vttablet's disk monitor does: hangs on a stalled disk, raises OSError on a full one."""
        while self.state is DiskState.STALLED:
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._probes.append(answered)
            await answered
        if self.state is not DiskState.FINE:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def wait_ready(self) -> None:
        """Wait until the disk lets writes go on."""
        if not self.state.holds_up:
            return
        passed: asyncio.Future[None] = self._mysqld.new_wait()
        self.hold_up(resolve, passed, None)
        await self._mysqld.wait(passed)

    def forget(self) -> None:
        """Drop held-up writes, as a crash does."""
        self._held_up.clear()
