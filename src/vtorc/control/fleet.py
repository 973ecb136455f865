"""All shards of the cluster: starts a loop for each that appears, ends those that go, and stops them in order."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from vtorc.control.breaker import HOLD_NOTHING, Breaker
from vtorc.control.budget import BudgetLimits, FleetBudget
from vtorc.control.observer import Observer, TopologyObserver
from vtorc.control.scope import Scope
from vtorc.control.shard_loop import DecisionSettings, ShardLoop
from vtorc.core.facts.ids import ShardId
from vtorc.discovery.probe import ProbePace
from vtorc.discovery.signals import Sentinel
from vtorc.discovery.topology import TopologyReading, read_topology, watch_topology
from vtorc.discovery.watch import ShardTopology, ShardWatch
from vtorc.errors import TopoError
from vtorc.recovery.session import RecoveryTools


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    """The fleet's settings, read each time they are needed so that a reload takes effect."""

    scope: Scope
    decisions: DecisionSettings
    pace: ProbePace
    refresh_every: float = 15.0
    """Seconds between two readings of the topology server."""
    shutdown_wait: float = 30.0
    """Seconds that recoveries under way get to end when vtorc stops."""
    budget: BudgetLimits = field(default_factory=BudgetLimits)
    hold_above: int = HOLD_NOTHING
    """Percent of the shards."""


class Fleet:
    """The loops of all shards."""

    def __init__(
        self,
        tools: RecoveryTools,
        settings: Callable[[], FleetSettings],
        observer: Observer,
        *,
        sentinel: Sentinel | None = None,
        topology_observer: TopologyObserver | None = None,
    ) -> None:
        self._tools = tools
        self._settings = settings
        self._observer = observer
        self._sentinel = sentinel
        self._topology_observer = topology_observer
        self._stop = asyncio.Event()
        self._reread = asyncio.Event()
        self._tasks: dict[ShardId, asyncio.Task[None]] = {}
        self.loops: dict[ShardId, ShardLoop] = {}
        self._topo_failures: tuple[str, ...] = ()
        self.budget = FleetBudget(lambda: settings().budget, tools.clock.now)
        self._breaker = Breaker(
            now=tools.clock.now,
            shards=lambda: len(self.loops),
            hold_above=lambda: settings().hold_above,
            announce=observer.announced,
        )

    async def run(self) -> None:
        """Manage the cluster until `stop` is called or it is cancelled.

        Recoveries under way then end first, or are rolled back.
        """
        async with asyncio.TaskGroup() as group:
            signals = group.create_task(watch_topology(self._tools.topo, self._reread.set), name="watch topology")
            reading = group.create_task(self._read_for_ever(group), name="read topology")
            await self._stop.wait()
            signals.cancel()
            reading.cancel()
            await self._stop_loops()

    def stop(self) -> None:
        """Begin no more recoveries, let those under way end, then return from `run`."""
        self._stop.set()

    async def _stop_loops(self) -> None:
        for loop in self.loops.values():
            loop.stop()
        tasks = list(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._settings().shutdown_wait)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_for_ever(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._reread.clear()
            took = await self._read_once(group)
            try:
                async with asyncio.timeout(self._settings().refresh_every):
                    await self._reread.wait()
            except TimeoutError:
                continue
            # Changes come in bursts, and reading a large cluster must leave time for other work.
            await asyncio.sleep(max(0.02, 4 * took))

    async def _read_once(self, group: asyncio.TaskGroup) -> float:
        started = self._tools.clock.now()
        try:
            topology = await read_topology(self._tools.topo, self._tools.clock)
        except TopoError as error:
            self._note_failures((str(error),))
            return self._tools.clock.now() - started
        self._note_failures(topology.failures)
        self._apply(group, topology)
        return self._tools.clock.now() - started

    def _note_failures(self, failures: tuple[str, ...]) -> None:
        if failures != self._topo_failures and self._topology_observer is not None:
            self._topology_observer.unread(failures)
        self._topo_failures = failures

    def _apply(self, group: asyncio.TaskGroup, topology: TopologyReading) -> None:
        scope = self._settings().scope
        for shard, reading in sorted(topology.shards.items(), key=lambda item: str(item[0])):
            loop = self.loops.get(shard)
            if loop is not None:
                loop.update(reading, controlled=scope.covers(shard))
            else:
                self._add(group, shard, reading, controlled=scope.covers(shard))
        for shard in sorted(self.loops.keys() - topology.shards.keys(), key=str):
            # Gone only if its keyspace could be read: a reading that failed proves nothing.
            if shard.keyspace not in topology.unread_keyspaces:
                self._remove(shard)

    def _add(self, group: asyncio.TaskGroup, shard: ShardId, reading: ShardTopology, *, controlled: bool) -> None:
        watch = ShardWatch(
            shard,
            reading,
            self._tools.tablets,
            self._tools.clock,
            lambda: self._settings().pace,
            sentinel=self._sentinel,
        )
        loop = ShardLoop(
            watch,
            self._tools,
            lambda: self._settings().decisions,
            self._observer,
            controlled=controlled,
            budget=self.budget,
            breaker=self._breaker,
        )
        self.loops[shard] = loop
        self._tasks[shard] = group.create_task(loop.run(), name=f"shard {shard}")
        if self._topology_observer is not None:
            self._topology_observer.found(shard, tablets=len(reading.tablets), controlled=controlled)

    def _remove(self, shard: ShardId) -> None:
        del self.loops[shard]
        self._tasks.pop(shard).cancel()
        self._breaker.forget(shard)
        if self._topology_observer is not None:
            self._topology_observer.gone(shard)
