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


def planned(view: ShardView, wanted: str | None = None, tolerable_lag: float = 0.0) -> PlannedChoice | Refusal:
    """What a planned reparent of the shard chooses, all clocks being right."""

    async def read_clock(_: TabletRecord) -> int:
        return WALL

    async def main() -> PlannedChoice | Refusal:
        named = alias(wanted) if wanted is not None else None
        return await choose_as_planned(view, policy("semi_sync"), named, read_clock, tolerable_lag=tolerable_lag)

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


def behind_by(name: str, lag: int | None) -> TabletView:
    """A replica that is so many seconds behind; None for one that does not tell."""
    tablet = replica(name)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=lag))


def test_a_replica_that_lags_too_much_is_chosen_only_by_name() -> None:
    """With --tolerable-replication-lag a replica that lags more, or does not tell, is passed over unless named."""
    view = shard(primary(), behind_by("zone1-101", 6), behind_by("zone1-102", None), behind_by("zone2-200", 5))
    assert str(chosen(view).winner.alias) == FIRST
    choice = planned(view, tolerable_lag=5.0)
    assert isinstance(choice, PlannedChoice)
    assert str(choice.winner.alias) == FAR
    assert choice.removed == {
        alias("zone1-101"): "is 6 s behind, and --tolerable-replication-lag allows 5 s",
        alias("zone1-102"): "does not tell how far it is behind, and --tolerable-replication-lag allows 5 s",
    }
    named = planned(view, FIRST, tolerable_lag=5.0)
    assert isinstance(named, PlannedChoice)
    assert str(named.winner.alias) == FIRST


def test_no_replica_is_chosen_if_all_lag_too_much() -> None:
    """The refusal says how far each is behind."""
    refusal = planned(shard(primary(), behind_by("zone1-101", 6), behind_by("zone1-102", 7)), tolerable_lag=5.0)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.NO_CANDIDATE
    assert f"{SECOND} is 7 s behind, and --tolerable-replication-lag allows 5 s" in refusal.sentence
