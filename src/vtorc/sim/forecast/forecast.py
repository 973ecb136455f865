"""The cost of a fault for an operator's own topology: how long writes stop and how many are lost, over many runs."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vtorc.core.facts.ids import ShardId
from vtorc.recovery.record import Outcome
from vtorc.sim.campaigns.run import FIRST_ELECTION_BOUND
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import SimLoop
from vtorc.sim.engine.trace import Trace
from vtorc.sim.errors import SimError
from vtorc.sim.faults.catalogue import begin, kind_of
from vtorc.sim.faults.fault import Fault, FaultScene, FaultTarget
from vtorc.sim.forecast.topology_file import TopologyFile

LASTS = 120.0
"""Seconds that a fault lasts by default."""

_WITHIN = 10.0
_STILL_DOWN = 3.0
_SETTLE = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutcome:
    """The outcome of one run for one shard."""

    shard: ShardId
    outage: float | None
    """Seconds without writes; None: the shard did not come back while the fault lasted."""
    reason: str
    """The last sentence about a shard that did not come back, else empty."""
    lost: int
    """Acknowledged writes that the new primary lacks."""
    broken: int
    """Those among them that replicas had acknowledged."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """One run; `trouble` says why it could not be judged, and is empty if it could."""

    seed: int
    shards: tuple[ShardOutcome, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A topology and the faults that are to hit it."""

    topology: TopologyFile
    faults: tuple[Fault, ...]

    def run(self, seed: int, *, sink: Callable[[str], None] | None = None) -> RunOutcome:
        """Simulate the faults once, at another moment in each run; `sink` gets the lines of the trace."""
        loop = SimLoop(seed=seed)
        shift = random.Random(f"moment {seed}").uniform(0.0, _WITHIN)
        trace = Trace(loop.time, sink=sink)
        try:
            with trace.capturing_logs():
                return loop.run(self._play(seed, shift, trace))
        except SimError as error:
            return RunOutcome(seed, trouble=str(error))

    async def _play(self, seed: int, shift: float, trace: Trace) -> RunOutcome:
        world = World(self.topology.plan, trace, settings=self.topology.settings)
        await world.begin()
        for shard in world.shards.values():
            wrong = await world.until_well(shard, limit=FIRST_ELECTION_BOUND)
            wrong = wrong or await self._move_primary(world, shard)
            if wrong:
                return RunOutcome(seed, trouble=f"{shard.id} was not well before the fault: {'; '.join(wrong)}")
        await asyncio.sleep(_SETTLE + shift)
        start = world.now
        for shard in world.shards.values():
            shard.ledger.longest_gap = 0.0
        for fault in sorted(self.faults, key=lambda each: each.at):
            await asyncio.sleep(max(0.0, start + fault.at - world.now))
            trace.note("FAULT", f"begins: {fault}: {kind_of(fault).sentence}")
            end = begin(FaultScene(world, fault))
            asyncio.get_running_loop().call_later(fault.lasts, end)
        first_end = min(fault.at + fault.lasts for fault in self.faults)
        # Judged just before the first fault ends, so that the end of the fault does not help.
        await asyncio.sleep(max(0.0, start + first_end - 0.001 - world.now))
        return RunOutcome(seed, tuple(_judge(world, shard) for shard in world.shards.values()))

    async def _move_primary(self, world: World, shard: SimShard) -> list[str]:
        wanted = self.topology.primaries.get(shard.id)
        if wanted is None or (shard.primary is not None and shard.primary.config.alias == wanted):
            return []
        await plan_reparent(world, shard, next(each for each in shard.tablets if each.config.alias == wanted))
        wrong = await world.until_well(shard, limit=FIRST_ELECTION_BOUND)
        if not wrong and (shard.primary is None or shard.primary.config.alias != wanted):
            wrong = [f"{wanted} did not become its primary"]
        return wrong


