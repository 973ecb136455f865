"""The demo's ledger of rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.demo.shards import A, B, C
from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.ledger import NOTABLE_GAP, Ledger


def _ledger(*acknowledged: tuple[float, TabletAlias]) -> Ledger:
    ledger = Ledger()
    for row, (at, tablet) in enumerate(acknowledged, start=1):
        ledger.acknowledge(row, at, tablet)
    return ledger


@given(st.lists(st.booleans(), max_size=60))
def test_rows_are_kept_as_ranges_that_leave_out_those_in_doubt(answers: list[bool]) -> None:
    """The ranges hold exactly the acknowledged rows, each once, with any number of rows in doubt between them."""
    ledger = Ledger()
    for row, answered in enumerate(answers, start=1):
        if answered:
            ledger.acknowledge(row, float(row), A)
        else:
            ledger.doubt(row)
    kept = [row for first, last in ledger.acknowledged for row in range(first, last + 1)]
    assert kept == [row for row, answered in enumerate(answers, start=1) if answered]
    assert ledger.count == len(kept)
    assert ledger.in_doubt == [row for row, answered in enumerate(answers, start=1) if not answered]
    assert all(one[1] + 1 < other[0] for one, other in zip(ledger.acknowledged, ledger.acknowledged[1:], strict=False))


def test_a_gap_runs_from_the_last_answer_of_one_primary_to_the_first_of_the_next() -> None:
    """A handover of any length is noted, with both times and both tablets."""
    ledger = _ledger((1.0, A), (1.01, A), (1.31, B), (1.32, B))
    (gap,) = ledger.gaps
    assert gap.is_handover
    assert (gap.last_from, gap.ended_by) == (A, B)
    assert gap.seconds == pytest.approx(0.30)


def test_a_pause_of_the_same_primary_is_noted_if_it_is_long() -> None:
    """Of one primary's pauses only the long ones are noted, and none of them is a handover."""
    ledger = _ledger((1.0, A), (1.0 + NOTABLE_GAP / 2, A), (2.0 + NOTABLE_GAP, A))
    assert [gap.is_handover for gap in ledger.gaps] == [False]


def test_the_handover_after_a_fault_is_found() -> None:
    """Of several handovers the ledger returns the one from the broken primary that ended after the fault."""
    ledger = _ledger((1.0, A), (2.0, B), (3.0, A), (4.0, C))
    found = ledger.handover_from(A, since=2.5)
    assert found is not None
    assert found.ended_by == C
    assert ledger.handover_from(B, since=3.5) is None


def test_the_rate_counts_the_last_two_seconds() -> None:
    """The rate leaves out earlier acknowledgements, also if no more follow."""
    ledger = _ledger(*((index / 10, A) for index in range(41)))
    assert ledger.rate(4.0) == pytest.approx(10.5)
    assert ledger.rate(5.0) == pytest.approx(5.5)
    assert ledger.rate(60.0) == 0
    assert ledger.silence(60.0) == pytest.approx(56.0)
    assert Ledger().silence(60.0) == 0
