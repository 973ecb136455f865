"""The ways in which a tablet may come to hold everything: their order, and what each of them does without."""

from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids, stopped, uuid
from tests.unit.core.election.test_choice import DEAD, R1, R2, R3, SEEN, candidates, elected, member, refused
from tests.unit.core.election.test_unfit import unfit
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.choice import Choice
from vtorc.core.facts.durability import policy
from vtorc.core.facts.fitness import Fitness, Flaw
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Fact

RDONLY_ACKS = policy("semi_sync_with_rdonly_ack")
FEEDER = "zone3-312"


def demoted(received: str, **changes: Any) -> Any:
    """The last primary, which was stopped as well."""
    return stopped(P, received, type_=TabletType.PRIMARY, source=None, was_primary=True, **changes)


def ways(choice: Choice) -> list[tuple[str, str | None]]:
    """Winner and source of each way, best first."""
    return [(str(way.winner), str(way.source) if way.source else None) for way in (choice, *choice.otherwise)]


def named(*pairs: tuple[str, str | None]) -> list[tuple[str, str | None]]:
    """The same from short names."""
    return [(str(alias(winner)), str(alias(source)) if source else None) for winner, source in pairs]


def lagging_applier(name: str, why: str) -> Any:
    """A replica that received everything and does not apply it."""
    return stopped(name, "100:1-50", executed="100:1-40", applier_stopped=why)


def test_a_tablet_whose_applier_is_stopped_comes_after_all_sound_ones() -> None:
    """It may still be the one that a promotion succeeds on, once the others failed."""
    assert ways(elected(candidates(lagging_applier(R1, "duplicate key"), stopped(R2, "100:1-50")))) == named(
        (R2, None), (R1, R2)
    )


def test_a_demoted_primary_wins_over_a_tablet_that_does_not_apply() -> None:
    """That one would be waited for in vain, while the old primary holds everything."""
    made = candidates(demoted("100:1-50"), lagging_applier(R1, "duplicate key"), unreached=())
    assert ways(elected(made)) == named((P, None), (R1, P))


def test_the_source_that_has_applied_most_is_fetched_from() -> None:
    """A source that lags has to apply first, and the fetch waits for that."""
    feeders = (
        stopped(FEEDER, "100:1-50", executed="100:1-40", type_=TabletType.RDONLY),
        stopped("zone3-313", "100:1-50", type_=TabletType.RDONLY),
    )
    assert elected(candidates(stopped(R1, "100:1-5"), *feeders, known="100:1-5"), RDONLY_ACKS).source == alias(
        "zone3-313"
    )


@pytest.mark.parametrize("fact", [Fact.NO_BINARY_LOG, Fact.GTID_MODE])
def test_a_former_primary_that_cannot_log_feeds_not_even_its_own_writes(fact: Fact) -> None:
    """Without binary logs, or without GTIDs, no tablet can fetch anything from it."""
    made = candidates(demoted("100:1-50"), stopped(R1, "100:1-40"), unreached=(), fitness={alias(P): unfit(fact)})
    assert refused(made).rule is Rule.UNFIT


def test_the_shortest_reason_why_a_source_feeds_no_tablet_is_told() -> None:
    """Each tablet that could win has its own, and an operator needs one to begin with."""
    flaw = Flaw(Fact.NO_REPLICA_UPDATES, "does not log what it receives")
    feeder = stopped(FEEDER, "100:1-50,312:1-5", type_=TabletType.RDONLY)
    made = candidates(
        stopped(R1, "100:1-40"), stopped(R2, "100:1-50"), feeder, known="100:1-50,312:1-5",
        fitness={feeder.alias: Fitness(flaws=(flaw,))}, purged={feeder.alias: gtids("312:1-2")},
    )  # fmt: skip
    assert refused(made, RDONLY_ACKS).sentence.endswith("zone3-0000000312 purged the missing ones")


# What bystanders hold


def spare(received: str) -> Any:
    """A SPARE that was stopped."""
    return stopped(R3, received, type_=TabletType.SPARE)


IN_SERVICE = stopped(R1, "100:1-50"), stopped(R2, "100:1-49")


def test_what_a_filtered_spare_names_is_not_wanted() -> None:
    """Its GTIDs prove no rows that another tablet could fetch, and it keeps none from a sound SPARE."""
    filtered = stopped("zone3-301", "100:1-52", type_=TabletType.SPARE)
    made = candidates(*IN_SERVICE, spare("100:1-51"), filtered, fitness={filtered.alias: unfit(Fact.FILTERS)})
    choice = elected(made)
    assert (choice.required, choice.source) == (gtids("100:1-51"), alias(R3))


