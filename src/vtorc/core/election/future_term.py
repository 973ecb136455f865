"""A present term that begins in the future: a clock was ahead, and no tablet can begin a newer term."""

from vtorc.core.election.candidates import CandidateSet

_AGREEMENT = 60 * 10**9
"""Nanoseconds by which clocks of tablets may differ and still agree."""


def term_in_the_future(candidates: CandidateSet) -> str:
    """Say that not the clocks are wrong but the term, and what to do; empty unless all known clocks agree on that.

    Each tablet alone only looks as if its own clock were late, so that an operator would correct clocks that are right.
    """
    clocks = [stopped.clock for stopped in candidates.pool.values() if stopped.clock is not None]
    if len(clocks) < 2 or max(clocks) - min(clocks) > _AGREEMENT:
        return ""
    ahead = candidates.newest_term - max(clocks)
    if ahead <= _AGREEMENT:
        return ""
    return (
        f"; the clocks of {len(clocks)} tablets agree, so the present term is wrong: it begins {ahead / 1e9:.0f} s in "
        f"their future: correct the clock of {candidates.primary_member.alias}, then write a time that is past into "
        f"primary_term_start_time of the shard record and of its tablet record"
    )
