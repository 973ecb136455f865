from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.shards import D2, R2, VITESS_SHARD, D, P, R, aliases, policies, shards
from vtorc.core.election.ack_arithmetic import AckGuarantee, can_hold_unseen_ack
from vtorc.core.election.survivability import AckHeadroom, LossOutcome, can_make_progress, survives
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule, policy
from vtorc.core.facts.fitness import Fitness, Flaw
from vtorc.core.facts.unfitness import Fact

Shard = tuple[Member, ...]


@pytest.mark.parametrize(
    ("name", "available", "possible", "sentence"),
    [
        ("none", (P,), True, "zone1-0000000100 needs no acknowledgements"),
        ("none", (R, R2), False, "zone1-0000000100 is not available"),
        ("semi_sync", (P, D, D2), False, "zone1-0000000100 needs 1 acknowledgement, has 0 that may give one"),
        ("semi_sync", (P, R), True, "zone1-0000000100 needs 1 acknowledgement, has 1 that may give one"),
        ("cross_cell", (P, R, D, D2), False, "zone1-0000000100 needs 1 acknowledgement, has 0 that may give one"),
        ("cross_cell", (P, R2), True, "zone1-0000000100 needs 1 acknowledgement, has 1 that may give one"),
        ("semi_sync", (R, R2), False, "zone1-0000000100 is not available"),
    ],
)
def test_progress_is_judged_as_by_vitess(name: str, available: Shard, possible: bool, sentence: str) -> None:
    """A primary takes writes if it is there and enough of the others may acknowledge: Vitess' canEstablish."""
    progress = can_make_progress(policy(name), P, available=available)
    assert progress.is_possible is possible
    assert str(progress) == sentence


@given(policies, shards, st.data())
def test_headroom_is_what_can_be_lost_before_writes_stop(
    chosen: DurabilityPolicy, members: Shard, data: st.DataObject
) -> None:
    """Any `headroom` ackers may go, and one more may not."""
    primary = data.draw(st.sampled_from(members))
    progress = can_make_progress(chosen, primary, available=members)
    for size in range(len(progress.ackers) + 1):
        for lost in combinations(progress.ackers, size):
            left = [each for each in members if each not in lost]
            assert can_make_progress(chosen, primary, available=left).is_possible == (size <= progress.headroom)


@pytest.mark.parametrize(
    ("name", "members", "tablets", "cells"),
    [
        (
            "semi_sync",
            VITESS_SHARD,
            {"zone1-0000000100": LossOutcome.FAILOVER},
            {"zone1": LossOutcome.NO_CANDIDATE},
        ),
        (
            "cross_cell",
            VITESS_SHARD,
            {"zone2-0000000200": LossOutcome.WRITES_STALL},
            {"zone1": LossOutcome.NO_CANDIDATE},
        ),
        (
            "none",
            VITESS_SHARD,
            {"zone1-0000000100": LossOutcome.FAILOVER_MAY_LOSE},
            {"zone1": LossOutcome.FAILOVER_MAY_LOSE},
        ),
        (
            "semi_sync",
            (P, R),
            {"zone1-0000000100": LossOutcome.NO_CANDIDATE, "zone1-0000000101": LossOutcome.WRITES_STALL},
            {"zone1": LossOutcome.NO_CANDIDATE},
        ),
        (
            "cross_cell_with_rdonly_ack",
            (P, R, R2, D2),
            {"zone1-0000000100": LossOutcome.FAILOVER, "zone2-0000000200": LossOutcome.WRITES_CONTINUE},
            {"zone1": LossOutcome.NO_CANDIDATE, "zone2": LossOutcome.WRITES_STALL},
        ),
    ],
)
def test_each_loss_has_its_outcome(
    name: str, members: Shard, tablets: dict[str, LossOutcome], cells: dict[str, LossOutcome]
) -> None:
    """Known shards lose one tablet or one cell with known consequences."""
    survival = survives(policy(name), P, members=members, available=members)
    assert {str(loss.lost[0]): loss.outcome for loss in survival.tablets}.items() >= tablets.items()
    assert {loss.lost[0].cell: loss.outcome for loss in survival.cells}.items() >= cells.items()


