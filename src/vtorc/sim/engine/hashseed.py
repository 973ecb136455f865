"""Starts this process again with a fixed hash seed, so that no order that slips through depends on string hashing."""

import os
import sys

_VARIABLE = "PYTHONHASHSEED"


def fix_hash_seed() -> None:
    """Return if this process has `PYTHONHASHSEED=0`; otherwise replace it by itself with that variable set.

    Code that the simulator runs must not need this (`vtorc.sim.engine.loop` says how); a trace that depends on the hash
    seed is a bug.
    """
    if os.environ.get(_VARIABLE) == "0":
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: "0"})
