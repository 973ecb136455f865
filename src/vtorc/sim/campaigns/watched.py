"""Checks that vtorcs which share the shards out leave none unwatched."""

import asyncio

from vtorc.control.sharing import BEAT_EVERY, LEASE
from vtorc.core.facts.ids import ShardId
from vtorc.sim.cluster.vtorc import SimVtorc
from vtorc.sim.cluster.world import World

UNWATCHED_BOUND = LEASE + 5 * BEAT_EVERY
"""Seconds that a shard may be watched by no vtorc although one is at work.

Both vtorcs of a shard may die at once: their leases must end, and the next two must read the topology.
"""

_LOOK_EVERY = 0.2


async def watch_shards(world: World) -> None:
    """Look for as long as the run lasts at which shards no vtorc watches; each that lasts too long is a violation."""
    unwatched: dict[ShardId, float] = {}
    none_since: float | None = None
    while True:
        at_work = [vtorc for vtorc in world.vtorcs if _is_at_work(vtorc)]
        watched = {shard for vtorc in at_work if vtorc.fleet is not None for shard in vtorc.fleet.loops}
        if not at_work:
            none_since = world.now
        for shard in world.shards:
            if shard in watched or not at_work:
                unwatched.pop(shard, None)
                continue
            since = unwatched.setdefault(shard, world.now)
            if world.now - since > UNWATCHED_BOUND:
                after = "" if none_since is None else f", {world.now - none_since:.1f} s after no vtorc was at work"
                world.checker.violate(
                    "shard-unwatched",
                    f"{shard} was watched by no vtorc for {world.now - since:.1f} s although "
                    f"{', '.join(each.host.name for each in at_work)} worked{after}",
                )
                unwatched[shard] = world.now
        await asyncio.sleep(_LOOK_EVERY)


def _is_at_work(vtorc: SimVtorc) -> bool:
    return vtorc.host.up and vtorc.process.running and vtorc.fleet is not None
