"""Tablets that operators keep from promotion, or prefer: no argument for safety depends on that."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.builders import alias, held, hold, stopped
from tests.unit.core.election.test_choice import R1, R2, R3, candidates, elected, refused
from tests.unit.core.election.test_choice_model import disasters, ends_up_with
from tests.unit.core.election.test_readiness import HEALTHY, ready
from vtorc.core.election.candidate_evidence import held_back, wishes
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.choice import Choice, Refusal, certain_refusal, choose
from vtorc.core.election.survivability import LossOutcome
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule, policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.rules import Rule

Disaster = tuple[DurabilityPolicy, CandidateSet, GtidSet]
WHY = "is not to be promoted: hold 3 of ann on the fleet until it is lifted: a drill"


@st.composite
def some_held(draw: st.DrawFn) -> tuple[Disaster, CandidateSet]:
    """A disaster, and the same with some tablets held and some preferred."""
    disaster = draw(disasters())
    names = sorted(each.alias for each in disaster[1].members)
    kept = draw(st.sets(st.sampled_from(names)))
    rules = st.sampled_from((PromotionRule.PREFER, PromotionRule.PREFER_NOT))
    wanted = draw(st.dictionaries(st.sampled_from(names), rules))
    return disaster, replace(disaster[1], held=dict.fromkeys(kept, WHY), wishes=wanted)


@given(some_held())
def test_no_held_tablet_is_promoted_and_no_acknowledged_write_is_lost(drawn: tuple[Disaster, CandidateSet]) -> None:
    """That holds for each way that the election offers, whichever of them comes to pass."""
    (chosen, _, acknowledged), candidates = drawn
    outcome = choose(candidates, chosen)
    if isinstance(outcome, Refusal):
        return
    for way in (outcome, *outcome.otherwise):
        assert not {way.winner, *way.holders} & candidates.held.keys()
        assert ends_up_with(way, candidates).contains(acknowledged)


@given(some_held())
def test_what_must_survive_is_the_same_with_holds(drawn: tuple[Disaster, CandidateSet]) -> None:
    """A hold may end an election, and never makes one succeed or proves more than there is without it."""
    (chosen, without, _), candidates = drawn
    before, after = choose(without, chosen), choose(candidates, chosen)
    if isinstance(before, Refusal):
        assert isinstance(after, Refusal)
        assert after.rule in (before.rule, Rule.HELD)
    elif isinstance(after, Choice):
        assert after.required == before.required
        assert after.argument.unreached == before.argument.unreached
    else:
        assert candidates.held


@given(some_held())
def test_a_certain_refusal_for_a_hold_is_kept_by_the_election(drawn: tuple[Disaster, CandidateSet]) -> None:
    """No tablet is stopped for an election that a hold forbids anyway."""
    (chosen, _, _), candidates = drawn
    certain = certain_refusal(candidates, chosen)
    if certain is not None and certain.rule is Rule.HELD:
        assert isinstance(choose(candidates, chosen), Refusal)


def test_a_held_tablet_gives_what_it_has_to_another() -> None:
    """It is no winner, but a source and an acker like any other."""
    ahead = candidates(stopped(R1, "100:1-60"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50"))
    assert elected(ahead).winner == alias(R1)
    choice = elected(replace(ahead, held={alias(R1): WHY}))
    assert (choice.winner, choice.source) == (alias(R2), alias(R1))
    assert choice.removed[alias(R1)] == WHY


def test_only_what_a_hold_alone_forbids_is_refused_as_held() -> None:
    """A tablet that could not be promoted without the hold either does not count."""
    pair = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"))
    both = replace(pair, held={alias(R1): WHY, alias(R2): WHY})
    refusal = refused(both)
    assert refusal.rule is Rule.HELD
    assert refusal.sentence == f"not promoting: no tablet may become primary: {alias(R1)} {WHY}; {alias(R2)} {WHY}"
    late = replace(both, unreadable=frozenset({alias(R1), alias(R2)}))
    assert refused(late).rule is Rule.NO_CANDIDATE


def test_the_wish_of_an_operator_comes_before_cell_and_policy() -> None:
    """It orders those that may be promoted, and makes none promotable."""
    pair = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"))
    assert elected(pair).winner == alias(R1)
    assert elected(replace(pair, wishes={alias(R2): PromotionRule.PREFER})).winner == alias(R2)
    assert elected(replace(pair, wishes={alias(R1): PromotionRule.PREFER_NOT})).winner == alias(R2)


@pytest.mark.parametrize(
    ("on", "winner"), [(f"tablet:{R1}", R2), ("cell:zone1", R2), (f"tablet:{R2}", R1), ("cell:zone9", R1)]
)
def test_readiness_passes_over_what_is_held(on: str, winner: str) -> None:
    """It tells the reason, and which losses the shard does not survive any more."""
    found = ready(held(HEALTHY, hold(Effect.NOT_PROMOTABLE, on=on)))
    assert found.winner == alias(winner)
    assert (alias(R1) in found.removed) is (winner == R2)


def test_a_shard_without_a_promotable_replica_is_not_ready() -> None:
    """The sentence names the hold, while there is still time to lift it."""
    found = ready(held(HEALTHY, hold(Effect.NOT_PROMOTABLE)))
    assert (found.winner, found.rule) == (None, Rule.HELD)
    assert found.blocked_by[0].endswith(f"{alias(R2)} {WHY}")
    assert [loss.outcome for loss in found.losses.tablets] == [LossOutcome.NO_CANDIDATE]


def test_holds_of_a_view_become_those_of_its_election() -> None:
    """Each tablet has the narrowest wish and the hold that lasts longest."""
    view = held(
        HEALTHY,
        hold(Effect.NOT_PROMOTABLE, Effect.PREFER, on=f"tablet:{R1}"),
        hold(Effect.PREFER_NOT, Effect.NO_REPAIR, number=4),
    )
    assert held_back(view).keys() == {alias(R1)}
    assert wishes(view)[alias(R1)] is PromotionRule.PREFER
    assert wishes(view)[alias(R2)] is PromotionRule.PREFER_NOT
    assert policy("semi_sync").rules == ()
