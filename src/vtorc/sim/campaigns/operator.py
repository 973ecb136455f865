"""The operator of a simulated world: does what only operators can do, and nothing that vtorc advises against."""

from collections.abc import Callable

from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import Outcome
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.cluster.world import SimShard, World


async def repair_by_hand(world: World, shard: SimShard) -> bool:
    """Put right what keeps a shard from being well; returns whether there was anything that an operator can do.

    Tablets that have errant transactions or need purged ones are rebuilt, unless vtorc says that these transactions may
    be acknowledged. Then one that has them is promoted first: an operator who rebuilt all of them lost every copy. A
    primary that went back in time is rebuilt itself, from the tablet that has most.
    """
    if await _rebuild_primary(world, shard):
        return True
    promoted = await _promote_with_missing_writes(world, shard)
    primary = shard.primary
    if primary is None or (not promoted and _telling(world, shard, _of_missing_writes)):
        return False
    ruined = [each for each in shard.tablets if each is not primary and world.needs_rebuild(each, primary)]
    for tablet in ruined:
        await world.rebuild(tablet, primary)
    return promoted or bool(ruined)


def _telling(world: World, shard: SimShard, wanted: Callable[[Decision], bool]) -> list[SimVtorc]:
    """Return the vtorcs with such a decision about a shard."""
    return [vtorc for vtorc in world.vtorcs if any(wanted(each) for each in vtorc.decisions(shard.id))]


def _of_missing_writes(decision: Decision) -> bool:
    return decision.rule is Rule.MISSING_WRITES


def _of_a_lost_past(decision: Decision) -> bool:
    return decision.finding.code is Code.PRIMARY_ROLLED_BACK


async def _rebuild_primary(world: World, shard: SimShard) -> bool:
    """Rebuild a primary that went back in time; returns whether there was one."""
    primary = shard.primary
    if primary is None or not _telling(world, shard, _of_a_lost_past):
        return False
    others = [each for each in shard.tablets if each is not primary]
    await world.rebuild(primary, max(others, key=lambda each: each.mysqld.received.count()))
    return True


async def _promote_with_missing_writes(world: World, shard: SimShard) -> bool:
    """Promote the tablet that has most, if nothing is lost by that; returns whether it was promoted."""
    for vtorc in _telling(world, shard, _of_missing_writes):
        commands = vtorc.commands(shard.id)
        if commands is None:
            continue
        best = max(shard.tablets, key=lambda each: each.mysqld.received.count())
        world.trace.note("an operator", f"promotes {best.alias_text}, which has the writes that the primary lacks")
        work = commands.force_promotion(policy(shard.plan.durability), best.config.alias)
        record = await vtorc.process.life.spawn(work, name="override")
        if record.outcome is Outcome.SUCCEEDED:
            return True
        world.trace.note("an operator", f"reads: {record.sentence}")
    return False
