"""Why a tablet cannot be promoted: one table for the four ways to look for a primary."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids
from vtorc.core.election.eligibility import (
    EMERGENCY_CHECKS,
    FORCED_CHECKS,
    PLANNED_CHECKS,
    SURVIVABILITY_CHECKS,
    Candidacy,
    Check,
    has_late_clock,
    why_not_eligible,
)
from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.fitness import Fitness
from vtorc.core.facts.ids import TabletType

R1, R2 = "zone1-101", "zone2-200"
SEMI_SYNC, CROSS_CELL, NONE = policy("semi_sync"), policy("cross_cell"), policy("none")
WAYS = {
    "emergency": EMERGENCY_CHECKS,
    "planned": PLANNED_CHECKS,
    "forced": FORCED_CHECKS,
    "survivability": SURVIVABILITY_CHECKS,
}


def member(name: str, type_: TabletType = TabletType.REPLICA) -> Member:
    return Member(alias(name), type_)


ELIGIBLE = Candidacy(
    tablet=member(R2), policy=SEMI_SYNC, primary=alias(P), at_hand=(member(R1), member(R2)), newest_term=10**12
)
GARBAGE = "has a tablet record that cannot be read, and so could not be written when it is promoted"
FEW = "would get 0 of the 1 acknowledgements that semi_sync requires"
BEHIND = (
    ", as other tablets hold transactions that it lacks or were not reached; rebuild one of them from it, or change "
    "the policy first"
)
HIDDEN = "has told of nothing but a stalled disk, so whether its server can be a primary is not known"
LATE = (
    "has a clock that is 900.0 s behind the start of the present term, so other tablets would take it for a former "
    "primary; correct its clock, or wait until it has passed that time"
)


@pytest.mark.parametrize("way", WAYS)
def test_a_tablet_is_eligible_if_nothing_speaks_against_it(way: str) -> None:
    """A replica with an acker at hand may be promoted, and so may one of which nothing more was asked."""
    assert why_not_eligible(ELIGIBLE, WAYS[way]) == ""
    assert why_not_eligible(Candidacy(tablet=member(R1), policy=NONE), WAYS[way]) == ""


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        pytest.param({"is_member": False}, {"forced": "is no tablet of the shard"}, id="a stranger"),
        pytest.param(
            {"is_reached": False}, {"planned": "does not answer", "forced": "was not reached"}, id="out of reach"
        ),
        pytest.param(
            {"has_readable_record": False}, {"emergency": GARBAGE, "forced": GARBAGE}, id="a record of garbage"
        ),
        pytest.param(
            {"errant": gtids("200:1-2")},
            {"emergency": "has errant transactions 2 transactions: 00000200…:1-2"},
            id="errant transactions",
        ),
        pytest.param(
            {"tablet": member(R2, TabletType.RDONLY)},
            {
                "emergency": "is RDONLY, which the policy never promotes",
                "planned": "is RDONLY, which the policy never promotes",
                "forced": "is RDONLY, which the policy semi_sync never promotes",
                "survivability": "is RDONLY, which the policy never promotes",
            },
            id="a type that is never promoted",
        ),
        pytest.param(
            {"is_replicating": False}, {"planned": "does not replicate from zone1-0000000100"}, id="not following"
        ),
        pytest.param({"backup_running": True}, {"planned": "is being backed up"}, id="a backup"),
        pytest.param(
            {"applier_stopped": "duplicate key"},
            {"forced": "does not apply its relay log: duplicate key"},
            id="a stopped applier",
        ),
        pytest.param(
            {"clock": 10**11}, {"emergency": LATE, "planned": LATE, "forced": LATE}, id="a clock that is behind"
        ),
        pytest.param({"clock": 10**12 + 1}, {}, id="a clock that is right"),
        pytest.param(
            {"same_cell_only": True},
            dict.fromkeys(
                ("emergency", "survivability"),
                "is in cell zone2, and prevent-cross-cell-failover keeps the primary in zone1",
            ),
            id="another cell",
        ),
        pytest.param({"same_cell_only": True, "tablet": member(R1), "at_hand": (member(R2),)}, {}, id="the same cell"),
        pytest.param({"fitness": Fitness(is_hidden=True)}, dict.fromkeys(WAYS, HIDDEN), id="behind a stalled disk"),
        pytest.param({"same_cell_only": True, "primary": None}, {}, id="no primary whose cell it could leave"),
        pytest.param(
            {"at_hand": (member(R2),)},
            {
                "emergency": FEW,
                "planned": FEW,
                "forced": FEW + BEHIND,
                "survivability": FEW,
            },
            id="only itself at hand",
        ),
        pytest.param({"at_hand": (), "policy": NONE}, {}, id="no ackers, and none required"),
        pytest.param(
            {"policy": CROSS_CELL, "at_hand": (member("zone2-201"),)},
            {
                **dict.fromkeys(WAYS, "would get 0 of the 1 acknowledgements that cross_cell requires"),
                "forced": f"would get 0 of the 1 acknowledgements that cross_cell requires{BEHIND}",
            },
            id="ackers in its own cell only",
        ),
    ],
)
def test_each_way_asks_its_own_questions(changes: dict[str, Any], reasons: dict[str, str]) -> None:
    """What speaks against a tablet speaks in the ways that ask for it, in their words, and in no other."""
    candidacy = replace(ELIGIBLE, **changes)
    found = {way: why for way, checks in WAYS.items() if (why := why_not_eligible(candidacy, checks))}
    assert found == reasons


@pytest.mark.parametrize(
    ("checks", "order"),
    [
        (EMERGENCY_CHECKS, ("errant", "tablet", "has_readable_record", "clock", "same_cell_only", "at_hand")),
        (PLANNED_CHECKS, ("is_reached", "tablet", "is_replicating", "backup_running", "at_hand", "clock")),
        (
            FORCED_CHECKS,
            ("is_member", "has_readable_record", "is_reached", "tablet", "applier_stopped", "clock", "at_hand"),
        ),
        (SURVIVABILITY_CHECKS, ("tablet", "same_cell_only", "at_hand")),
    ],
    ids=WAYS,
)
def test_the_first_question_with_an_answer_gives_the_reason(checks: Collection[Check], order: tuple[str, ...]) -> None:
    """Of several reasons an operator is told the one that is asked for first."""
    against: dict[str, Any] = {
        "is_member": False,
        "is_reached": False,
        "has_readable_record": False,
        "errant": gtids("200:1-2"),
        "tablet": member(R2, TabletType.RDONLY),
        "is_replicating": False,
        "backup_running": True,
        "applier_stopped": "duplicate key",
        "clock": 10**11,
        "same_cell_only": True,
        "at_hand": (),
    }
    left = {name: against[name] for name in order}
    for name in order:
        alone = why_not_eligible(replace(ELIGIBLE, **{name: left[name]}), checks)
        assert alone
        assert why_not_eligible(replace(ELIGIBLE, **left), checks) == alone
        del left[name]


@pytest.mark.parametrize(("clock", "newest_term", "is_late"), [(None, 9, False), (9, 9, True), (10, 9, False)])
def test_a_term_has_to_begin_after_the_present_one(clock: int | None, newest_term: int, is_late: bool) -> None:
    """A clock that is not known may be right; one that stands at the present term is too late."""
    assert bool(has_late_clock(replace(ELIGIBLE, clock=clock, newest_term=newest_term))) is is_late
