"""Finds few faults of a failing run that suffice to make it fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vtorc.sim.faults.fault import Fault

Fails = Callable[[Sequence[Fault]], bool]
"""Runs the same seed with these faults and returns whether it still fails in the same way."""


def shrink(faults: Sequence[Fault], fails: Fails, *, most_runs: int = 200) -> tuple[Fault, ...]:
    """Leave out as many of the faults as possible, then shorten the rest.

    The run must fail with `faults`, and fails with the result.
    """
    left = _Runs(fails, most_runs)
    kept = _without_needless(tuple(faults), left)
    return _shortened(kept, left)


class _Runs:
    """Counts runs; once there were enough, no run fails any more."""

    def __init__(self, fails: Fails, most: int) -> None:
        self._fails = fails
        self._left = most

    def fail(self, faults: Sequence[Fault]) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(faults)


def _without_needless(faults: tuple[Fault, ...], runs: _Runs) -> tuple[Fault, ...]:
    """Leave out halves, then quarters, … then single faults, as long as the run fails with the rest."""
    size = max(1, len(faults) // 2)
    while True:
        start = 0
        while start < len(faults):
            fewer = faults[:start] + faults[start + size :]
            if runs.fail(fewer):
                faults = fewer
            else:
                start += size
        if size == 1:
            return faults
        size = max(1, size // 2)


def _shortened(faults: tuple[Fault, ...], runs: _Runs) -> tuple[Fault, ...]:
    for place, fault in enumerate(faults):
        for lasts in (1.0, fault.lasts / 4, fault.lasts / 2):
            shorter = (*faults[:place], replace(fault, lasts=round(lasts, 3)), *faults[place + 1 :])
            if lasts < fault.lasts and runs.fail(shorter):
                faults = shorter
                break
    return faults
