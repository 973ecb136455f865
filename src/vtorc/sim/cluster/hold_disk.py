"""The holds on the disk of a simulated vtorc's host, which outlive the process."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from vtorc.core.facts.holds import Hold
from vtorc.errors import OrdersFileError
from vtorc.sim.cluster.memory_disk import WRITTEN_AFTER
from vtorc.sim.engine.process import Life


class HoldDisk:
    """The holds of one vtorc, as they are on its disk."""

    def __init__(self) -> None:
        self.holds: dict[int, Hold] = {}
        """By number."""
        self.last = 0
        """The number of the latest hold that was ever written."""

    def opened_by(self, life: Life) -> "OpenHoldDisk":
        """Return the disk as a running process writes to it."""
        return OpenHoldDisk(self, life)


class OpenHoldDisk:
    """Keeps holds for one life of a vtorc process; implements `vtorc.control.hold_book.HoldStore`."""

    is_lasting = True

    def __init__(self, disk: HoldDisk, life: Life) -> None:
        self._disk = disk
        self._life = life

    async def read(self) -> Sequence[Hold]:
        """Return all holds by number."""
        return list(self._disk.holds.values())

    async def change(self, *, add: Sequence[Hold], remove: Collection[int]) -> Sequence[int]:
        """Write a change a moment later, and return then; a process that is killed before has written nothing."""
        await asyncio.sleep(WRITTEN_AFTER)
        if not self._life.alive:
            raise OrdersFileError("the process has ended")
        for number in remove:
            self._disk.holds.pop(number, None)
        numbers = []
        for hold in add:
            self._disk.last += 1
            self._disk.holds[self._disk.last] = replace(hold, number=self._disk.last)
            numbers.append(self._disk.last)
        return numbers
