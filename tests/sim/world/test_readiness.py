"""Simulated worlds in which a shard's readiness is asked, and then the MySQL of its primary is killed.

Each world draws a plan, settings, and up to three faults of replicas that stay. Once all of them are known, what was
foretold has to happen. A stalled disk is not among them: the simulator lets such a tablet stop, and readiness does not
count on that.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace

import pytest

from vtorc.control.shard_loop import ShardLoop
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.rules import Rule
from vtorc.forms.readiness import ReadinessForm, readiness_form
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.sim.cluster.plan import WorldPlan, failover_plan, random_plan
from vtorc.sim.cluster.vtorc import SimVtorc, VtorcSettings
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.loop import SimLoop
from vtorc.sim.engine.trace import Trace
from vtorc.sim.faults.catalogue import begin, named
from vtorc.sim.faults.fault import Fault, FaultScene

KINDS = named(
    "kill-mysqld",
    "kill-both",
    "power-off",
    "isolate",
    "freeze-mysqld",
    "shut-down-vttablet",
    "keep-vttablet-down",
    "cut-vtorc-from-tablet",
    "cell-topo-down",
    "corrupt-record",
    "lose-record",
    "lose-socket",
    "write-errant",
    "change-type",
    "point-elsewhere",
    "rebuild-replica",
    "stop-applier",
    "slow-applier",
    "damage-relay-log",
    "filter-replica",
    "delay-applier",
    "log-nothing",
    "copy-identity",
    "remove-plugins",
    "raise-wait-count",
)
"""Faults of replicas, records and topology servers that vtorc learns of."""

CHUNKS = 3
WORLDS_PER_CHUNK = 12

SETTLED = 12
"""Seconds for which the decisions have to stay the same, more than twice the time between two calm probes."""

REPLACED_WITHIN = 50


@dataclass
class Foretold:
    """What readiness said in one world, and what came of it."""

    seed: int
    is_quiet: bool
    """Whether clients had stopped writing, so that all replicas had applied everything."""
    ready: ReadinessForm | None = None
    """None if the shard did not settle with a primary that answers."""
    records: list[RecoveryRecord] = field(default_factory=list)
    """The replacements of the primary that were tried."""
    decisions: tuple[Decision, ...] = ()
    """What was decided at the end."""

    @property
    def winner(self) -> str | None:
        """The tablet that was promoted; None if none was."""
        return next((str(each.winner) for each in self.records if each.outcome is Outcome.SUCCEEDED), None)

    def wrong(self) -> str:
        """Return how it came otherwise than foretold; empty if it did not."""
        ready = self.ready
        if ready is None:
            return ""
        if ready.ready:
            is_certain = not ready.doubts and not ready.first
            if self.winner is None:
                return self._text("no tablet was promoted") if is_certain else ""
            possible = [ready.winner, *(ready.others if not self.is_quiet or not is_certain else ())]
            return "" if self.winner in possible or not is_certain else self._text(f"{self.winner} was promoted")
        if self.winner is not None:
            return self._text(f"{self.winner} was promoted")
        told = [record.sentence for record in self.records] or [each.sentence for each in self.decisions]
        if ready.blocked_by[0] in told[-1]:
            return ""
        stood_still = not self.records and self.decisions[0].rule is Rule.NO_REMEDY
        return "" if stood_still and ready.rule == Rule.NONE_REACHED.value else self._text(told[-1])

    def _text(self, what: str) -> str:
        return f"seed {self.seed}: {self.ready.sentence if self.ready is not None else ''}; but {what}"


def foretell(seed: int) -> Foretold:
    """Play one world."""
    draw = random.Random(f"readiness {seed}")
    plan = draw.choice((random_plan, failover_plan))(draw)
    found = Foretold(seed, is_quiet=draw.random() < 0.5)
    settings = VtorcSettings(same_cell_only=draw.random() < 0.2)
    loop = SimLoop(seed=seed)
    trace = Trace(loop.time)
    with trace.capturing_logs():
        loop.run(_play(found, replace(plan, vtorc_cells=plan.vtorc_cells[:1]), settings, trace, draw))
    return found


async def _play(found: Foretold, plan: WorldPlan, settings: VtorcSettings, trace: Trace, draw: random.Random) -> None:
    world = World(plan, trace, settings=settings)
    await world.begin()
    (shard,) = world.shards.values()
    assert await world.until_well(shard, limit=60.0) == []
    await _let_faults_begin(world, shard, draw)
    vtorc = world.vtorcs[0]
    assert vtorc.fleet is not None
    watched = vtorc.fleet.loops[shard.id]
    if not await _is_settled(watched):
        return
    if found.is_quiet:
        for client in shard.clients:
            client.process.crash()
        await asyncio.sleep(SETTLED)
    await _kill_primary(found, shard, vtorc, watched)


async def _let_faults_begin(world: World, shard: SimShard, draw: random.Random) -> None:
    for _ in range(draw.choice((0, 1, 1, 2, 2, 3))):
        await asyncio.sleep(draw.uniform(2.0, 10.0))
        replicas = [each for each in shard.tablets if each is not shard.primary]
        fault = Fault(
            kind=draw.choice(KINDS),
            at=world.now,
            lasts=1.0,
            target=draw.randrange(6),
            alias=draw.choice(replicas).alias_text,
        )
        begin(FaultScene(world, fault))
    await asyncio.sleep(25.0)


async def _is_settled(watched: ShardLoop) -> bool:
    """Wait until the decisions stay the same; False if they never do."""
    before, same = None, 0
    for _ in range(60):
        now = [(each.finding.code, each.finding.alias, each.rule) for each in watched.decisions]
        before, same = now, same + 1 if now == before else 0
        if same >= SETTLED:
            return True
        await asyncio.sleep(1.0)
    return False


async def _kill_primary(found: Foretold, shard: SimShard, vtorc: SimVtorc, watched: ShardLoop) -> None:
    """Ask for the readiness and kill the primary right then; wait for what follows."""
    primary, tools, before = shard.primary, vtorc.tools, len(vtorc.records)
    assert tools is not None
    judgement = watched.judge()
    if primary is None or judgement.view.primary is None or judgement.view.primary.alias != primary.config.alias:
        return
    found.ready = readiness_form(judgement, tools.bounds(), tools.clock.now())
    primary.mysqld.process.crash()
    for _ in range(REPLACED_WITHIN):
        await asyncio.sleep(1.0)
        found.records = [each for each in vtorc.records[before:] if each.recovery.replaces_primary]
        if found.winner is not None:
            return
    found.decisions = watched.decisions


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_readiness_foretells_happens(chunk: int) -> None:
    """Where it is certain of a winner, that one is promoted; where it names a refusal, that one follows."""
    worlds = [foretell(seed) for seed in range(chunk * WORLDS_PER_CHUNK, (chunk + 1) * WORLDS_PER_CHUNK)]
    assert [wrong for each in worlds if (wrong := each.wrong())] == []
    answers = [each.ready.ready for each in worlds if each.ready is not None]
    assert True in answers
    assert False in answers
