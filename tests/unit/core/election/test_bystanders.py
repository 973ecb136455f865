"""Tablets out of service that were stopped with the others: what they hold counts, and blocks no promotion."""

from typing import Any

import pytest

from tests.unit.core.builders import P, alias, gtids, stopped
from tests.unit.core.election.test_choice import NONE, R1, R2, R3, SEMI_SYNC, candidates, elected
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.ids import TabletType

IN_SERVICE = (stopped(R1, "100:1-50"), stopped(R2, "100:1-49"))


def spare(received: str, **changes: Any) -> StoppedTablet:
    """A SPARE that was stopped."""
    return stopped(R3, received, type_=TabletType.SPARE, **changes)


@pytest.mark.parametrize("policy", [SEMI_SYNC, NONE])
def test_a_write_that_only_a_spare_has_applied_is_fetched_from_it(policy: Any) -> None:
    """The primary's last write survives; if the fetch fails, the tablets in service go on without it."""
    choice = elected(candidates(*IN_SERVICE, spare("100:1-51")), policy)
    assert (choice.winner, choice.source, choice.required) == (alias(R1), alias(R3), gtids("100:1-51"))
    last = choice.otherwise[-1]
    assert (last.winner, last.source, last.required) == (alias(R2), alias(R1), gtids("100:1-50"))
    assert choice.removed[alias(R3)] == "is SPARE"


@pytest.mark.parametrize(
    "tablet",
    [
        pytest.param(spare("100:1-50,300:1-9"), id="it has nothing but transactions of its own besides"),
        pytest.param(spare("100:1-51", executed="100:1-40"), id="it has not applied the write yet"),
        pytest.param(spare("100:1-51,300:1-9"), id="its own transactions would be fetched too"),
        pytest.param(spare("100:1-49,100:51"), id="it lacks another write"),
    ],
)
def test_a_spare_blocks_no_promotion(tablet: StoppedTablet) -> None:
    """What it cannot give, or nobody wants, is left with it."""
    choice = elected(candidates(*IN_SERVICE, tablet))
    assert (choice.winner, choice.source, choice.required) == (alias(R1), None, gtids("100:1-50"))


def test_a_purged_spare_blocks_no_promotion() -> None:
    """It has the write, but cannot give it to a tablet that lacks earlier ones."""
    made = candidates(*IN_SERVICE, spare("100:1-51"), purged={alias(R3): gtids("100:1-51")})
    assert elected(made).source is None


def test_a_spare_never_wins() -> None:
    """It is asked for its transactions only."""
    choice = elected(candidates(*IN_SERVICE, spare("100:1-51")))
    assert alias(R3) not in {choice.winner, *choice.holders, *(each.winner for each in choice.otherwise)}
    assert alias(P) in choice.removed