def _judge(world: World, shard: SimShard) -> ShardOutcome:
    ledger = shard.ledger
    silent = world.now - (ledger.last_write or 0.0)
    if silent > _STILL_DOWN:
        return ShardOutcome(shard=shard.id, outage=None, reason=_reason(world, shard), lost=0, broken=0)
    serving = ledger.committer
    return ShardOutcome(
        shard=shard.id,
        outage=max(ledger.longest_gap, silent),
        reason="",
        lost=ledger.unprotected_lost_on(serving) if serving is not None else 0,
        broken=len(ledger.lost_on(serving)) if serving is not None else 0,
    )


def _reason(world: World, shard: SimShard) -> str:
    """Return the sentence that an operator would find: that of the last failed recovery, else of the most urgent
    decision.
    """
    attempts = [
        record
        for vtorc in world.vtorcs
        for record in vtorc.records
        if record.shard == shard.id and record.winner is None and record.outcome.was_attempt
    ]
    if failed := [record for record in attempts if record.outcome is not Outcome.SUCCEEDED]:
        return max(failed, key=lambda record: record.began).sentence
    decisions = [decision for vtorc in world.vtorcs for decision in vtorc.decisions(shard.id)]
    if not decisions:
        return "no vtorc has decided anything about it: none runs, or none sees it"
    return min(decisions, key=lambda each: each.finding.sort_key).sentence


@dataclass(slots=True)
class Distribution:
    """The outcomes of all runs."""

    outcomes: list[RunOutcome] = field(default_factory=list)

    def lines(self, forecast: Forecast) -> list[str]:
        """Return the forecast for printing."""
        judged = [outcome for outcome in self.outcomes if not outcome.trouble]
        lines = [f"{len(judged)} runs of:"]
        lines += [f"  {_fault_text(fault, forecast.topology)}" for fault in forecast.faults]
        for outcome in self.outcomes:
            if outcome.trouble:
                lines.append(f"  seed {outcome.seed} could not be judged: {outcome.trouble}")
        for plan in forecast.topology.plan.shards:
            of_shard = [each for outcome in judged for each in outcome.shards if each.shard == plan.shard]
            if of_shard:
                lines += ["", f"{plan.shard} ({plan.durability})", *_shard_lines(of_shard)]
        rate = forecast.topology.writes_per_second
        return [*lines, "", f"Clients tried about {rate:g} writes a second to each shard."]


def _fault_text(fault: Fault, topology: TopologyFile) -> str:
    kind = kind_of(fault)
    target = fault.alias or f"{topology.plan.shards[fault.shard].shard}, target {fault.target}"
    if kind.target is FaultTarget.CELL:
        target = topology.plan.cells[fault.target % len(topology.plan.cells)]
    return f"{fault.kind} ({target}) for {fault.lasts:g} s: {kind.sentence}"


def _shard_lines(outcomes: Sequence[ShardOutcome]) -> Iterator[str]:
    back = sorted(each.outage for each in outcomes if each.outage is not None)
    if back:
        figures = ", ".join(f"{name} {quantile(back, share):.1f} s" for name, share in _SHARES)
        yield f"  without writes: {figures}"
    down = [each.reason for each in outcomes if each.outage is None]
    share = 100 * len(down) / len(outcomes)
    yield f"  not back while the fault lasts: {len(down)} of {len(outcomes)} runs ({share:.0f} %)"
    for reason, count in Counter(down).most_common(3):
        yield f"    {count} x {reason}"
    losing = [each.lost for each in outcomes if each.lost]
    broken = [each.broken for each in outcomes if each.broken]
    yield (
        f"  acknowledged writes lost: in {len(losing)} of {len(outcomes)} runs"
        + (f", {max(losing)} at most, {sum(losing) / len(losing):.1f} on average" if losing else "")
    )
    if broken:
        yield f"  BUG: writes that replicas had acknowledged were lost in {len(broken)} runs"


_SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all values do not exceed; `ordered` rises and is not empty."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
