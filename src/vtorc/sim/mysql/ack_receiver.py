"""The thread of a semi-sync source that receives acknowledgements, and the time that it takes to stop it.

It waits for its connections up to a second at a time, and looks only in between whether it should stop. Switching the
source side off waits for that, and holds up all who read or set variables of the server (seen with MySQL 9.7).
"""

import asyncio

from vtorc.sim.mysql.mysqld_process import MysqldProcess, resolve

LOOKS_UP_EVERY = 1.0
"""Seconds for which the thread waits for its connections at a time."""


class AckReceiver:
    """The receiver of one server."""

    def __init__(self, mysqld: MysqldProcess) -> None:
        self._mysqld = mysqld
        self._looked_up_at = 0.0
        self._waiting: list[asyncio.Future[None]] | None = None  # for the thread to stop; None unless it is to

    @property
    def is_stopping(self) -> bool:
        """Whether the server waits for the thread to stop."""
        return self._waiting is not None

    def look_up(self) -> None:
        """Let the thread look up: it began, an acknowledgement came, or a connection closed."""
        self._looked_up_at = self._mysqld.loop.time()
        if self._waiting is not None:
            self._stopped(self._waiting)

    def closed(self, *, joined_at: float) -> None:
        """Let the thread look up for a connection that closed, unless it has not looked up since that was made."""
        if joined_at <= self._last_look:
            self.look_up()

    def stop(self, *, ackers: int) -> None:
        """Begin to stop the thread; with no acker connected it stops at once."""
        if ackers and not self.is_stopping:
            self._waiting = []
            rest = self._last_look + LOOKS_UP_EVERY - self._mysqld.loop.time()
            self._mysqld.later(rest, self._stopped, self._waiting)

    async def wait_stopped(self) -> None:
        """Wait while the server waits for the thread to stop; raises MysqlError 2013 if the process ends."""
        while self._waiting is not None:
            stopped: asyncio.Future[None] = self._mysqld.new_wait()
            self._waiting.append(stopped)
            await self._mysqld.wait(stopped)

    def forget(self) -> None:
        """Forget the thread, as a crash does."""
        self._waiting = None

    @property
    def _last_look(self) -> float:
        """When the thread last looked up: at least once in LOOKS_UP_EVERY seconds."""
        now = self._mysqld.loop.time()
        return now - (now - self._looked_up_at) % LOOKS_UP_EVERY

    def _stopped(self, waiting: list[asyncio.Future[None]]) -> None:
        if waiting is self._waiting:
            self._waiting = None
            for each in waiting:
                resolve(each, None)
