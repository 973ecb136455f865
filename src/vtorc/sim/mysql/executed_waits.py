"""Statements that wait until the server has executed certain transactions."""

import asyncio

from vtorc.core.facts.gtid import GtidSet
from vtorc.sim.mysql.gtids import GtidLog
from vtorc.sim.mysql.mysqld_process import MysqldProcess, resolve


class ExecutedWaits:
    """The sessions of one server in WAIT_FOR_EXECUTED_GTID_SET."""

    def __init__(self, mysqld: MysqldProcess) -> None:
        self._mysqld = mysqld
        self._waiting: list[tuple[GtidSet, asyncio.Future[None]]] = []

    async def wait(self, position: GtidSet) -> None:
        """Wait until a `wake` whose transactions include all of `position`."""
        reached: asyncio.Future[None] = self._mysqld.new_wait()
        entry = (position, reached)
        self._waiting.append(entry)
        try:
            await self._mysqld.wait(reached)
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def wake(self, executed: GtidLog) -> None:
        """Wake the sessions whose transactions are all among the executed ones."""
        if self._waiting:
            value = executed.value
            for position, reached in self._waiting:
                if position.is_subset_of(value):
                    resolve(reached, None)

    def forget(self) -> None:
        """Forget all sessions, as a crash does."""
        self._waiting.clear()
