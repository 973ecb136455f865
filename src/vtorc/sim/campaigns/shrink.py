"""Finds the few faults of a failing run that it takes to fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from vtorc.sim.faults.fault import Fault

Fails = Callable[[Sequence[Fault]], bool]
"""Runs the same seed with these faults and tells whether it still fails in the same way."""


def shrink(faults: Sequence[Fault], fails: Fails, *, most_runs: int = 200) -> tuple[Fault, ...]:
    """Leave out as many faults as can be, then shorten the rest; `faults` must fail, and so does what is returned."""
    left = _Runs(fails, most_runs)
    kept = _without_needless(tuple(faults), left)
    return _shortened(kept, left)


class _Runs:
    """Counts runs, and says that nothing fails once there were enough."""

    def __init__(self, fails: Fails, most: int) -> None:
        self._fails = fails
        self._left = most

    def fail(self, faults: Sequence[Fault]) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(faults)


def _without_needless(faults: tuple[Fault, ...], runs: _Runs) -> tuple[Fault, ...]:
    """Leave out halves, then quarters, … then single faults, as long as what remains fails."""
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
