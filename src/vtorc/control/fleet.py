"""All shards of the cluster: starts a loop for each that appears, ends those that go, and stops them in order."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vtorc.control.breaker import HOLD_NOTHING, Breaker
from vtorc.control.budget import BudgetLimits, FleetBudget
from vtorc.control.hold_book import HoldBook, HoldChange, HoldNews, PassingHolds
from vtorc.control.observer import Announcement, Observer, TopologyObserver, lateness_announcement
from vtorc.control.scope import Scope
from vtorc.control.shard_loop import DecisionSettings, ShardLoop
from vtorc.control.shares import Part
from vtorc.control.sharing import ShardSharing
from vtorc.core.facts.holds import Purpose
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.remembered import RememberedTablet
from vtorc.core.facts.rules import Rule
from vtorc.discovery.memory_keeper import MemoryKeeper
from vtorc.discovery.probe_budget import ProbeBudget
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.signals import Sentinel
from vtorc.discovery.slow_down import LatenessNews, SlowDown
from vtorc.discovery.topology import TopologyReading, read_topology, watch_topology
from vtorc.discovery.watch import ShardWatch
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


FIRST_REST = 1.0
"""Seconds until a shard that failed is watched anew; doubled each time that it fails again, up to `LONGEST_REST`."""

LONGEST_REST = 60.0
"""Seconds that a rest grows to; a shard that ran as long without failing begins with `FIRST_REST` again."""

_LATE_READING = 0.5
"""Seconds by which vtorc must be late in a reading of the topology for its failures to be void."""

_MOST_VOID_READINGS = 3
"""Readings in a row with failures that are void because vtorc was late; the next one counts."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """The rest of a shard that failed, in seconds on the clock."""

    ends_at: float
    length: float

    @classmethod
    def after(cls, before: "_Rest | None", now: float) -> "_Rest":
        """Return the rest of a shard that failed now, and before that had the rest `before`."""
        fails_again = before is not None and now - before.ends_at < LONGEST_REST
        length = min(LONGEST_REST, 2 * before.length) if before is not None and fails_again else FIRST_REST
        return cls(now + length, length)


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
        keeper: MemoryKeeper | None = None,
        holds: HoldBook | None = None,
        sharing: ShardSharing | None = None,
    ) -> None:
        """Honour the holds of `holds`; if None, the fleet keeps a book of its own for as long as it lives.

        With `sharing` it watches only the shards in which this vtorc has a part.
        """
        self._tools = tools
        self._settings = settings
        self._observer = observer
        self._sentinel = sentinel
        self._topology_observer = topology_observer
        self._keeper = keeper
        self.sharing = sharing
        """How the shards are shared with other vtorcs; None if they are not."""
        self._stop = asyncio.Event()
        self._reread = asyncio.Event()
        self._tasks: dict[ShardId, asyncio.Task[None]] = {}
        self.loops: dict[ShardId, ShardLoop] = {}
        self._rests: dict[ShardId, _Rest] = {}
        self._resting: set[ShardId] = set()
        self._left: dict[ShardId, Mapping[TabletAlias, RememberedTablet]] = {}
        self._topo_failures: tuple[str, ...] = ()
        self._shards_known: int | None = None
        self._slow_down = SlowDown(self._tell_lateness)
        self.probes = ProbeBudget(tools.clock.now, drag=lambda: self._slow_down.drag)
        self.budget = FleetBudget(self._budget_limits, tools.clock.now)
        self._breaker = Breaker(
            now=tools.clock.now,
            shards=lambda: len(self.loops),
            hold_above=lambda: settings().hold_above,
            announce=observer.announced,
        )
        self.holds = holds if holds is not None else HoldBook(PassingHolds(), tools.clock)
        """The holds of operators."""
        self.holds.listen(self._note_hold)

    @property
    def tools(self) -> RecoveryTools:
        """The tools of all recoveries."""
        return self._tools

    def _note_hold(self, news: HoldNews) -> None:
        """Let the shards be judged again that a hold is about, and announce the switch that stops all recoveries."""
        for shard, loop in self.loops.items():
            if news.hold.scope.concerns(shard, loop.watch.aliases):
                loop.watch.note_holds()
        if news.hold.purpose is not Purpose.SWITCH or news.change is HoldChange.REPLACED:
            return
        if news.change.is_end:
            why = f"{news.asked.actor} allowed them: {news.asked.reason}" if news.asked is not None else news.sentence
            told = Announcement(f"recoveries may begin again: {why}", Rule.RECOVERIES_STOPPED, is_end=True)
        else:
            told = Announcement(f"no recovery begins: {news.hold.sentence}", Rule.RECOVERIES_STOPPED)
        self._observer.announced(told)

    async def run(self) -> None:
        """Manage the cluster until `stop` is called or it is cancelled.

        Recoveries under way then end first, or are rolled back.
        """
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._tools.clock.run(self._slow_down.beat), name="beat")
            signals = group.create_task(watch_topology(self._tools.topo, self._reread.set), name="watch topology")
            reading = group.create_task(self._read_for_ever(group), name="read topology")
            sharing = group.create_task(self._share(), name="share shards")
            await self._stop.wait()
            for task in (signals, reading, sharing):
                task.cancel()
            if self.sharing is not None:
                await self.sharing.leave()
            await self._stop_loops()
            beat.cancel()

    async def _share(self) -> None:
        if self.sharing is not None:
            await self.sharing.run(self._reread.set)

    @property
    def shards_watched(self) -> int | None:
        """How many shards are watched; None until the topology server was read once."""
        return len(self.loops) if self._shards_known is not None else None

    @property
    def shards_known(self) -> int | None:
        """How many shards the topology server has; None until it was read once."""
        return self._shards_known

    @property
    def shared_among(self) -> tuple[str, ...]:
        """The names of the vtorcs that share the shards, this one included; empty if they are not shared."""
        return self.sharing.vtorcs if self.sharing is not None else ()

    @property
    def is_recovering(self) -> bool:
        """Whether any recovery is under way."""
        return any(loop.under_way is not None for loop in self.loops.values())

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
        if self.sharing is not None:
            await self.sharing.beat()  # otherwise vtorc would begin to watch every shard
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
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            topology = await self._read_while_on_time()
        except TopoError as error:
            self._note_failures((str(error),))
            return loop.time() - started
        self._note_failures(topology.failures)
        self._apply(group, topology)
        self._shards_known = len(topology.shards)
        if not topology.failures and self._topology_observer is not None:
            self._topology_observer.read(topology.shards)
        return loop.time() - started

    async def _read_while_on_time(self) -> TopologyReading:
        """Read the topology; raises TopoError.

        A reading with failures is made again if vtorc was late meanwhile, up to three times. A topology server would
        else be told as silent, because its answer is read too late.
        """
        clock = self._tools.clock
        for _ in range(_MOST_VOID_READINGS):
            late_before = clock.late
            try:
                reading = await read_topology(self._tools.topo, clock)
            except TopoError:
                if clock.late - late_before < _LATE_READING:
                    raise
                continue
            if not reading.failures or clock.late - late_before < _LATE_READING:
                return reading
        return await read_topology(self._tools.topo, clock)

    def _pace(self) -> ProbePace:
        pace, slow = self._settings().pace.for_primaries(len(self.loops)), self._slow_down
        return pace if slow.is_on_time else pace.when_late(factor=slow.factor, drag=slow.drag)

    def _budget_limits(self) -> BudgetLimits:
        """Return fewer recoveries at a time while vtorc is late: each then ends within its deadlines."""
        return self._settings().budget.divided_by(self._slow_down.factor)

    def _tell_lateness(self, news: LatenessNews) -> None:
        self._observer.announced(lateness_announcement(news))

    def _note_failures(self, failures: tuple[str, ...]) -> None:
        if failures != self._topo_failures and self._topology_observer is not None:
            self._topology_observer.unread(failures)
        self._topo_failures = failures

    def _apply(self, group: asyncio.TaskGroup, topology: TopologyReading) -> None:
        scope = self._settings().scope
        for shard, reading in sorted(topology.shards.items(), key=lambda item: str(item[0])):
            if shard in self._resting:
                continue
            if self.sharing is not None and self.sharing.part_in(shard) is Part.NEITHER:
                self._hand_over(shard, self.sharing.order_for(shard))
                continue
            try:
                self._watch(group, shard, reading, controlled=scope.covers(shard))
            except Exception as error:
                self._set_aside(shard, error)
        watched = self.loops.keys() | self._rests.keys() | self._left.keys()
        for shard in sorted(watched - topology.shards.keys(), key=str):
            # Gone only if its keyspace could be read: a reading that failed proves nothing.
            if shard.keyspace not in topology.unread_keyspaces:
                self._remove(shard)

    def _watch(self, group: asyncio.TaskGroup, shard: ShardId, reading: ShardTopology, *, controlled: bool) -> None:
        loop = self.loops.get(shard)
        if loop is not None:
            loop.update(reading, controlled=controlled)
            return
        watch = ShardWatch(
            shard,
            reading,
            self._tools.tablets,
            self._tools.clock,
            self._pace,
            sentinel=self._sentinel,
            budget=self.probes,
            keeper=self._keeper,
            remembered=self._remembered(shard),
            holds=self.holds.on,
            standing=lambda records: self._settings().decisions.standing.on(records),
        )
        loop = ShardLoop(
            watch,
            self._tools,
            lambda: self._settings().decisions,
            self._observer,
            controlled=controlled,
            budget=self.budget,
            breaker=self._breaker,
            slowed_by=lambda: self._slow_down.factor,
            reason_to_wait=self.sharing.reason_to_wait if self.sharing is not None else None,
        )
        self.loops[shard] = loop
        self._tasks[shard] = group.create_task(self._run_loop(shard, loop), name=f"shard {shard}")
        if self._topology_observer is not None:
            self._topology_observer.found(shard, tablets=len(reading.tablets), controlled=controlled)

    def _remembered(self, shard: ShardId) -> Mapping[TabletAlias, RememberedTablet] | None:
        """Return the memory that the last watch of a shard left, aged by the time since; None before the first one."""
        left, now = self._left.get(shard), self._tools.clock.now()
        return None if left is None else {alias: each.after_gap(now) for alias, each in left.items()}

    async def _run_loop(self, shard: ShardId, loop: ShardLoop) -> None:
        """Run the loop of a shard, and contain what it raises.

        A mistake of vtorc in one shard once ended the daemon, and the failover of all other shards with it.
        """
        try:
            await loop.run()
        except Exception as error:
            if self.loops.get(shard) is loop:
                self._set_aside(shard, error)

    def _set_aside(self, shard: ShardId, error: Exception) -> None:
        """Tell that vtorc failed in a shard, and watch the shard anew after a rest.

        The memory of its tablets is kept: writes may depend on it, and the new watch would replace it in the memory
        file.
        """
        if (loop := self.loops.pop(shard, None)) is not None:
            self._left[shard] = loop.watch.memory().tablets
        task = self._tasks.pop(shard, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        rest = self._rests[shard] = _Rest.after(self._rests.get(shard), self._tools.clock.now())
        self._resting.add(shard)
        asyncio.get_running_loop().call_later(rest.length, self._end_rest, shard)
        self._observer.failed(shard, error, rest.length)

    def _end_rest(self, shard: ShardId) -> None:
        self._resting.discard(shard)
        self._reread.set()

    def _hand_over(self, shard: ShardId, to: tuple[str, ...]) -> None:
        """Stop watching a shard that other vtorcs watch, once nothing is under way in it.

        The memory of its tablets stays: this vtorc may have to take the shard back.
        """
        loop = self.loops.get(shard)
        if loop is None or loop.under_way is not None or loop.command is not None:
            return
        self._left[shard] = loop.watch.memory().tablets
        self._end_loop(shard, watched_by=to)

    def _remove(self, shard: ShardId) -> None:
        self._left.pop(shard, None)
        self._end_loop(shard)
        if self._keeper is not None:
            self._keeper.forget(shard)

    def _end_loop(self, shard: ShardId, *, watched_by: tuple[str, ...] = ()) -> None:
        had_rest, loop = self._rests.pop(shard, None), self.loops.pop(shard, None)
        self._resting.discard(shard)
        if (task := self._tasks.pop(shard, None)) is not None:
            task.cancel()
        self._breaker.forget(shard)
        if self._topology_observer is not None and (loop is not None or had_rest is not None):
            self._topology_observer.gone(shard, watched_by=watched_by)
