"""Proof by the servers of a past that no record names: a topology server may have been restored, or made anew.

"No record ever named a primary" is a claim about records. A first election beside a living primary made two writable
servers, and writes that one of them had acknowledged were lost (simulator). So the servers are asked as well.
"""

import math
from collections.abc import Iterator

from vtorc.core.facts.past_proof import proof_of_past
from vtorc.core.facts.views import ShardView


def proven_past(view: ShardView) -> str:
    """Return what proves that the shard had a primary, as a clause; empty if its tablets are as new ones are.

    A new tablet is read-only, follows no server, and has an empty binary log. One that was restored from a backup is
    new too. All its transactions count as purged, because its binary log has none of them. The last answer of a tablet
    proves a past, however long ago it came.
    """
    return "; ".join(_proofs(view))


def stands_since(view: ShardView) -> float:
    """Return since when a tablet has proved a past, in seconds on the clock of the view; infinity if none does."""
    times = (tablet.memory.proves_past_since for tablet in view.tablets)
    return min((at for at in times if at is not None), default=math.inf)


def _proofs(view: ShardView) -> Iterator[str]:
    for tablet in view.tablets:
        if tablet.status is not None and (proof := proof_of_past(tablet.status)):
            yield f"{tablet.alias} {proof}"