def test_a_spare_saves_a_shard_whose_replicas_diverged() -> None:
    """Each replica lacks what the other has, and the SPARE has applied both."""
    apart = stopped(R1, "100:1-48,100:50"), stopped(R2, "100:1-49")
    assert refused(candidates(*apart)).rule is Rule.DIVERGED
    choice = elected(candidates(*apart, spare("100:1-51")))
    assert (choice.winner, choice.source, choice.required) == (alias(R1), alias(R3), gtids("100:1-51"))


def test_each_other_way_stands_alone() -> None:
    """All ways are in one list, whatever is done without in the later ones."""
    choice = elected(candidates(*IN_SERVICE, spare("100:1-51")))
    assert ways(choice) == named((R1, R3), (R2, R3), (R1, None), (R2, R1))
    assert not any(way.otherwise for way in choice.otherwise)


# What the old primary alone holds


def test_what_only_a_spare_has_is_done_without_after_what_only_the_old_primary_has() -> None:
    """If neither can be fetched, the tablets in service go on with what they hold."""
    made = candidates(
        demoted("100:1-52"), stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), spare("100:1-50,99:1"),
        unreached=(), semi_sync=SEEN, primary_uuids=frozenset({uuid(P), uuid(99)}),
    )  # fmt: skip
    choice = elected(made)
    required = [way.required for way in (choice, *choice.otherwise)]
    assert ways(choice) == named((R1, P), (R2, P), (R1, R3), (R2, R3), (R1, None))
    assert required == [gtids(each) for each in ("100:1-52", "100:1-52", "99:1,100:1-50", "99:1,100:1-50", "100:1-50")]
    assert not any(way.otherwise for way in choice.otherwise)


def test_nothing_stays_behind_where_the_old_primary_wins() -> None:
    """Its last writes are not given up, though the other tablets cannot fetch them."""
    made = candidates(
        demoted("100:1-52"), stopped(R1, "100:1-50"), stopped(R2, "100:1-50"),
        unreached=(), semi_sync=SEEN, purged={alias(P): gtids("100:1-51")},
    )  # fmt: skip
    assert ways(elected(made)) == named((P, None))


# Which transactions count, and what a refusal says


def test_filtered_tablets_cannot_have_acknowledged_what_a_stopped_primary_lacks() -> None:
    """The primary holds all that was acknowledged, so its filtered replicas need not be asked for more."""
    filtered = {alias(each): unfit(Fact.FILTERS) for each in (R2, R3)}
    strange = [stopped(each, "99:7,100:1-50") for each in (R2, R3)]
    made = candidates(
        demoted("100:1-50"), stopped(R1, "100:1-50"), *strange, unreached=(), fitness=filtered, known="100:1-40"
    )
    choice = elected(made)
    assert (choice.winner, choice.required) == (alias(R1), gtids("100:1-50"))


@pytest.mark.parametrize(
    ("type_", "held", "told"),
    [
        (TabletType.SPARE, "100:1-48,100:50", True),
        (TabletType.SPARE, "100:1-48", False),
        (TabletType.REPLICA, "100:1-48,100:50", False),
    ],
)
def test_how_to_give_up_what_a_tablet_out_of_service_has_alone(type_: TabletType, held: str, told: bool) -> None:
    """It is told of a tablet that acknowledged once, is out of service now, and has what no other has."""
    others = stopped(R1, "100:1-47,100:49"), stopped(R2, "100:1-48")
    made = candidates(
        *others, stopped(R3, held, type_=type_), semi_sync=ObservedSemiSync(past_ackers=frozenset({alias(R3)}))
    )
    assert ("to give them up, make it SPARE, then DRAINED" in refused(made).sentence) is told


def test_a_refusal_for_want_of_ackers_speaks_of_those_that_are_missing() -> None:
    """Whether a stopped tablet could win was not asked yet."""
    rdonly = stopped("zone1-112", "100:1-50", type_=TabletType.RDONLY)
    refusal = refused(candidates(stopped(R1, "100:1-50"), rdonly, unreached=(DEAD, member(R3))))
    assert refusal.rule is Rule.ACKERS_UNREACHED
    assert refusal.removed == {alias(P): "was not reached", alias(R3): "was not reached"}
    reached = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), rdonly)
    assert elected(reached).removed.keys() == {alias(P), rdonly.alias}
