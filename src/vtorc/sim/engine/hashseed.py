"""Starts this process again with string hashing fixed, so that no order that slips through depends on it."""

import os
import sys

_VARIABLE = "PYTHONHASHSEED"


def fix_hash_seed() -> None:
    """Replace this process by itself with `PYTHONHASHSEED=0`, unless it already has that; returns only in that case.

    Code that the simulator runs must not need it (`vtorc.sim.engine.loop` says how); a trace that differs with it is a
    bug.
    """
    if os.environ.get(_VARIABLE) == "0":
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: "0"})
