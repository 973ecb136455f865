"""The history file as the server reads it: in a thread, so that a slow disk delays no other answer."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from vtorc.errors import HistoryError
from vtorc.history.reader import HistoryReader
from vtorc.server.memory import ServerMemory

MOST_READERS = 4
"""Most answers that are read from the file at a time; others wait."""

T = TypeVar("T")


class HistoryFile:
    """The history file of the vtorc that a memory is about."""

    def __init__(self, memory: ServerMemory) -> None:
        self._memory = memory
        self._readers = asyncio.Semaphore(MOST_READERS)

    @property
    def path(self) -> str:
        """Its path; empty if there is none."""
        return self._memory.status.history_file if self._memory.status is not None else ""

    async def read(self, work: Callable[[HistoryReader], T]) -> T:
        """Return what `work` reads in a thread; raises HistoryError."""
        path = self.path
        if not path:
            raise HistoryError("vtorc keeps no history: --log-dir or --sqlite-data-file gives it a place")

        def run() -> T:
            with closing(HistoryReader(path)) as history:
                return work(history)

        async with self._readers:
            return await asyncio.to_thread(run)
