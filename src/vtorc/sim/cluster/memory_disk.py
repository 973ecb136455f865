"""The disk of a simulated vtorc's host, with what vtorc remembers; it outlives the process, and may be lost."""

import asyncio
from collections.abc import Callable

from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.remembered import ShardMemory
from vtorc.sim.engine.process import Life

WRITTEN_AFTER = 0.01
"""Seconds until what is saved is on the disk; a process that is killed before has lost it."""


class MemoryDisk:
    """The memories of one vtorc's shards, as they are on its disk."""

    def __init__(self) -> None:
        self._shards: dict[ShardId, ShardMemory] = {}

    def lose(self) -> None:
        """Lose all of it, as with a new machine."""
        self._shards.clear()

    def read(self) -> dict[ShardId, ShardMemory]:
        """Return what is on the disk, through the form that it has in the file."""
        return {shard: ShardMemory.from_text(memory.as_text()) for shard, memory in self._shards.items()}

    def opened_by(self, life: Life) -> "OpenMemoryDisk":
        """Return the disk as a running process writes to it."""
        return OpenMemoryDisk(self._shards, life)


class OpenMemoryDisk:
    """Writes for one life of a vtorc process; implements `vtorc.discovery.memory_keeper.ShardMemoryStore`."""

    def __init__(self, shards: dict[ShardId, ShardMemory], life: Life) -> None:
        self._shards = shards
        self._life = life

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        """Write the memory of a shard a moment later."""
        self._soon(lambda: self._shards.update({shard: memory}))

    def forget(self, shard: ShardId) -> None:
        """Remove the memory of a shard a moment later."""
        self._soon(lambda: self._shards.pop(shard, None))

    def _soon(self, write: Callable[[], object]) -> None:
        def if_alive() -> None:
            if self._life.alive:
                write()

        if self._life.alive:
            asyncio.get_running_loop().call_later(WRITTEN_AFTER, if_alive)
