"""What is refused before any tablet is stopped."""

import pytest

from tests.unit.core.builders import CONNECTING, failing, primary, replica, shard
from vtorc.core.election.preflight import preflight
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import TabletView

SEMI_SYNC = policy("semi_sync")
R1, R2 = "zone1-101", "zone2-200"
NEAR, FAR = replica(R1, io=CONNECTING), replica(R2, io=CONNECTING)
ERRANT = replica(R1, io=CONNECTING, executed="100:1-50,101:1-3")


@pytest.mark.parametrize(
    ("replicas", "same_cell_only", "rule"),
    [
        ((NEAR, FAR), False, None),
        ((NEAR, FAR), True, None),
        ((ERRANT, FAR), True, None),
        ((failing(NEAR), FAR), False, Rule.ACKERS_UNREACHED),
        ((failing(NEAR), failing(FAR)), False, Rule.NONE_REACHED),
        ((FAR, replica("zone3-300", io=CONNECTING)), True, Rule.NO_CANDIDATE),
    ],
    ids=[
        "enough",
        "enough in the cell",
        "errant, which is not known yet",
        "an acker is missing",
        "none",
        "other cells",
    ],
)
def test_an_election_that_must_fail_is_refused_whatever_tablets_hold(
    replicas: tuple[TabletView, ...], same_cell_only: bool, rule: Rule | None
) -> None:
    """Only what no stop can change refuses: tablets that do not answer, types, cells."""
    refusal = preflight(shard(primary(dead_for=3.0), *replicas), SEMI_SYNC, same_cell_only=same_cell_only)
    assert (refusal.rule if refusal is not None else None) is rule
