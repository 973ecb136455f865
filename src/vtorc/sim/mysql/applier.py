"""The applier (SQL thread) of a replica: commits the transactions of the relay log in their order."""

import asyncio
from collections import deque

from vtorc.core.facts.gtid import GtidSet
from vtorc.sim.mysql.binlog import Transaction
from vtorc.sim.mysql.mysqld_process import resolve
from vtorc.sim.mysql.replica_server import ReplicaServer

_BATCH = 64


class Applier:
    """One SQL thread.

    `slowness` stretches its work, `delay` is SOURCE_DELAY in seconds, `broken` makes its next step fail. While `locked`
    it waits for a lock that another session holds, such as the metadata lock of a table. A `damaged` relay log stops it
    until the relay log is dropped.
    """

    def __init__(self, server: ReplicaServer, relay: "deque[Transaction]") -> None:
        self._server = server
        self._relay = relay
        self.running = False
        self.error = ""
        self.broken = False
        self.locked = False
        self.damaged = False
        self.slowness = 1.0
        self.delay = 0.0
        self._until: GtidSet | None = None
        self._step = 0
        self._working = False
        self._committing = 0
        self._held_up = False
        self._stopped: list[asyncio.Future[None]] = []

    def start(self, until: GtidSet | None) -> None:
        """Start applying; with `until`, stop once those transactions are executed."""
        self.running = True
        self.error = ""
        self._until = until
        self.kick()

    async def stop(self) -> None:
        """Stop applying: roll back what is being applied, and wait for what is being committed."""
        self.running = False
        if not self._committing and not (self._held_up and self._server.disk.state.holds_up):
            self._abandon()
            return
        stopped: asyncio.Future[None] = self._server.new_wait()
        self._stopped.append(stopped)
        await self._server.wait(stopped)

    def crashed(self) -> None:
        """Stop without waiting, as the process has ended."""
        self.running = False
        self._abandon()
        self._committing = 0
        self._stopped.clear()

    def kick(self) -> None:
        """Begin to apply the next batch, if there is one and none is being applied."""
        if not self.running or self._working or self.locked or self._reached():
            return
        while self._relay and self._server.executed.has(self._relay[0].series, self._relay[0].number):
            self._relay.popleft()
        if not self._relay:
            return
        self._working = True
        batch = min(len(self._relay), _BATCH) if self.delay == 0 and self._until is None else 1
        work = self._server.duration(self._server.settings.apply, factor=self.slowness) * batch
        due = self._relay[0].at + self.delay - self._server.loop.time()
        self._server.later(max(work, due), self._apply, self._step, batch)

    def unlock(self) -> None:
        """Go on, as the lock is free."""
        self.locked = False
        self.kick()

    def delay_by(self, seconds: float) -> None:
        """Set SOURCE_DELAY; it holds for what is applied from now on."""
        self.delay = seconds
        if self._working and not self._committing:
            self._abandon()
            self.kick()

    def _abandon(self) -> None:
        self._step += 1
        self._working = self._held_up = False

    def _reached(self) -> bool:
        if self._until is not None and self._until.is_subset_of(self._server.executed.value):
            self.running = False
            self._until = None
            return True
        return False

    def _apply(self, step: int, batch: int) -> None:
        """Write a batch to this server's binary log and commit it."""
        if step != self._step:
            return
        if self.damaged:
            self.running = self._working = False
            self.error = "Relay log read failure: Could not parse relay log event entry"
            return
        if self.broken:
            self.running = self._working = False
            self.error = f"Could not execute Write_rows event; handler error HA_ERR_FOUND_DUPP_KEY; {self._relay[0]!r}"
            return
        if self.locked:
            self._working = False
            return
        self._held_up = self._server.disk.hold_up(self._apply, step, batch)
        if self._held_up:
            return
        if not self.running:
            self._abandon()
            self._tell_stopped()
            return
        self._committing = batch
        for transaction in [self._relay[place] for place in range(batch)]:
            self._server.commit_applied(transaction, lambda each=transaction: self._committed(each))  # type: ignore[misc]

    def _committed(self, transaction: Transaction) -> None:
        if self._relay and self._relay[0] is transaction:
            self._relay.popleft()
        self._committing -= 1
        if self._committing:
            return
        self._working = False
        if self.running:
            self.kick()
        self._tell_stopped()

    def _tell_stopped(self) -> None:
        stopped, self._stopped = self._stopped, []
        for future in stopped:
            resolve(future, None)