def test_three_cells_survive_any_loss() -> None:
    """One replica in each of two further cells is enough for cross-cell durability, and the sentence says so."""
    third = Member(type(R.alias)("zone3", 300), R.type)
    members = (P, R2, third)
    survival = survives(policy("cross_cell"), P, members=members, available=members)
    assert str(survival) == "survives the loss of any one tablet and of any one cell"


def test_what_is_not_survived_is_named() -> None:
    """The sentence lists each loss that stops writes or may lose some."""
    survival = survives(policy("semi_sync"), P, members=(P, R), available=(P, R))
    assert str(survival) == (
        "without tablet zone1-0000000100 no other tablet can become primary and take writes; "
        "without tablet zone1-0000000101 the primary lives but waits for acknowledgements in vain; "
        "without cell zone1 no other tablet can become primary and take writes"
    )


def test_what_is_left_after_a_loss_is_told() -> None:
    """The primary with the ackers that it keeps, the best successor with its own, or nothing without one."""
    filtered = {D.alias: Fitness(flaws=(Flaw(Fact.FILTERS, "has filters"),))}
    members, chosen = (P, R, D, R2), policy("semi_sync_with_rdonly_ack")
    survival = survives(chosen, P, members=members, available=members, fitness=filtered)
    left = {loss.lost[0]: loss.progress for loss in survival.tablets}
    assert left[R] == AckHeadroom(P, is_available=True, required=1, ackers=(R2,))
    assert left[P] == AckHeadroom(R, is_available=True, required=1, ackers=(R2,))
    alone = survives(chosen, P, members=(P, R), available=(P, R))
    assert [loss.progress for loss in alone.tablets] == [None, AckHeadroom(P, True, 1, ())]


def test_an_acker_for_want_of_others_keeps_no_writes_safe() -> None:
    """A filtered replica may acknowledge on, but the loss of the only other acker counts as a stall."""
    filtered = {R.alias: Fitness(flaws=(Flaw(Fact.FILTERS, "has filters"),))}
    survival = survives(policy("semi_sync"), P, members=(P, R, R2), available=(P, R, R2), fitness=filtered)
    outcomes = {loss.lost[0]: loss.outcome for loss in survival.tablets}
    assert outcomes[R2] is LossOutcome.WRITES_STALL


def test_a_tablet_that_is_down_already_may_hold_the_only_copy() -> None:
    """With one acker gone, losing the primary too may lose what only that acker had."""
    third = Member(type(R.alias)("zone3", 300), R.type)
    survival = survives(policy("semi_sync"), P, members=(P, R, R2, third), available=(P, R, R2))
    outcomes = {loss.lost[0]: loss.outcome for loss in survival.tablets}
    assert outcomes == {
        P: LossOutcome.FAILOVER_MAY_LOSE,
        R: LossOutcome.WRITES_CONTINUE,
        R2: LossOutcome.WRITES_CONTINUE,
    }


@given(policies, shards, st.data())
def test_outcomes_agree_with_what_is_left(chosen: DurabilityPolicy, members: Shard, data: st.DataObject) -> None:
    """Every tablet and every cell is lost once, and each outcome follows from the members that are left."""
    primary = data.draw(st.sampled_from(members))
    survival = survives(chosen, primary, members=members, available=members)
    assert [loss.lost for loss in survival.tablets] == [(each,) for each in sorted(members, key=lambda one: one.alias)]
    assert {each for loss in survival.cells for each in loss.lost} == set(members)
    for loss in (*survival.tablets, *survival.cells):
        left = [each for each in members if each not in loss.lost]
        able = [
            each
            for each in left
            if chosen.promotion_rule(each) is not PromotionRule.MUST_NOT
            and sum(chosen.may_ack(each, other) for other in left) >= chosen.required_acks(each)
        ]
        held = can_hold_unseen_ack(chosen, primary, members=members, reached=aliases(*left))
        if primary in left:
            enough = sum(chosen.may_ack(primary, other) for other in left) >= chosen.required_acks(primary)
            expected = LossOutcome.WRITES_CONTINUE if enough else LossOutcome.WRITES_STALL
        elif not able:
            expected = LossOutcome.NO_CANDIDATE
        elif held in (AckGuarantee.OPEN, AckGuarantee.NONE):
            expected = LossOutcome.FAILOVER_MAY_LOSE
        else:
            expected = LossOutcome.FAILOVER
        assert loss.outcome is expected
