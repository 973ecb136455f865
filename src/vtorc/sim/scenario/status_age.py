"""The age of the statuses that vtorcs have of living tablets."""

import asyncio

from vtorc.core.facts.ids import TabletAlias
from vtorc.sim.cluster.world import World
from vtorc.sim.engine.process import ProcessState

_EVERY = 0.5
"""Seconds between two looks."""


async def oldest_status(world: World, seconds: float) -> float:
    """Watch for so many seconds, and return the greatest age in seconds of any status of a living tablet."""
    oldest, began = 0.0, world.now
    while world.now - began < seconds:
        await asyncio.sleep(_EVERY)
        living = _living(world)
        for vtorc in world.vtorcs:
            for loop in vtorc.fleet.loops.values() if vtorc.fleet is not None else ():
                for tablet in loop.watch.view().tablets:
                    if tablet.alias in living:
                        oldest = max(oldest, world.now - (began if tablet.status_at is None else tablet.status_at))
    return oldest


def _living(world: World) -> set[TabletAlias]:
    return {
        tablet.config.alias
        for tablet in world.tablets.values()
        if tablet.process.running and tablet.mysqld.process.state is ProcessState.RUNNING and tablet.host.up
    }
