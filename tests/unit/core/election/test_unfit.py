"""Elections among tablets that are not fit for everything."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import (
    NOW,
    P,
    alias,
    by_alias,
    changed,
    client_count,
    failing,
    filtering,
    gtids,
    primary,
    replica,
    shard,
    stopped,
)
from tests.unit.core.election.test_choice import candidates, elected, refused
from tests.unit.core.election.test_forced_promotion import priced
from tests.unit.core.election.test_forced_promotion import refused as refused_by_force
from tests.unit.core.shards import R2 as REPLICA_2
from tests.unit.core.shards import P as PRIMARY
from tests.unit.core.shards import R as REPLICA
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, choose
from vtorc.core.election.survivability import LossOutcome, can_make_progress, survives
from vtorc.core.facts.durability import policy
from vtorc.core.facts.fitness import Fitness, Flaw
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Fact

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, NONE = policy("semi_sync"), policy("none")


def unfit(*facts: Fact, **changes: Any) -> Fitness:
    """The fitness of a tablet against which these facts speak."""
    return Fitness(flaws=tuple(Flaw(fact, f"shows {fact.value}") for fact in facts), **changes)


FILTERED = {alias(R1): unfit(Fact.FILTERS)}


def test_a_filtered_replica_neither_wins_nor_proves_anything() -> None:
    """A replica with filters has received every transaction by its GTIDs, and a sound one is promoted instead."""
    choice = elected(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness=FILTERED))
    assert (choice.winner, choice.holders, choice.source) == (alias(R2), (alias(R2),), None)
    assert choice.removed[alias(R1)] == f"shows replication filters ({Fact.FILTERS.traits.remedy})"


def test_a_write_that_only_a_filtered_replica_may_have_acknowledged_is_not_given_up() -> None:
    """Without another holder of a transaction that may be acknowledged, the election names tablet, reason and
    transactions.
    """
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-48"), fitness=FILTERED))
    assert refusal.rule is Rule.UNFIT
    assert f"only zone1-0000000101 received {gtids('100:49-50').brief()}" in refusal.sentence
    assert Fact.FILTERS.traits.remedy in refusal.sentence


@pytest.mark.parametrize(
    ("why", "chosen", "changes"),
    [
        ("the policy asks for none", NONE, {}),
        ("it is of a type that never acknowledges", SEMI_SYNC, {"type_": TabletType.RDONLY}),
        ("two acknowledgements were waited for, and one other acker is sound", SEMI_SYNC, {"acks": 2}),
    ],
)
def test_what_a_filtered_replica_alone_cannot_have_acknowledged_need_not_survive(
    why: str, chosen: Any, changes: dict[str, Any]
) -> None:
    """The transactions that it received first and that were never acknowledged hold no failover up."""
    del why
    kind = changes.get("type_", TabletType.REPLICA)
    if changes.get("acks"):
        chosen = type(chosen)(name="two", acks=2, ackers=chosen.ackers)
    shown = candidates(
        stopped(R1, "100:1-50", type_=kind), stopped(R2, "100:1-48"), stopped(R3, "100:1-48"), fitness=FILTERED
    )
    assert elected(shown, chosen).required == gtids("100:1-48")


def test_before_the_first_primary_nothing_was_acknowledged() -> None:
    """What a filtered tablet alone holds stops no first election."""
    shown = candidates(
        stopped(R1, "100:1-50"), stopped(R2, "100:1-48"), unreached=(), fitness=FILTERED, primary=None, first_term=True
    )
    assert elected(shown).required == gtids("100:1-48")


def test_a_filtered_replica_that_acknowledged_against_the_policy_counts() -> None:
    """What was seen to acknowledge is an acker whatever its type is."""
    shown = candidates(
        stopped(R1, "100:1-50", type_=TabletType.RDONLY),
        stopped(R2, "100:1-48"),
        stopped(R3, "100:1-48"),
        fitness=FILTERED,
        semi_sync=ObservedSemiSync(past_ackers=frozenset({alias(R1)})),
    )
    assert refused(shown).rule is Rule.UNFIT


@pytest.mark.parametrize(
    ("memory", "executed", "promotes"),
    [
        pytest.param(
            {"may_ack_until": NOW - 20}, "100:1-48", True, id="it was off long before the primary was last seen"
        ),
        pytest.param({"may_ack_until": NOW - 4}, "100:1-48", False, id="it was switched off a moment before that"),
        pytest.param({"may_ack_until": math.inf}, "100:1-48", False, id="it is on"),
        pytest.param({"unknown_until": NOW - 20}, "100:1-48", True, id="it was never seen on, since long before"),
        pytest.param({"unknown_until": NOW - 4}, "100:1-48", False, id="it was first heard a moment before that"),
        pytest.param({"may_ack_until": NOW - 20}, "100:1-47", False, id="the sound tablets lack what the primary had"),
    ],
)
def test_a_filtered_replica_that_did_not_acknowledge_holds_no_failover_up(
    memory: dict[str, Any], executed: str, promotes: bool
) -> None:
    """What a filtered replica with its semi-sync off received last, no acker had, so it need not survive."""
    one = changed(filtering(R1, semi_sync=False), **memory)
    dead = primary(dead_for=3.0, executed="100:1-48")
    view = shard(dead, one, replica(R2, executed=executed), replica(R3, executed=executed))
    held = by_alias([stopped(R1, "100:1-50"), stopped(R2, executed), stopped(R3, executed)])
    outcome = choose(candidate_set(view, SEMI_SYNC, held), SEMI_SYNC)
    assert isinstance(outcome, Choice) is promotes
    if isinstance(outcome, Choice):
        assert (outcome.winner, outcome.required) == (alias(R2), gtids(executed))


@pytest.mark.parametrize("chosen", [SEMI_SYNC, NONE], ids=["semi_sync", "none"])
def test_a_shard_of_filtered_replicas_has_no_heir(chosen: Any) -> None:
    """If no reached tablet proves that it has the data, none is promoted, under any policy."""
    both = {**FILTERED, alias(R2): unfit(Fact.FILTERS)}
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness=both), chosen)
    assert refusal.rule is Rule.UNFIT
    assert "no reached tablet proves by its GTIDs that it has the data" in refusal.sentence


def test_nothing_is_fetched_from_a_filtered_replica() -> None:
    """Its binary log names the transactions and lacks their rows."""
    shown = candidates(
        stopped(R1, "100:1-50", type_=TabletType.RDONLY), stopped(R2, "100:1-40"), stopped(R3, "100:1-50"),
        fitness={**FILTERED, alias(R3): unfit(Fact.NEWER_RELEASE)},
    )  # fmt: skip
    choice = elected(shown)
    assert (choice.winner, choice.source) == (alias(R2), alias(R3))
    assert all(way.source != alias(R1) for way in choice.otherwise)


@pytest.mark.parametrize(
    "fact", [fact for fact in Fact if fact not in (Fact.FILTERS, Fact.NO_BINARY_LOG, Fact.GTID_MODE, Fact.NO_SEMI_SYNC)]
)
def test_a_last_choice_wins_only_if_no_other_can(fact: Fact) -> None:
    """Such a tablet comes after a sound one that holds as much, and is promoted where it is alone."""
    flawed = {alias(R1): unfit(fact)}
    shown = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness=flawed)
    assert elected(shown).holders == (alias(R2), alias(R1))
    rdonly = stopped(R2, "100:1-50", type_=TabletType.RDONLY)
    alone = candidates(stopped(R1, "100:1-50"), rdonly, fitness=flawed)
    assert elected(alone, policy("semi_sync_with_rdonly_ack")).winner == alias(R1)


@pytest.mark.parametrize("fact", [Fact.FILTERS, Fact.NO_BINARY_LOG, Fact.GTID_MODE, Fact.NO_SEMI_SYNC])
def test_what_cannot_lead_never_wins(fact: Fact) -> None:
    """Where only such a tablet is left, the refusal says what it lacks and what to do."""
    rdonly = stopped(R2, "100:1-50", type_=TabletType.RDONLY)
    shown = candidates(stopped(R1, "100:1-50"), rdonly, fitness={alias(R1): unfit(fact)})
    refusal = refused(shown, policy("semi_sync_with_rdonly_ack"))
    assert refusal.rule is Rule.NO_CANDIDATE
    assert f"zone1-0000000101 shows {fact.value} ({fact.traits.remedy})" in refusal.sentence


def test_a_tablet_behind_fetches_only_from_one_that_logs_what_it_received() -> None:
    """A holder without log_replica_updates feeds nobody, but may win itself where no other can."""
    flawed = {alias(R2): unfit(Fact.NO_REPLICA_UPDATES)}
    choice = elected(candidates(stopped(R1, "100:1-40"), stopped(R2, "100:1-50"), fitness=flawed))
    assert (choice.winner, choice.source, choice.otherwise) == (alias(R2), None, ())
    rdonly = stopped("zone3-312", "100:1-50", type_=TabletType.RDONLY)
    shown = candidates(stopped(R1, "100:1-40"), rdonly, fitness={rdonly.alias: unfit(Fact.NO_REPLICA_UPDATES)})
    refusal = refused(shown, policy("semi_sync_with_rdonly_ack"))
    assert refusal.rule is Rule.UNFIT
    assert f"zone3-0000000312 shows {Fact.NO_REPLICA_UPDATES.value}" in refusal.sentence


@pytest.mark.parametrize(("received", "feeds"), [("100:1-40", True), ("99:1-3,100:1-40", False)])
def test_a_former_primary_without_replica_updates_feeds_its_own_writes(received: str, feeds: bool) -> None:
    """The primary logs what it wrote itself; what it had received as replica it cannot give to others."""
    everything = "99:1-4,100:1-50" if not feeds else "100:1-50"
    old = stopped(P, everything, type_=TabletType.PRIMARY, source=None, was_primary=True)
    shown = candidates(
        old, stopped(R1, received), stopped(R2, received), unreached=(), known="100:1-50",
        fitness={alias(P): unfit(Fact.NO_REPLICA_UPDATES)},
    )  # fmt: skip
    outcome = choose(shown, SEMI_SYNC)
    assert isinstance(outcome, Choice)
    assert (outcome.source == alias(P)) is feeds


def test_tablets_of_one_identity_are_no_ackers_of_each_other() -> None:
    """Two replicas with one server_uuid cannot replicate from each other, so the first commit would wait for ever."""
    twins = {alias(R1): unfit(Fact.SHARED_UUID, twins=frozenset({alias(R2)}))}
    twins[alias(R2)] = unfit(Fact.SHARED_UUID, twins=frozenset({alias(R1)}))
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness=twins))
    assert refusal.rule is Rule.NO_CANDIDATE
    assert "would get 0 of the 1 acknowledgements that semi_sync requires, as zone2-0000000200 has the same" in (
        refusal.sentence
    )
    third = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50"), fitness=twins)
    assert elected(third).winner == alias(R3)


def test_nothing_is_fetched_from_a_twin() -> None:
    """A tablet that lacks transactions cannot replicate from one with its own identity."""
    twins = {alias(R1): unfit(Fact.SHARED_ID, twins=frozenset({alias(R2)}))}
    rdonly = stopped(R2, "100:1-50", type_=TabletType.RDONLY)
    shown = candidates(stopped(R1, "100:1-40"), rdonly, stopped(R3, "100:1-30"), fitness=twins)
    choice = elected(shown, policy("semi_sync_with_rdonly_ack"))
    assert [(way.winner, way.source) for way in (choice, *choice.otherwise)] == [(alias(R3), alias(R2))]


def test_mysql_may_wait_for_more_acknowledgements_than_the_policy() -> None:
    """A tablet whose MySQL would wait for two acknowledgements is not promoted where one can be given."""
    waits = {alias(each): Fitness(wait_count=2) for each in (R1, R2, R3)}
    refusal = refused(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), fitness=waits))
    assert refusal.rule is Rule.NO_CANDIDATE
    assert "would get 1 of the 2 acknowledgements that its MySQL waits for" in refusal.sentence
    three = stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), stopped(R3, "100:1-50")
    assert elected(candidates(*three, fitness=waits)).winner == alias(R1)
    assert elected(candidates(*three[:2], fitness=waits), NONE).winner == alias(R1)


def test_an_operator_is_told_that_a_filtered_tablet_may_lack_any_row() -> None:
    """A filtered tablet can be promoted by force, once the operator accepts that its GTIDs prove nothing."""
    shown = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), stopped(R3, "100:1-40"), fitness=FILTERED)
    shown = replace(shown, semi_sync=ObservedSemiSync(wait_counts={alias(P): 0}))
    price = priced(shown, R1)
    assert not price.loses_nothing
    assert "any transaction may lack rows: zone1-0000000101 shows replication filters" in price.sentence
    assert price.is_within(price)
    assert not price.is_within(replace(price, unproven=""))


def test_what_only_a_filtered_tablet_received_is_gone_for_another() -> None:
    """The GTIDs of a filtered tablet do not count as a copy of what the last primary was seen to have."""
    shown = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-40"), stopped(R3, "100:1-40"), fitness=FILTERED)
    assert priced(shown, R2).gone == gtids("100:41-50")


def test_no_acceptance_lets_a_tablet_without_binary_logs_lead() -> None:
    """A server that no replica can follow takes no writes, whatever is accepted."""
    shown = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-40"), fitness={alias(R1): unfit(Fact.NO_BINARY_LOG)})
    assert refused_by_force(shown, R1).rule is Rule.FORCED_IMPOSSIBLE


@pytest.mark.parametrize("filters", [False, True])
def test_a_filtered_tablet_excuses_no_other(filters: bool) -> None:
    """An acker that was down before need not be asked if sound tablets have all that the primary had by then."""
    one = filtering(R1) if filters else replica(R1)
    behind, down = replica(R2, executed="100:1-40"), failing(replica(R3), for_=20.0)
    view = shard(primary(dead_for=3.0), one, behind, down, client_count=client_count())
    held = by_alias([stopped(R1, "100:1-50"), stopped(R2, "100:1-40")])
    found = candidate_set(view, SEMI_SYNC, held)
    assert (alias(R3) in found.exempt) is not filters
    assert found.proving.keys() == {alias(R2)} | (set() if filters else {alias(R1)})


@pytest.mark.parametrize(
    ("flawed", "outcome"),
    [
        (Fitness(), LossOutcome.FAILOVER),
        (unfit(Fact.FILTERS), LossOutcome.NO_CANDIDATE),
        (Fitness(wait_count=2), LossOutcome.NO_CANDIDATE),
    ],
)
def test_readiness_counts_what_is_fit(flawed: Fitness, outcome: LossOutcome) -> None:
    """A replica that cannot lead or is no acker to rely on does not make the shard survive the loss of its primary."""
    shown = {alias(str(REPLICA)): flawed, alias(str(REPLICA_2)): unfit(Fact.NO_BINARY_LOG)}
    members = (PRIMARY, REPLICA, REPLICA_2)
    survival = survives(SEMI_SYNC, PRIMARY, members=members, available=members, fitness=shown)
    assert next(loss.outcome for loss in survival.tablets if PRIMARY in loss.lost) is outcome


def test_a_filtered_acker_may_have_been_the_only_one() -> None:
    """A shard whose filtered replica acknowledges may lose acknowledged writes with its primary."""
    third = type(PRIMARY)(alias(R3), TabletType.REPLICA)
    members = (PRIMARY, REPLICA, REPLICA_2, third)
    for shown, outcome in ({}, LossOutcome.FAILOVER), (FILTERED, LossOutcome.FAILOVER_MAY_LOSE):
        survival = survives(SEMI_SYNC, PRIMARY, members=members, available=members, fitness=shown)
        assert next(loss.outcome for loss in survival.tablets if PRIMARY in loss.lost) is outcome


def test_an_acker_for_want_of_others_is_no_headroom() -> None:
    """A filtered replica keeps writes going and no write safe."""
    shown = {alias(str(REPLICA)): unfit(Fact.FILTERS)}
    progress = can_make_progress(SEMI_SYNC, PRIMARY, available=(PRIMARY, REPLICA, REPLICA_2), fitness=shown)
    assert progress.ackers == (REPLICA_2,)
