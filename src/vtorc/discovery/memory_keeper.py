"""Keeps what vtorc remembers of shards where a restart does not reach it, and gives it back to the next process."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory

KEEP_EVERY = 3.0
"""Seconds between two times at which all shards are kept of which something was learnt."""


class ShardMemoryStore(Protocol):
    """A place that outlives the process."""

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        """Keep the memory of a shard in place of its earlier one; returns at once, and raises nothing."""
        ...

    def forget(self, shard: ShardId) -> None:
        """Remove the memory of a shard; returns at once, and raises nothing."""
        ...


class MemoryKeeper:
    """Hands the memory of shards to a store: what is due at once in the same turn of the event loop, all else with all
    other shards every few seconds.
    """

    def __init__(
        self, store: ShardMemoryStore, recalled: Mapping[ShardId, Mapping[TabletAlias, RememberedTablet]]
    ) -> None:
        """`recalled` is what the process before left, as it is worth now."""
        self._store = store
        self._recalled = dict(recalled)
        self._changed: dict[ShardId, Callable[[], ShardMemory]] = {}
        self._due: dict[ShardId, Callable[[], ShardMemory]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def recall(self, shard: ShardId) -> Mapping[TabletAlias, RememberedTablet]:
        """Return what is remembered of a shard; nothing the second time, as it is old by then."""
        return self._recalled.pop(shard, {})

    def note(self, shard: ShardId, memory: Callable[[], ShardMemory], *, at_once: bool) -> None:
        """Note that something was learnt of a shard; `memory` returns all that is remembered when it is kept."""
        loop = asyncio.get_running_loop()
        if at_once:
            if not self._due:
                loop.call_soon(self._keep_due)
            self._due[shard] = memory
            return
        self._changed[shard] = memory
        if self._timer is None:
            self._timer = loop.call_later(KEEP_EVERY, self._keep_changed)

    def forget(self, shard: ShardId) -> None:
        """Forget a shard that does not exist any more."""
        self._changed.pop(shard, None)
        self._due.pop(shard, None)
        self._store.forget(shard)

    def close(self) -> None:
        """Keep all that was learnt so far."""
        if self._timer is not None:
            self._timer.cancel()
        self._keep_due()
        self._keep_changed()

    def _keep_due(self) -> None:
        due, self._due = self._due, {}
        self._keep(due)

    def _keep_changed(self) -> None:
        changed, self._changed = self._changed, {}
        self._timer = None
        self._keep(changed)

    def _keep(self, memories: Mapping[ShardId, Callable[[], ShardMemory]]) -> None:
        for shard, memory in memories.items():
            self._changed.pop(shard, None)
            self._store.save(shard, memory())
