"""The operator of a simulated world: does what only operators can do, and nothing that vtorc advises against."""

from collections.abc import Callable

from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.problems import Code
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import Outcome
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.cluster.world import SimShard, World

_SEEN_WITHIN = 30.0
"""Seconds that operators give vtorc to use a tablet that they rebuilt, before they promote one themselves."""


async def repair_by_hand(world: World, shard: SimShard) -> bool:
    """Put right what keeps a shard from being well; returns whether there was anything that an operator can do.

    Tablets that have errant transactions or need purged ones are rebuilt, unless vtorc says that these transactions may
    be acknowledged. Then one that has them is promoted first: an operator who rebuilt all of them lost every copy. A
    primary that went back in time is rebuilt itself, from the tablet that has most.
    """
    if await _rebuild_rolled_back(world, shard, Code.PRIMARY_ROLLED_BACK) or await _replace_forgotten(world, shard):
        return True
    promoted = await _promote_fullest(world, shard, _of_missing_writes, "which has the writes that the primary lacks")
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


def _of_no_primary(decision: Decision) -> bool:
    return decision.finding.code is Code.PRIMARY_TABLET_DELETED


async def _replace_forgotten(world: World, shard: SimShard) -> bool:
    """Replace a former primary that went back in time and that no record names; returns whether there was one.

    Only a rebuild makes it an acker again. Its replicas follow a server that exists no more, and only an operator knows
    that. To vtorc that server may have become primary, so it promotes no tablet itself.
    """
    if shard.primary is not None or not await _rebuild_rolled_back(world, shard, Code.REPLICA_ROLLED_BACK):
        return False
    if await world.until_well(shard, limit=_SEEN_WITHIN):
        reason = "as the server that the others follow is gone"
        await _promote_fullest(world, shard, _of_no_primary, reason, accept_loss=True)
    return True


async def _rebuild_rolled_back(world: World, shard: SimShard, code: Code) -> bool:
    """Rebuild the tablets that have this problem, from the tablet that has most; returns whether there was one."""
    decisions = [each for vtorc in world.vtorcs for each in vtorc.decisions(shard.id)]
    told = {each.finding.alias for each in decisions if each.finding.code is code}
    ruined = [each for each in shard.tablets if each.config.alias in told]
    others = [each for each in shard.tablets if each not in ruined]
    if not ruined or not others:
        return False
    source = max(others, key=_holdings)
    for tablet in ruined:
        await world.rebuild(tablet, source)
    return True


async def _promote_fullest(
    world: World, shard: SimShard, wanted: Callable[[Decision], bool], reason: str, *, accept_loss: bool = False
) -> bool:
    """Promote the tablet that has most; returns whether it was promoted.

    It is done where a vtorc has a decision that is `wanted`; `reason` ends the sentence of the trace. With
    `accept_loss` the operator knows that what vtorc names as at risk exists no more.
    """
    for vtorc in _telling(world, shard, wanted):
        commands = vtorc.commands(shard.id)
        if commands is None:
            continue
        best = max(shard.tablets, key=_holdings)
        world.trace.note("an operator", f"promotes {best.alias_text}, {reason}")
        accepted: DataLossEstimate | None = None
        while True:
            work = commands.force_promotion(policy(shard.plan.durability), best.config.alias, accepted)
            record = await vtorc.process.life.spawn(work, name="override")
            if record.outcome is Outcome.SUCCEEDED:
                return True
            world.trace.note("an operator", f"reads: {record.sentence}")
            if not accept_loss or record.data_loss in (None, accepted):
                break
            accepted = record.data_loss
    return False


def _holdings(tablet: SimTablet) -> int:
    """Return how many transactions a tablet has."""
    return tablet.mysqld.received.count()
