"""What a plan of a planned reparent says about the tablets that it passes over."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import alias, answers, changed, failing, gtids, held, hold, primary, replica, shard
from tests.unit.recovery.fakes import WALL
from vtorc.core.election.choice import Refusal
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.planned_choice import PlannedChoice, choose_as_planned
from vtorc.sim.engine.loop import run

FIRST, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (101, 102, 103))
FAR = str(alias("zone2-200"))


def planned(view: ShardView, wanted: str | None = None) -> PlannedChoice | Refusal:
    """What a planned reparent of the shard chooses, all clocks being right."""

    async def read_clock(_: TabletRecord) -> int:
        return WALL

    async def main() -> PlannedChoice | Refusal:
        named = alias(wanted) if wanted is not None else None
        return await choose_as_planned(view, policy("semi_sync"), named, read_clock)

    return run(main(), seed=1)


def chosen(view: ShardView, wanted: str | None = None) -> PlannedChoice:
    """The same of a shard in which there is a choice."""
    choice = planned(view, wanted)
    assert isinstance(choice, PlannedChoice)
    return choice


def with_threads(tablet: TabletView, **changes: Any) -> TabletView:
    """The same replica, with other threads."""
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, **changes))


def hasty(name: str) -> TabletView:
    """A replica that as primary would wait for acknowledgements for a second only."""
    tablet = replica(name)
    assert tablet.status is not None
    return answers(tablet, semi_sync=replace(tablet.status.semi_sync, timeout=1000))


@pytest.mark.parametrize(
    ("winner", "other", "why"),
    [
        (replica(SECOND), hasty(FIRST), "its server would be a last choice"),
        (replica(FIRST), replica(FAR), "the other is in the cell of the primary"),
        (with_threads(replica(SECOND), lag=1), with_threads(replica(FIRST), lag=9), "the other is less behind"),
        (replica(FIRST), replica(SECOND), "the other comes first by name"),
    ],
)
def test_a_plan_tells_why_each_other_tablet_comes_later(winner: TabletView, other: TabletView, why: str) -> None:
    """The first part of the order in which the two differ is the reason."""
    silent = failing(replica(THIRD))
    choice = chosen(shard(primary(), winner, other, silent))
    assert choice.winner == winner
    assert choice.behind.keys() == {other.alias}
    assert why in choice.behind[other.alias]
    assert choice.removed == {silent.alias: "does not answer"}


def test_a_tablet_that_is_named_goes_before_all_others() -> None:
    """The plan says so of each tablet that could have been promoted as well."""
    choice = chosen(shard(primary(), replica(FIRST), replica(SECOND), failing(replica(THIRD))), SECOND)
    assert choice.winner.alias == alias(SECOND)
    assert choice.behind == {alias(FIRST): f"{SECOND} was named"}
    assert choice.removed.keys() == {alias(THIRD)}


@pytest.mark.parametrize(
    ("tablet", "why"),
    [
        (with_threads(replica(FIRST), backup_running=True), "is being backed up"),
        (
            changed(replica(FIRST, executed="100:1-50"), own_missing=gtids("101:1-9")),
            "which it wrote itself; rebuild it",
        ),
    ],
    ids=["backup", "went back in time"],
)
def test_the_only_tablet_is_refused_rather_than_promoted_against_a_reason(tablet: TabletView, why: str) -> None:
    """That there is no other does not make it eligible."""
    acker = replica(SECOND, TabletType.RDONLY)
    refusal = planned(shard(primary(), tablet, acker))
    assert isinstance(refusal, Refusal)
    assert (refusal.rule, set(refusal.removed)) == (Rule.NO_CANDIDATE, {alias(FIRST), alias(SECOND)})
    assert why in refusal.removed[alias(FIRST)]


@pytest.mark.parametrize("wanted", [FIRST, None], ids=["named", "not named"])
def test_a_move_that_a_hold_forbids_names_the_hold(wanted: str | None) -> None:
    """An operator who reads the rule knows that it can be lifted; a tablet that is unfit by itself has another rule."""
    kept = hold(Effect.NOT_PROMOTABLE, on=f"tablet:{FIRST}")
    view = shard(primary(), replica(FIRST), failing(replica(SECOND)))
    refused = planned(held(view, kept), wanted)
    assert isinstance(refused, Refusal)
    assert refused.rule is Rule.HELD
    assert "hold 3 of ann" in refused.removed[alias(FIRST)]
    silent = planned(held(view, kept), SECOND)
    assert isinstance(silent, Refusal)
    assert silent.rule is Rule.NOT_ELIGIBLE
