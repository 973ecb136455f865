"""The age of the statuses that vtorcs have of living tablets."""

import asyncio
from collections.abc import Iterator

from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.views import TabletView
from vtorc.sim.cluster.vtorc import SimVtorc
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
            for tablet in _seen_by(vtorc):
                if tablet.alias in living:
                    oldest = max(oldest, world.now - (began if tablet.status_at is None else tablet.status_at))
    return oldest


def _seen_by(vtorc: SimVtorc) -> Iterator[TabletView]:
    fleet = vtorc.facade
    for shard in fleet.shards if fleet is not None else ():
        view = fleet.view(shard) if fleet is not None else None
        yield from view.tablets if view is not None else ()


def _living(world: World) -> set[TabletAlias]:
    return {
        tablet.config.alias
        for tablet in world.tablets.values()
        if tablet.process.running and tablet.mysqld.process.state is ProcessState.RUNNING and tablet.host.up
    }
