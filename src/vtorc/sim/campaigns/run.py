"""One run of a simulated world, from a seed to its result."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vtorc.recovery.record import Outcome
from vtorc.sim.campaigns.fleet_report import FleetReport, FleetWatch
from vtorc.sim.campaigns.operator import repair_by_hand
from vtorc.sim.campaigns.profiles import Profile, draw_faults
from vtorc.sim.campaigns.verdict import ChangeRules, late_replacements, needless_reparents
from vtorc.sim.campaigns.watched import watch_shards
from vtorc.sim.checks.invariants import Violation
from vtorc.sim.cluster.plan import WorldPlan
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.cluster.world import World
from vtorc.sim.engine.loop import SimLoop
from vtorc.sim.engine.trace import Trace
from vtorc.sim.errors import SimError
from vtorc.sim.faults.catalogue import begin, kind_of
from vtorc.sim.faults.fault import End, Fault, FaultScene
from vtorc.sim.mysql.binlog import as_text

FIRST_ELECTION_BOUND = 60.0
"""Seconds until every shard must have its first primary and take writes."""

RECOVERY_BOUND = 180.0
"""Seconds after the last fault ended until every shard must be writable and fully replicating."""

_REPAIRS_BY_HAND = 2
"""Times that operators come: a primary that was rebuilt may leave replicas behind that need purged transactions."""

_CALM_BEFORE = 2.0
_CALM_AFTER = 3.0
_CALM_LONG = 30.0


@dataclass(slots=True, kw_only=True)
class Result:
    """The outcome of one run; times in virtual seconds."""

    seed: int
    faults: tuple[Fault, ...]
    violations: list[Violation] = field(default_factory=list)
    digest: str = ""
    seconds: float = 0.0
    writes: int = 0
    failovers: int = 0
    refused: int = 0
    unprotected_lost: int = 0
    fleet: FleetReport | None = None

    @property
    def ok(self) -> bool:
        """Whether every invariant held."""
        return not self.violations


def run_seed(
    seed: int,
    profile: Profile,
    *,
    faults: Sequence[Fault] | None = None,
    plan: WorldPlan | None = None,
    shards: int = 1,
    sink: Callable[[str], None] | None = None,
) -> Result:
    """Run one seed; `faults` and `plan` replace what would be drawn. Errors of the simulation itself are violations."""
    drawn_plan = profile.draw_plan(random.Random(f"plan {seed}"), shards=shards)
    drawn = draw_faults(random.Random(f"faults {seed}"), profile, shards=shards)
    result = Result(seed=seed, faults=drawn if faults is None else tuple(faults))
    permute = random.Random(f"loop {seed}").random() < 0.3
    loop = SimLoop(seed=seed, permute=permute)
    trace = Trace(loop.time, sink=sink)
    try:
        with trace.capturing_logs():
            loop.run(_play(plan or drawn_plan, trace, profile.settings, result))
    except SimError as error:
        trace.note("INVARIANT", f"simulation: {error}")
        result.violations.append(Violation("simulation", str(error), loop.time()))
    result.digest = trace.digest
    result.seconds = loop.time()
    return result


async def _play(plan: WorldPlan, trace: Trace, settings: VtorcSettings, result: Result) -> None:
    for planned in plan.shards:
        tablets = ", ".join(f"{each.alias.cell}-{each.alias.uid} {each.type}" for each in planned.tablets)
        trace.note("plan", f"{planned.shard} {planned.durability}: {tablets}")
    for fault in result.faults:
        trace.note("plan", f"fault {fault}")
    world = World(plan, trace, settings=settings)
    rules = ChangeRules(world)
    result.violations = world.checker.violations
    await world.begin()
    since = world.now
    for shard in world.shards.values():
        if wrong := await world.until_well(shard, limit=FIRST_ELECTION_BOUND, since=since):
            world.checker.violate("no-first-primary", f"{shard.id}: {'; '.join(wrong)}")
            return
    trace.note("world", "every shard takes writes")
    elections = _promotions(world)
    await asyncio.sleep(_CALM_BEFORE)
    rules.quiet = not result.faults
    if settings.shares:
        world.spawn(watch_shards(world), "watch the shards")
    fleet = FleetWatch(world)
    await _let_happen(world, result.faults, fleet)
    await _recover(world)
    await asyncio.sleep(_CALM_AFTER if result.faults else _CALM_LONG)
    _judge(world, result, elections)
    result.fleet = fleet.report()


async def _let_happen(world: World, faults: Sequence[Fault], fleet: FleetWatch) -> None:
    """Let every fault begin and end at its time."""
    start = world.now
    timeline: list[tuple[float, int, Fault]] = []
    for number, fault in enumerate(faults):
        timeline.append((start + fault.at, 2 * number, fault))
        timeline.append((start + fault.at + fault.lasts, 2 * number + 1, fault))
    ends: dict[Fault, End] = {}
    for when, _, fault in sorted(timeline, key=lambda entry: entry[:2]):
        await asyncio.sleep(max(0.0, when - world.now))
        if fault in ends:
            fleet.ending(faults)
            world.trace.note("FAULT", f"ends: {fault}")
            ends.pop(fault)()
        else:
            world.trace.note("FAULT", f"begins: {fault}: {kind_of(fault).sentence}")
            fleet.before()
            ends[fault] = begin(FaultScene(world, fault))
            fleet.after()


async def _recover(world: World) -> None:
    """Wait until the shards are well; operators rebuild tablets that only a rebuild repairs."""
    since = world.now
    for shard in world.shards.values():
        wrong = await world.until_well(shard, limit=RECOVERY_BOUND, since=since)
        for _ in range(_REPAIRS_BY_HAND):
            if not wrong or not await repair_by_hand(world, shard):
                break
            wrong = await world.until_well(shard, limit=RECOVERY_BOUND)
        if wrong:
            world.checker.violate("not-recovered", f"{shard.id}: {'; '.join(wrong)}")


def _judge(world: World, result: Result, elections: int) -> None:
    for shard in world.shards.values():
        primary = shard.primary
        ledger = shard.ledger
        result.writes += ledger.writes
        for record in (each for vtorc in world.vtorcs for each in vtorc.records if each.shard == shard.id):
            shard.recording.recovered(record)
        if primary is None:
            continue
        if ledger.promises and (lost := ledger.lost_on(primary.mysqld)):
            world.checker.violate("acknowledged-write-lost", f"{shard.id}: at the end {as_text(lost)} are missing")
        result.unprotected_lost += ledger.unprotected_lost_on(primary.mysqld)
    result.failovers = _promotions(world) - elections
    result.refused = sum(record.outcome is Outcome.REFUSED for vtorc in world.vtorcs for record in vtorc.records)
    if why := needless_reparents(result.faults, result.failovers):
        world.checker.violate("needless-reparent", why)
    for late in late_replacements(world, result.faults):
        world.checker.violate("late-replacement", late)


def _promotions(world: World) -> int:
    return sum(
        record.winner is not None and record.outcome is Outcome.SUCCEEDED
        for vtorc in world.vtorcs
        for record in vtorc.records
    )
