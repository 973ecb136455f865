"""Which vtorc of several watches and repairs a shard: the same answer in each of them, without asking the others.

Each vtorc has a weight for each shard, which follows from both names (rendezvous hashing). The heaviest one repairs the
shard, and the next one stands in for it. When a vtorc comes or goes, only the shards in which it was, or is, one of the
two move.
"""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.control.scope import Scope
from vtorc.core.facts.ids import ShardId


class Part(enum.Enum):
    """The part of one vtorc in one shard."""

    FIRST = "first"
    """It watches the shard and repairs it at once."""
    STAND_IN = "stand-in"
    """It watches the shard, and repairs it if the first one does not."""
    NEITHER = "neither"
    """It does not watch the shard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingVtorc:
    """One vtorc that shares the shards with others."""

    name: str
    scope: Scope
    """The shards that it acts on."""
    acts: bool
    """Whether its recoveries are allowed."""


def order_for(shard: ShardId, vtorcs: Iterable[SharingVtorc]) -> tuple[str, ...]:
    """Return the names of the vtorcs that may have a part in the shard, the first one first.

    These are the vtorcs that act on the shard. If none does, all of them watch it in turn: filters limit only what
    vtorc acts on.
    """
    known = list(vtorcs)
    acting = [each for each in known if each.acts and each.scope.covers(shard)]
    return tuple(sorted((each.name for each in acting or known), key=lambda name: (-_weight(name, shard), name)))


def part_of(name: str, shard: ShardId, vtorcs: Iterable[SharingVtorc]) -> Part:
    """Return the part that the vtorc `name` has in a shard."""
    order = order_for(shard, vtorcs)[:2]
    if name not in order:
        return Part.NEITHER
    return Part.FIRST if order[0] == name else Part.STAND_IN


def _weight(name: str, shard: ShardId) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name} {shard}".encode(), digest_size=8).digest())
