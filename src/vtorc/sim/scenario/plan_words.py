"""The words that plan a shard of a scenario."""

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.errors import NameParseError
from vtorc.sim.cluster.plan import ShardPlan, TabletPlan
from vtorc.sim.cluster.tablet import TabletTraits
from vtorc.sim.errors import SimPlanError
from vtorc.sim.scenario.command_words import CommandWords


def shard_plan(words: CommandWords) -> ShardPlan:
    """Return the shard that `durability=semi_sync tablets=zone1-100,zone2-200:rdonly:old` plans.

    Raises SimPlanError.
    """
    tablets = tuple(_tablet_plan(text) for text in words.named.get("tablets", "").split(",") if text)
    if not tablets or "durability" not in words.named:
        raise SimPlanError(f"{words.line!r}: expected durability= and tablets=")
    return ShardPlan(
        shard=ShardId.parse(words.named.get("name", "commerce/0")),
        durability=words.named["durability"],
        tablets=tablets,
    )


def tablet_alias(text: str) -> TabletAlias:
    """Return the alias that a word names; raises SimPlanError."""
    try:
        return TabletAlias.parse(text)
    except NameParseError as error:
        raise SimPlanError(str(error)) from error


def _tablet_plan(text: str) -> TabletPlan:
    alias, *marks = text.split(":")
    old = "old" in marks
    types = [TabletType.parse(mark) for mark in marks if mark != "old"]
    return TabletPlan(
        alias=tablet_alias(alias),
        type=types[0] if types else TabletType.REPLICA,
        traits=TabletTraits(tells_all=not old, checks_errant=not old),
    )
