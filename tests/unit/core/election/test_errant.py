"""Which transactions are proven errant, seen without the rest of an election."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids, stopped, uuid
from tests.unit.core.election.test_choice import CROSS_CELL, DEAD, NONE, SEMI_SYNC, candidates, member
from vtorc.core.election.ack_arithmetic import ObservedSemiSync
from vtorc.core.election.errant import may_be_acknowledged, proven_errant
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET

R1, R2, R3, NEAR = "zone1-101", "zone2-200", "zone3-300", "zone1-109"
OTHERS = stopped(R2, "100:1-50"), stopped(R3, "100:1-50")


def acked_by(*names: str) -> ObservedSemiSync:
    """Those tablets were seen to acknowledge against the policy."""
    return ObservedSemiSync(past_ackers=frozenset(map(alias, names)))


@pytest.mark.parametrize(
    ("known", "seen", "errant"),
    [
        ("100:1-50", "", True),
        ("100:1-50,101:1", "", False),
        ("", "100:1-50", True),
        ("100:1-50", "100:1-50,101:1", False),
        ("", "", False),
    ],
    ids=["not seen", "executed", "seen only to commit", "committed", "the primary was never seen"],
)
def test_what_the_primary_was_seen_to_hold_is_not_errant(known: str, seen: str, errant: bool) -> None:
    """What it had executed, and what it had committed, counts alike; without either there is no proof."""
    made = candidates(stopped(R1, "100:1-50,101:1"), *OTHERS, known=known, seen=seen)
    assert proven_errant(made, SEMI_SYNC) == ({alias(R1): gtids("101:1")} if errant else {})
    # A tablet that had received it and lost it is asked about by the same facts.
    assert may_be_acknowledged(made, SEMI_SYNC, gtids("101:1")) == (EMPTY_GTID_SET if errant else gtids("101:1"))


def test_writes_of_a_source_that_was_not_reached_are_kept() -> None:
    """That source may have been promoted unheard, and its follower may be the one that acknowledged."""
    follower = stopped(R1, "100:1-50,900:1-5", source="zone9-900")
    assert proven_errant(candidates(follower, *OTHERS), SEMI_SYNC) == {}
    assert proven_errant(candidates(replace(follower, source_uuid=uuid(P)), *OTHERS), SEMI_SYNC) == {
        alias(R1): gtids("900:1-5")
    }


@pytest.mark.parametrize(
    ("chosen", "missing", "changes", "kept"),
    [
        (SEMI_SYNC, (), {}, False),
        (SEMI_SYNC, (member(NEAR),), {}, True),
        (CROSS_CELL, (member(NEAR),), {}, False),
        (CROSS_CELL, (member(NEAR),), {"semi_sync": acked_by(NEAR)}, True),
        (CROSS_CELL, (member("zone2-209"),), {}, True),
        (CROSS_CELL, (member("zone2-209"),), {"exempt": {alias("zone2-209"): "it is down"}}, False),
        (NONE, (member("zone2-209"),), {}, False),
    ],
    ids=[
        "none is missing",
        "an acker is missing",
        "none of another cell is missing",
        "one that was seen to acknowledge is missing",
        "one of another cell is missing",
        "the missing one was down before",
        "nothing is acknowledged",
    ],
)
def test_writes_of_a_rival_are_kept_while_one_that_may_have_acknowledged_them_is_missing(
    chosen: DurabilityPolicy, missing: tuple[Any, ...], changes: dict[str, Any], kept: bool
) -> None:
    """A tablet without a source may have been primary, but not without an acker."""
    rival = stopped(R1, "100:1-50,101:1-9", source=None, was_primary=True)
    made = candidates(rival, *OTHERS, unreached=(DEAD, *missing), **changes)
    assert proven_errant(made, chosen) == ({} if kept else {alias(R1): gtids("101:1-9")})


def shared(*others: Any, **changes: Any) -> Any:
    """Two tablets of one cell that share transactions of the first, and others."""
    return candidates(
        stopped(R1, "100:1-50,101:1-3"), stopped("zone1-102", "100:1-50,101:1-3"), *others, *OTHERS, **changes
    )


def test_two_servers_of_one_uuid_prove_nothing_about_its_writes() -> None:
    """The writer may be either, and so the cells that had to acknowledge are not known."""
    lost = {alias(each): gtids("101:1-3") for each in (R1, "zone1-102")}
    assert proven_errant(shared(), CROSS_CELL) == lost
    twin = replace(stopped("zone3-309", "100:1-50"), server_uuid=uuid(R1))
    assert proven_errant(shared(twin), CROSS_CELL) == {}


def test_a_writer_that_proves_nothing_keeps_no_other_from_proving_something() -> None:
    """Each is judged by itself, whichever comes first."""
    lost = {alias(each): gtids("101:1-3") for each in (R1, "zone1-102")}
    both = stopped(R1, "100:1-50,101:1-3"), stopped("zone1-102", "100:1-50,101:1-3")
    twins = stopped("zone2-201", "100:1-50"), replace(stopped("zone2-202", "100:1-50"), server_uuid=uuid("zone2-201"))
    assert proven_errant(candidates(*twins, *both, *OTHERS), CROSS_CELL) == lost
    # One of the same cell is missing: it may have acknowledged for the other cells, and not for its own.
    assert proven_errant(candidates(*OTHERS, *both, unreached=(DEAD, member(NEAR))), CROSS_CELL) == lost


def test_a_writer_is_no_acker_of_its_own_writes() -> None:
    """That it was seen to acknowledge writes of another says nothing about its own."""
    lost = {alias(each): gtids("101:1-3") for each in (R1, "zone1-102")}
    assert proven_errant(shared(semi_sync=acked_by(R1)), CROSS_CELL) == lost


def test_shared_writes_prove_nothing_where_nothing_is_acknowledged() -> None:
    """Without acknowledgements their absence tells nothing."""
    assert proven_errant(shared(), NONE) == {}


def test_shared_writes_of_a_server_that_was_not_stopped_are_kept() -> None:
    """Only of a stopped writer it is known which tablets acknowledge for it."""
    both = stopped(R1, "100:1-50,900:1"), stopped("zone1-102", "100:1-50,900:1")
    assert proven_errant(candidates(*both, *OTHERS), CROSS_CELL) == {}
