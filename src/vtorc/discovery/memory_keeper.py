"""Keeps what vtorc remembers of shards where a restart does not reach it, and gives it back to the next process."""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory, is_due_at_once, is_due_soon
from vtorc.core.facts.tablet_memory import TabletMemory
from vtorc.discovery.lateness import OnTimeClock


class KeepTime(Enum):
    """How soon what was learnt of a shard is kept."""

    AT_ONCE = "at once"
    SOON = "soon"
    LATER = "later"


KEEP_WITHIN: Mapping[KeepTime, float] = {KeepTime.AT_ONCE: 0.0, KeepTime.SOON: 3.0, KeepTime.LATER: 15.0}
"""Seconds within which what was learnt is kept, with all other shards that wait as long.

`LATER` is for times at which the same was seen once more, which is all that an idle cluster has to tell. It stays below
`LONGEST_GAP`: a vtorc that was killed, and is back within five seconds, still knows what all tablets were meanwhile.
"""


def keep_time(before: TabletMemory, after: TabletMemory) -> KeepTime:
    """Return how soon what was learnt of a tablet is kept."""
    if is_due_at_once(before, after):
        return KeepTime.AT_ONCE
    return KeepTime.SOON if is_due_soon(before, after) else KeepTime.LATER


class ShardMemoryStore(Protocol):
    """A place that outlives the process."""

    def save(self, shard: ShardId, memory: ShardMemory) -> None:
        """Keep the memory of a shard in place of its earlier one; returns at once, and raises nothing."""
        ...

    def forget(self, shard: ShardId) -> None:
        """Remove the memory of a shard; returns at once, and raises nothing."""
        ...


class MemoryKeeper:
    """Hands the memory of shards to a store. News that is due at once goes in the same turn of the event loop, all else
    with all other shards every few seconds.
    """

    def __init__(self, store: ShardMemoryStore, stored: Mapping[ShardId, ShardMemory]) -> None:
        """`stored` is what the process before left."""
        self._store = store
        self._stored = dict(stored)
        self._waiting: dict[KeepTime, dict[ShardId, Callable[[], ShardMemory]]] = {each: {} for each in KeepTime}
        self._timers: dict[KeepTime, asyncio.TimerHandle] = {}

    def recall(self, shard: ShardId, clock: OnTimeClock) -> Mapping[TabletAlias, RememberedTablet]:
        """Return what is remembered of a shard, as it is worth now; nothing the second time.

        A shard may be watched long after vtorc has started: once the topology server answers, or once another vtorc
        that shares the shards is gone. The tablets may have been anything until then.
        """
        stored = self._stored.pop(shard, None)
        return stored.recalled(wall=clock.wall(), now=clock.now(), real=clock.real()) if stored is not None else {}

    def note(self, shard: ShardId, memory: Callable[[], ShardMemory], keep_time: KeepTime) -> None:
        """Note that something was learnt of a shard; `memory` returns all that is remembered when it is kept."""
        self._waiting[keep_time][shard] = memory
        if keep_time not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[keep_time] = loop.call_later(KEEP_WITHIN[keep_time], self._keep, keep_time)

    def forget(self, shard: ShardId) -> None:
        """Forget a shard that does not exist any more."""
        self._drop(shard)
        self._store.forget(shard)

    def close(self) -> None:
        """Keep all that was learnt so far."""
        for timer in self._timers.values():
            timer.cancel()
        for keep_time in KeepTime:
            self._keep(keep_time)

    def _keep(self, keep_time: KeepTime) -> None:
        self._timers.pop(keep_time, None)
        for shard, memory in list(self._waiting[keep_time].items()):
            self._drop(shard)
            self._store.save(shard, memory())

    def _drop(self, shard: ShardId) -> None:
        for waiting in self._waiting.values():
            waiting.pop(shard, None)
