"""The age of the statuses of living tablets while others are dead: `python -m bench.probe_ages [--dead 200]`.

It runs the real watches and loops of a fleet in virtual time, with tablets that answer after two milliseconds, and
never once they are dead. Whatever slows statuses down is shared with the dead tablets. The processor time is real.
Exits with 1 if dead tablets make the oldest status older by more than a bar.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import cast

from vtorc.control.breaker import HOLD_NOTHING, Breaker
from vtorc.control.budget import BudgetLimits, FleetBudget
from vtorc.control.observer import Announcement, Observers
from vtorc.control.shard_loop import DecisionSettings, ShardLoop
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus, ThreadState
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.probe_pace import ProbePace
from vtorc.discovery.shard_topology import ShardTopology
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import TabletUnreachable
from vtorc.recovery.session import RecoveryTools
from vtorc.sim.engine.loop import run
from vtorc.tablet.api import HealthReport, TabletManager
from vtorc.topo.memory import MemoryStore
from vtorc.topo.server import TopoServer

BAR = 0.5
"""Seconds by which dead tablets may make the oldest status older."""

SETTLING = 30.0
"""Seconds before the deaths, and between them and the measured period."""

_ANSWER = 0.002
_PER_SHARD = 3
_EVERY = 1.0


class LoopClock:
    """The virtual time of the loop."""

    def now(self) -> float:
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        """Return virtual nanoseconds."""
        return int(self.now() * 1e9)


@dataclass(slots=True)
class Tablets:
    """Tablets that are well, or silent once they are dead; calls of recoveries are missing, as no recovery is due."""

    statuses: dict[TabletAlias, TabletStatus] = field(default_factory=dict)
    dead: set[TabletAlias] = field(default_factory=set)

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        """Answer unless the tablet is dead."""
        await self._reach(tablet)
        return self.statuses[tablet.alias]

    async def ping(self, tablet: TabletRecord) -> None:
        """Answer unless the tablet is dead."""
        await self._reach(tablet)

    async def stream_health(self, tablet: TabletRecord) -> AsyncGenerator[HealthReport, None]:
        """Report once."""
        if tablet.alias in self.dead:
            await asyncio.sleep(1.0)
            raise TabletUnreachable(f"{tablet.alias}: no connection", reason="timeout")
        await asyncio.sleep(_ANSWER)
        yield HealthReport(
            alias=tablet.alias, type=tablet.type, serving=True, health_error="", primary_term_start_seconds=0
        )
        await asyncio.get_running_loop().create_future()

    async def _reach(self, tablet: TabletRecord) -> None:
        if tablet.alias in self.dead:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(_ANSWER)


@dataclass(frozen=True, slots=True)
class Figures:
    """Ages in seconds, and processor seconds for each virtual one of the measured period."""

    median: float
    p99: float
    oldest: float
    load: float


def shard_of(number: int, tablets: Tablets) -> ShardTopology:
    """Return a healthy shard without acknowledgements, and add its statuses to `tablets`."""
    shard = ShardId("commerce", f"{number:06x}-{number + 1:06x}")
    aliases = [TabletAlias(f"zone{cell}", _PER_SHARD * number + cell) for cell in range(1, _PER_SHARD + 1)]
    uuids = [f"{alias.uid:08d}-0000-0000-0000-000000000000" for alias in aliases]
    executed = GtidSet.of(uuids[0], 1, 1000)
    records = []
    for alias, uuid in zip(aliases, uuids, strict=True):
        is_primary = alias is aliases[0]
        records.append(
            TabletRecord(
                alias=alias,
                keyspace=shard.keyspace,
                shard=shard.shard,
                type=TabletType.PRIMARY if is_primary else TabletType.REPLICA,
                hostname=str(alias),
                grpc_port=15999,
                mysql_hostname=str(alias),
                mysql_port=3306,
                primary_term_start=1 if is_primary else 0,
            )
        )
        replication = ReplicationStatus(
            source_host=str(aliases[0]),
            source_port=3306,
            source_uuid=uuids[0],
            io_state=ThreadState.RUNNING,
            sql_state=ThreadState.RUNNING,
            executed=executed,
            received=executed,
        )
        tablets.statuses[alias] = TabletStatus(
            server_uuid=uuid,
            read_only=not is_primary,
            executed=executed,
            replication=None if is_primary else replication,
        )
    return ShardTopology(
        read_at=0.0,
        cells=frozenset(alias.cell for alias in aliases),
        keyspace_record=KeyspaceRecord(name=shard.keyspace, durability_policy="none"),
        shard_record=ShardRecord(shard=shard, primary_alias=aliases[0], primary_term_start=1),
        tablets=tuple(records),
    )


def loops_of(shards: int, tablets: Tablets) -> Iterator[ShardLoop]:
    """Yield the loops of a fleet."""
    clock = OnTimeClock(LoopClock())
    manager = cast(TabletManager, tablets)

    async def no_cell(cell: str, address: str, root: str) -> None:
        raise AssertionError(f"{cell} at {address}{root}: no topology is read")

    topo = TopoServer(MemoryStore().connect("/global"), no_cell)  # type: ignore[arg-type]
    tools = RecoveryTools(topo=topo, tablets=manager, clock=clock)
    budget = FleetBudget(BudgetLimits, clock.now)
    rules, pace, observer = DecisionSettings(), ProbePace(), Observers(())
    breaker = Breaker(now=clock.now, shards=lambda: shards, hold_above=lambda: HOLD_NOTHING, announce=_ignore)
    for number in range(shards):
        topology = shard_of(number, tablets)
        watch = ShardWatch(topology.shard_record.shard, topology, manager, clock, lambda: pace)
        yield ShardLoop(watch, tools, lambda: rules, observer, controlled=True, budget=budget, breaker=breaker)


def _ignore(announcement: Announcement) -> None:
    raise AssertionError(f"no primary is lost, but: {announcement.sentence}")


async def measure(count: int, *, dead: int, seconds: float) -> Figures:
    """Watch so many tablets, let replicas among them die, and measure the statuses of the others."""
    tablets = Tablets()
    loops = list(loops_of(count // _PER_SHARD, tablets))
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    await asyncio.sleep(SETTLING)
    replicas = [loop.watch.view().tablets[-1].alias for loop in loops]
    tablets.dead.update(replicas[:: max(1, len(replicas) // dead)][:dead] if dead else ())
    await asyncio.sleep(SETTLING)
    used, ages = time.process_time(), list[float]()
    began = asyncio.get_running_loop().time()
    while (now := asyncio.get_running_loop().time()) - began < seconds:
        ages += [
            now - (t.status_at or 0.0)
            for loop in loops
            for t in loop.watch.view().tablets
            if t.alias not in tablets.dead
        ]
        await asyncio.sleep(_EVERY)
    used = time.process_time() - used
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ages.sort()
    return Figures(ages[len(ages) // 2], ages[len(ages) * 99 // 100], ages[-1], used / seconds)


def main() -> int:
    """Read the command line and measure, first without dead tablets, then with them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.probe_ages", description=__doc__)
    parser.add_argument("--tablets", type=int, default=10_000)
    parser.add_argument("--dead", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30.0, help="length of the measured period, in virtual time")
    options = parser.parse_args()
    found: list[Figures] = []
    for dead in (0, options.dead):
        figures = run(measure(options.tablets, dead=dead, seconds=options.seconds), seed="ages")
        found.append(figures)
        sys.stdout.write(
            f"{options.tablets} tablets, {dead} dead: statuses of the living are {figures.median:.2f} s old (median), "
            f"{figures.p99:.2f} s (p99), {figures.oldest:.2f} s (oldest); {100 * figures.load:.0f} % of a core\n"
        )
        sys.stdout.flush()
    return int(found[1].oldest > found[0].oldest + BAR)


if __name__ == "__main__":
    sys.exit(main())
