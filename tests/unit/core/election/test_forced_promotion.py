"""What a person is told before a promotion that the election refuses, and what nobody can have."""

from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, gtids, stopped
from tests.unit.core.election.test_choice import candidates, member
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Refusal
from vtorc.core.election.forced_promotion import DataLossEstimate, estimate_data_loss
from vtorc.core.facts.durability import DurabilityPolicy, policy
from vtorc.core.facts.fitness import Fitness, Flaw
from vtorc.core.facts.gtid import EMPTY_GTID_SET
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.unfitness import Fact

R1, R2, R3 = "zone1-101", "zone2-200", "zone3-300"
SEMI_SYNC, NONE = policy("semi_sync"), policy("none")


def priced(candidates: CandidateSet, named: str, chosen: DurabilityPolicy = SEMI_SYNC) -> DataLossEstimate:
    found = estimate_data_loss(candidates, chosen, alias(named))
    assert isinstance(found, DataLossEstimate), found
    return found


def refused(candidates: CandidateSet, named: str, chosen: DurabilityPolicy = SEMI_SYNC) -> Refusal:
    found = estimate_data_loss(candidates, chosen, alias(named))
    assert isinstance(found, Refusal), found
    assert found.sentence.startswith("not promoting: ")
    return found


def test_both_sides_of_a_split_are_named_in_full() -> None:
    """Of two tablets that diverged, the price of each is every transaction of the other, and whose it is."""
    two = candidates(stopped(R1, "100:1-50,7:1-3"), stopped(R2, "100:1-50,8:1-2"), stopped(R3, "100:1-40"))
    one = priced(two, R1)
    assert one.left == {alias(R2): gtids("8:1-2")}
    assert one.sentence == (
        f"zone2-0000000200 has {gtids('8:1-2')}, which zone1-0000000101 lacks; "
        f"zone1-0000000101 alone has {gtids('7:1-3')}, which the other tablets will get"
    )
    assert priced(two, R2).lost == gtids("7:1-3")


def test_a_rebuilt_tablet_may_acknowledge_unless_it_has_more() -> None:
    """It tells nothing of the past, and becomes a replica of the tablet that is promoted."""
    alone = candidates(stopped(R1, "100:1-50"))
    assert "would get 0 of the 1" in refused(alone, R1).sentence
    for has, fits in (("100:1-40", True), ("100:1-40,7:1", False)):
        with_it = replace(alone, rebuilt_stopped={alias(P): stopped(P, has)})
        found = estimate_data_loss(with_it, SEMI_SYNC, alias(R1))
        assert isinstance(found, DataLossEstimate) == fits


def test_what_nobody_received_is_part_of_the_price() -> None:
    """What the last primary was seen to have committed and nobody has is named as gone."""
    found = priced(candidates(stopped(R1, "100:1-30"), stopped(R2, "100:1-30"), seen="100:1-50"), R1)
    assert (found.gone, found.left) == (gtids("100:31-50"), {})
    assert "was seen to have" in found.sentence


def test_who_was_not_reached_is_part_of_the_price() -> None:
    """Tablets that may hold acknowledged writes that nobody knows of have to be accepted by name."""
    dead = (member(P, TabletType.PRIMARY), member(R3))
    found = priced(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=dead), R1)
    assert found.unreached == {alias(P), alias(R3)}
    assert "zone3-0000000300" in found.sentence
    assert not found.loses_nothing


def test_a_cell_that_was_never_read_is_part_of_the_price() -> None:
    """Tablets that nobody knows of may hold more: their cell is named, and accepted with the rest or not at all."""
    blind = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), never_read_cells=frozenset({"zone4"}))
    found = priced(blind, R1)
    assert found.never_read_cells == {"zone4"}
    assert not found.loses_nothing
    assert "cell zone4 was never read" in found.sentence
    assert found.is_within(found)
    assert not found.is_within(replace(found, never_read_cells=frozenset({"zone5"})))


def test_a_server_without_a_record_is_part_of_the_price() -> None:
    """It may hold acknowledged writes alone, so that an operator has to accept it even if all tablets were reached."""
    ghosts = ObservedSemiSync(wait_counts={alias(P): 1}, unknown_ackers={alias(P): 1})
    found = priced(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=(), semi_sync=ghosts), R1)
    assert (found.unknown_ackers, found.unreached, found.lost) == (1, frozenset(), EMPTY_GTID_SET)
    assert "a server without a tablet record" in found.sentence
    assert not found.is_within(None)
    assert not found.is_within(replace(found, unknown_ackers=0))
    assert found.is_within(found)


