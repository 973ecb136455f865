from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from vtorc.sim.campaigns.shrink import shrink
from vtorc.sim.faults.fault import Fault


def _fault(number: int, *, lasts: float = 40.0) -> Fault:
    return Fault(kind="isolate", at=float(number), lasts=lasts, target=number)


@given(st.sets(st.integers(0, 11), min_size=1, max_size=4))
def test_only_the_needed_faults_are_left(needed: set[int]) -> None:
    """Whatever combination makes a run fail, exactly that combination remains."""
    faults = tuple(_fault(number) for number in range(12))

    def fails(some: Sequence[Fault]) -> bool:
        return needed <= {fault.target for fault in some}

    assert {fault.target for fault in shrink(faults, fails)} == needed


def test_faults_are_shortened_as_long_as_the_run_fails() -> None:
    """A fault that must last a while keeps about as long as it needs."""

    def fails(some: Sequence[Fault]) -> bool:
        return bool(some) and some[0].lasts >= 8.0

    assert shrink((_fault(0),), fails) == (_fault(0, lasts=10.0),)


def test_the_search_ends_after_so_many_runs() -> None:
    """The search stops after so many runs, with faults that fail."""
    runs = 0

    def fails(some: Sequence[Fault]) -> bool:
        nonlocal runs
        runs += 1
        return len(some) > 90

    kept = shrink(tuple(_fault(number) for number in range(100)), fails, most_runs=20)
    assert runs == 20
    assert len(kept) > 90
