"""Which tablets' writes may still be acknowledged, or may have been, and how a promotion is argued."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids, stopped
from tests.unit.core.election.test_choice import (
    CROSS_CELL,
    DEAD,
    NONE,
    R1,
    R2,
    R3,
    SEEN,
    SEMI_SYNC,
    candidates,
    elected,
    member,
    refused,
)
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.revocation import unrevoked
from vtorc.core.election.unacknowledged_tail import unacknowledged_tail
from vtorc.core.election.unseen_promotions import possible_unseen_writer
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule

NEAR, HEIR, ITS_ACKER = "zone1-109", "zone3-300", "zone3-301"
BOTH = stopped(R1, "100:1-50"), stopped(R2, "100:1-50")


def demoted(received: str = "100:1-50") -> Any:
    """The last primary, which was stopped as well."""
    return stopped(P, received, type_=TabletType.PRIMARY, source=None, was_primary=True)


def test_a_primary_without_a_name_is_called_unknown() -> None:
    """The refusal says which tablets may have acknowledged its writes, and what an operator can do."""
    nameless = candidates(*BOTH, unreached=(member(R3),), primary=None, newest_term=10)
    assert refused(nameless).sentence.startswith(
        "not promoting: the last primary is unknown; zone3-0000000300 was not reached and may have acknowledged"
    )
    argument = elected(replace(nameless, members=[member(R1), member(R2)])).argument.sentence
    assert argument.startswith("the lost primary can no longer commit")


@pytest.mark.parametrize(
    ("primary", "has_record", "term", "blocks"),
    [(P, True, 10, True), (P, False, 10, False), (P, False, 0, True), (None, False, 0, True), (None, False, 10, False)],
)
def test_followers_of_an_unknown_server_block_unless_an_operator_deleted_the_primary(
    primary: str | None, has_record: bool, term: int, blocks: bool
) -> None:
    """A primary that a record names since a term, and that has no tablet record, was deleted."""
    followers = [stopped(each, "100:1-50", source="zone9-900") for each in (R1, R2)]
    made = candidates(
        *followers, unreached=(DEAD,) if has_record else (), primary_uuids=frozenset(), known="", newest_term=term
    )
    said = unrevoked(replace(made, primary=alias(primary) if primary else None), SEMI_SYNC)
    assert bool(said) is blocks
    if blocks:
        how = "does not replicate from zone1-0000000100 but from server" if primary else "replicates from server"
        assert f"zone1-0000000101, zone2-0000000200 {how}" in said
        assert "if that server is gone for good, promote a tablet by hand (vtorc ctl force, or" in said
        assert said.endswith("; if it does not belong to this shard, change the tablet's type to DRAINED")


def test_what_a_deleted_primary_was_seen_to_have_need_not_be_found() -> None:
    """An operator who deletes its record gives up what it alone may have."""
    made = candidates(*BOTH, seen="100:1-52")
    assert refused(made).rule is Rule.BELOW_LAST_SEEN
    assert elected(replace(made, members=[member(R1), member(R2)])).winner == alias(R1)


# Promotions that may have gone unseen


def test_without_acknowledgements_a_promotion_that_went_unseen_blocks_where_the_primary_was_stopped() -> None:
    """The primary takes no writes any more, and the other one may; where both are gone, neither is worse."""
    unseen: dict[str, Any] = {"unseen_promotions": frozenset({alias(R3)})}
    refusal = refused(candidates(demoted(), *BOTH, unreached=(member(R3),), **unseen), NONE)
    assert refusal.sentence.endswith("cell zone3 cannot be read, so zone3-0000000300 may have become primary unseen")
    assert elected(candidates(*BOTH, unreached=(DEAD, member(R3)), **unseen), NONE).winner == alias(R1)


@pytest.mark.parametrize("acker_was_seen", [True, False])
def test_a_tablet_that_was_seen_to_acknowledge_may_do_so_for_a_promotion_that_went_unseen(acker_was_seen: bool) -> None:
    """The policy does not ask it, as it is in the same cell, and MySQL does not care."""
    seen = ObservedSemiSync(past_ackers=frozenset({alias(ITS_ACKER)} if acker_was_seen else ()))
    made = candidates(
        demoted(), *BOTH,
        unreached=(member(HEIR), member(ITS_ACKER)), unseen_promotions=frozenset({alias(HEIR)}), semi_sync=seen,
    )  # fmt: skip
    said = unrevoked(made, CROSS_CELL)
    assert bool(said) is acker_was_seen
    if acker_was_seen:
        assert said.endswith("to exclude that, reach one of zone3-0000000300, zone3-0000000301")


def test_a_promotion_that_went_unseen_is_judged_by_its_own_ackers() -> None:
    """That the last primary waited for none says nothing about a tablet that no missing one acknowledges for."""
    members = [DEAD, member(NEAR), member(R2)]
    seen = ObservedSemiSync(wait_counts={alias(P): 0})
    said = possible_unseen_writer(
        CROSS_CELL, frozenset({alias(NEAR)}), members=members, reached=frozenset({alias(R2)}), seen=seen
    )
    assert said == ""
    said = possible_unseen_writer(CROSS_CELL, frozenset({alias(NEAR)}), members=members, reached=frozenset(), seen=seen)
    assert said.endswith("to exclude that, reach one of zone1-0000000109, zone2-0000000200")


# Arguments


def test_the_argument_speaks_of_what_stays_behind_only_if_something_does() -> None:
    """A primary that was made read-only has no more than the others."""
    sentence = elected(candidates(demoted(), *BOTH, unreached=())).argument.sentence
    assert "every acknowledged write. zone1-0000000101 has received" in sentence


def test_the_argument_is_about_the_primary_and_no_other_tablet() -> None:
    """That a tablet of its cell was never seen at work leaves no doubt whether the primary waited."""
    made = candidates(*BOTH, stopped(R3, "100:1-50"), unreached=(DEAD, member(NEAR)), semi_sync=SEEN)
    assert "did not see that it waited" not in elected(made, CROSS_CELL).argument.sentence


def test_what_the_old_primary_alone_has_is_less_what_it_was_seen_to_have_committed() -> None:
    """A commit that was seen had been acknowledged, or the primary had ceased to wait."""
    made = candidates(demoted("100:1-52"), *BOTH, unreached=(), semi_sync=SEEN, seen="100:1-51")
    assert unacknowledged_tail(made, SEMI_SYNC) == gtids("100:52")


def test_what_the_old_primary_alone_has_does_not_depend_on_what_another_waited_for() -> None:
    """The writes are those of the last primary, and so are the acknowledgements."""
    seen = ObservedSemiSync(wait_counts={alias(P): 1, alias(NEAR): 0})
    made = candidates(demoted("100:1-52"), *BOTH, unreached=(member(NEAR),), semi_sync=seen)
    assert unacknowledged_tail(made, CROSS_CELL) == gtids("100:51-52")