def test_what_the_election_would_do_loses_nothing() -> None:
    """A tablet that the rules allow costs nothing, so that naming it is no more than a wish."""
    found = priced(candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50")), R2)
    assert found.loses_nothing
    assert found.is_within(None)
    assert found.sentence == "no known transaction gets lost"


def test_nothing_is_paid_while_another_tablet_costs_nothing() -> None:
    """A tablet that lacks what another has cannot be had at any price while that one could be promoted."""
    refusal = refused(candidates(stopped(R1, "100:1-40"), stopped(R2, "100:1-50"), stopped(R3, "100:1-30")), R1)
    assert refusal.rule == Rule.FORCED_NEEDLESS
    assert f"zone2-0000000200 has {gtids('100:41-50')}, which zone1-0000000101 lacks" in refusal.sentence
    assert refusal.sentence.endswith("would promote zone2-0000000200 and lose nothing")


@pytest.mark.parametrize(
    ("tablets", "named", "why"),
    [
        pytest.param((stopped(R1, "100:1"),), "zone9-900", "is no tablet of the shard", id="a stranger"),
        pytest.param((stopped(R1, "100:1"),), P, "was not reached", id="one that does not answer"),
        pytest.param(
            (stopped(R1, "100:1"), stopped(R2, "100:1", type_=TabletType.RDONLY)),
            R2,
            "is RDONLY, which the policy semi_sync never promotes",
            id="a type that is never promoted",
        ),
        pytest.param(
            (stopped(R1, "100:1-9", executed="100:1", applier_stopped="its SQL thread is stopped"), stopped(R2, "")),
            R1,
            "does not apply its relay log: its SQL thread is stopped",
            id="one whose applier is stopped",
        ),
        pytest.param(
            (stopped(R1, "100:1,7:1"), stopped(R2, "100:1,8:1")),
            R1,
            "would get 0 of the 1 acknowledgements that semi_sync requires",
            id="one to which nobody could be attached",
        ),
    ],
)
def test_what_is_impossible_has_no_price(tablets: tuple[StoppedTablet, ...], named: str, why: str) -> None:
    """Whatever anybody accepts, a tablet that cannot be the primary is refused with the reason."""
    refusal = refused(candidates(*tablets), named)
    assert refusal.rule == Rule.FORCED_IMPOSSIBLE
    assert why in refusal.sentence


def test_a_tablet_without_an_acker_that_is_able_has_no_price() -> None:
    """The only other tablet cannot acknowledge, so the tablet that is named would take no writes."""
    mute = Fitness(flaws=(Flaw(Fact.NO_SEMI_SYNC, "has no semi-sync plugin"),))
    two = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-40"), fitness={alias(R2): mute})
    refusal = refused(two, R1)
    assert refusal.rule == Rule.FORCED_IMPOSSIBLE
    assert "would get 0 of the 1 acknowledgements that semi_sync requires" in refusal.sentence


def test_a_clock_that_is_behind_has_no_price() -> None:
    """A tablet whose term would look older than the present one gives up at once, whatever anybody accepts."""
    late = candidates(stopped(R1, "100:1", clock=5), stopped(R2, "100:1", clock=5), newest_term=3_600_000_000_000)
    refusal = refused(late, R1)
    assert refusal.rule == Rule.FORCED_IMPOSSIBLE
    assert "has a clock that is 3600.0 s behind" in refusal.sentence


def test_an_unreadable_record_has_no_price() -> None:
    """A tablet whose record is garbage could not be written when it is promoted."""
    refusal = refused(candidates(stopped(R1, "100:1"), unreadable=frozenset({alias(R1)})), R1)
    assert "cannot be read" in refusal.sentence


def test_a_policy_without_acknowledgements_asks_for_nobody_to_give_them() -> None:
    """Where no acknowledgements are required, a tablet that stands alone can be the primary."""
    two = candidates(stopped(R1, "100:1-50,7:1"), stopped(R2, "100:1-50,8:1"))
    assert priced(two, R1, NONE).lost == gtids("8:1")


@pytest.mark.parametrize(
    ("accepted", "within"),
    [
        pytest.param(None, False, id="nothing"),
        pytest.param(
            DataLossEstimate(named=alias(R1), gone=gtids("8:1-9"), unreached=frozenset({alias(P)})), True, id="more"
        ),
        pytest.param(
            DataLossEstimate(named=alias(R1), gone=gtids("8:1-5"), unreached=frozenset({alias(P)})), True, id="the same"
        ),
        pytest.param(
            DataLossEstimate(named=alias(R1), gone=gtids("8:1-4"), unreached=frozenset({alias(P)})), False, id="fewer"
        ),
        pytest.param(DataLossEstimate(named=alias(R1), gone=gtids("8:1-9")), False, id="fewer tablets"),
        pytest.param(
            DataLossEstimate(named=alias(R2), gone=gtids("8:1-9"), unreached=frozenset({alias(P)})), False, id="another"
        ),
    ],
)
def test_only_what_was_accepted_is_paid(accepted: DataLossEstimate | None, within: bool) -> None:
    """A price is within another if that was for the same tablet and has all of its transactions and tablets."""
    found = DataLossEstimate(
        named=alias(R1), left={alias(R2): gtids("8:1-5")}, unreached=frozenset({alias(P)}), why_unreached="is missing"
    )
    assert found.is_within(accepted) is within


def test_no_price_loses_nothing() -> None:
    """A price of nothing needs no acceptance."""
    assert DataLossEstimate(named=alias(R1)).lost == EMPTY_GTID_SET
    assert DataLossEstimate(named=alias(R1)).is_within(None)


def test_a_choice_that_may_be_impossible_is_no_reason_to_refuse() -> None:
    """A price may be paid where the election would take the old primary, or somebody who has to fetch from it."""
    demoted = stopped(P, "100:1-52", type_=TabletType.PRIMARY, source=None, was_primary=True)
    found = priced(candidates(demoted, stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=()), R1)
    assert found.lost == gtids("100:51-52")


def test_what_another_tablet_holds_is_left_there_and_not_gone() -> None:
    """An operator can still fetch it from that tablet by hand."""
    found = priced(candidates(stopped(R1, "100:1-40,7:1"), stopped(R2, "100:1-50,8:1"), stopped(R3, "100:1-30")), R1)
    assert (found.gone, found.left) == (EMPTY_GTID_SET, {alias(R2): gtids("8:1,100:41-50")})


def test_what_a_filtered_tablet_received_is_not_gone_if_it_is_promoted() -> None:
    """Its rows may be missing, which is told apart from transactions that no tablet received."""
    filtered = {alias(R1): Fitness(flaws=(Flaw(Fact.FILTERS, "has filters"),))}
    found = priced(
        candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-40"), stopped(R3, "100:1-40"), fitness=filtered), R1
    )
    assert found.gone == EMPTY_GTID_SET
    assert found.unproven.startswith("has filters")


def test_a_cell_that_was_never_read_makes_no_known_tablet_part_of_the_price() -> None:
    """Beside it the arithmetic of the known tablets says that none of them is missing."""
    blind = candidates(stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), never_read_cells=frozenset({"zone4"}))
    found = priced(blind, R1)
    assert found.unreached == frozenset()
    assert found.why_unreached.count("zone4") == 1


