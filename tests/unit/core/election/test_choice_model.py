"""Elections against random histories of which the truth is known."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.histories import World, change_primary, gtid_set, live, shards_of
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.choice import Choice, Refusal, certain_refusal, choose
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule, policy
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rules import Rule

T = TypeVar("T")

WITH_ACKS = ("semi_sync", "cross_cell", "semi_sync_with_rdonly_ack", "cross_cell_with_rdonly_ack")


@st.composite
def disasters(draw: st.DrawFn) -> tuple[DurabilityPolicy, CandidateSet, GtidSet]:
    """A policy, what an election knows after a random history, and what was acknowledged in truth.

    Sometimes the last failover did not come to the topology server's ears: then the primary that it names is gone, or
    has been a replica of its successor for a while.
    """
    chosen = policy(draw(st.sampled_from(WITH_ACKS)))
    world = World(chosen, shards_of(draw))
    live(draw, world, errant=True)
    hidden, is_gone = None, False
    for _ in range(draw(st.integers(0, 3))):
        before, seen = world.primary, world.seen
        if not change_primary(draw, world):
            break
        hidden = (before, seen) if not draw(st.integers(0, 2)) else None
        is_gone = hidden is not None and before.source is None
        if is_gone:
            world.servers.remove(before)
        live(draw, world, errant=True)
        if is_gone:
            world.servers.append(before)
        if hidden is not None:
            break
    gone = hidden[0] if hidden is not None else world.primary
    unreached = {gone.number} if is_gone or draw(st.integers(0, 1 if hidden else 4)) else set()
    if hidden is not None and draw(st.integers(0, 2)):
        unreached.add(world.primary.number)
    unreached |= {each.number for each in world.servers if not draw(st.integers(0, 5))}
    named = gone.member.alias if hidden or draw(st.integers(0, 5)) or gone.number not in unreached else None
    if hidden is not None:
        world.seen = hidden[1]
    reached = [each for each in world.servers if each.number not in unreached]
    candidates = world.candidates(reached, named=named)
    return chosen, candidates, gtid_set(world.acknowledged)


def ends_up_with(choice: Choice, candidates: CandidateSet) -> GtidSet:
    """What the winner has when it is promoted: fetching drops its relay log first."""
    stopped = candidates.stopped[choice.winner]
    return stopped.received if choice.source is None else stopped.executed.union(choice.required)


@given(disasters())
def test_no_acknowledged_write_is_lost(disaster: tuple[DurabilityPolicy, CandidateSet, GtidSet]) -> None:
    """Whoever is promoted, or may be in the winner's place, has every write that was ever acknowledged."""
    chosen, candidates, acknowledged = disaster
    choice = choose(candidates, chosen)
    if isinstance(choice, Refusal):
        return
    assert ends_up_with(choice, candidates).contains(acknowledged)
    for holder in choice.holders:
        assert candidates.stopped[holder].received.contains(acknowledged)
    if choice.source is not None:
        assert candidates.stopped[choice.source].received.contains(choice.required)


@given(disasters())
def test_the_winner_can_be_primary(disaster: tuple[DurabilityPolicy, CandidateSet, GtidSet]) -> None:
    """It was reached, the policy lets it, and enough ackers that can follow it were reached."""
    chosen, candidates, _ = disaster
    choice = choose(candidates, chosen)
    if isinstance(choice, Refusal):
        return
    for alias in {choice.winner, *choice.holders}:
        winner = candidates.stopped[alias].member
        assert chosen.promotion_rule(winner) is not PromotionRule.MUST_NOT
        ackers = [
            each
            for each in candidates.stopped.values()
            if chosen.may_ack(winner, each.member) and choice.required.contains(each.received)
        ]
        assert len(ackers) >= chosen.required_acks(winner)


@given(disasters(), st.randoms(use_true_random=False))
def test_observers_agree(disaster: tuple[DurabilityPolicy, CandidateSet, GtidSet], random: Random) -> None:
    """The outcome does not depend on the order in which tablets are listed or answered."""
    chosen, candidates, _ = disaster
    shuffled = replace(
        candidates,
        members=_shuffled(candidates.members, random),
        stopped={alias: candidates.stopped[alias] for alias in _shuffled(list(candidates.stopped), random)},
    )
    assert choose(candidates, chosen) == choose(shuffled, chosen)


def _shuffled(items: Sequence[T], random: Random) -> list[T]:
    mixed = list(items)
    random.shuffle(mixed)
    return mixed


@st.composite
def plain_losses(draw: st.DrawFn) -> tuple[DurabilityPolicy, CandidateSet]:
    """A primary that dies while all others are reached, after a history without errant writes or failovers."""
    chosen = policy(draw(st.sampled_from((*WITH_ACKS, "none"))))
    world = World(chosen, shards_of(draw))
    live(draw, world, errant=False)
    named: TabletAlias | None = world.primary.member.alias
    return chosen, world.candidates(world.servers[1:], named=named)


@given(plain_losses())
def test_a_dead_primary_is_replaced(loss: tuple[DurabilityPolicy, CandidateSet]) -> None:
    """If all others are reached, somebody is promoted as soon as one of them may be primary and finds ackers."""
    chosen, candidates = loss
    members = [each.member for each in candidates.stopped.values()]
    able = [
        each
        for each in members
        if chosen.promotion_rule(each) is not PromotionRule.MUST_NOT
        and sum(chosen.may_ack(each, other) for other in members) >= chosen.required_acks(each)
    ]
    choice = choose(candidates, chosen)
    assert isinstance(choice, Choice) == bool(able)
    if isinstance(choice, Refusal):
        assert choice.rule == Rule.NO_CANDIDATE


@given(disasters())
def test_what_is_hopeless_unread_is_refused_once_read(disaster: tuple[DurabilityPolicy, CandidateSet, GtidSet]) -> None:
    """An election that is given up before anything is stopped would have refused afterwards."""
    chosen, candidates, _ = disaster
    unread = {
        alias: replace(stopped, executed=EMPTY_GTID_SET, received=EMPTY_GTID_SET)
        for alias, stopped in candidates.stopped.items()
    }
    if certain_refusal(replace(candidates, stopped=unread), chosen) is not None:
        assert isinstance(choose(candidates, chosen), Refusal)