def test_a_server_without_a_record_is_no_part_of_the_price_once_the_primary_was_stopped() -> None:
    """The primary holds all that such a server acknowledged."""
    ghosts = ObservedSemiSync(wait_counts={alias(P): 1}, unknown_ackers={alias(P): 1})
    demoted = stopped(P, "100:1-52", type_=TabletType.PRIMARY, source=None, was_primary=True)
    made = candidates(demoted, stopped(R1, "100:1-50"), stopped(R2, "100:1-50"), unreached=(), semi_sync=ghosts)
    found = priced(made, R1)
    assert (found.unknown_ackers, found.lost) == (0, gtids("100:51-52"))


def test_a_needless_loss_is_refused_with_what_the_election_says_of_the_others() -> None:
    """The operator sees which tablets could not have won either, and which transactions are errant."""
    strange = stopped("zone3-309", "100:1-50,309:1")
    made = candidates(stopped(R1, "100:1-40"), stopped(R2, "100:1-50"), stopped(R3, "100:1-30"), strange)
    refusal = refused(made, R1)
    assert refusal.rule is Rule.FORCED_NEEDLESS
    assert refusal.removed.keys() == {alias(P), strange.alias}
    assert refusal.errant == {strange.alias: gtids("309:1")}


def test_the_type_that_a_tablet_was_stopped_with_counts() -> None:
    """Its record may have been written since the shard was looked at."""
    made = candidates(stopped(R1, "100:1-50", type_=TabletType.RDONLY), stopped(R2, "100:1-50"))
    members = [member(R1), member(R2), member(P, TabletType.PRIMARY)]
    assert "is RDONLY" in refused(replace(made, members=members), R1).sentence


def test_a_server_that_runs_no_tablet_is_part_of_the_price() -> None:
    """All tablets were stopped, but follow a server that may have become primary: its writes have to be accepted."""
    followers = [stopped(name, "100:1-50", source="zone9-900") for name in (R1, R2)]
    lost = candidates(*followers, unreached=(), primary=None, primary_uuids=frozenset(), known="")
    found = priced(lost, R1)
    assert (found.lost, found.unreached, found.loses_nothing) == (EMPTY_GTID_SET, frozenset(), False)
    assert "which may have become primary and was not reached" in found.sentence
    assert found.is_within(found)
    assert not found.is_within(replace(found, is_elsewhere=False))
