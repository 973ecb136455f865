"""Shards that appear and disappear while vtorcs watch, as a reshard creates and removes them."""

import asyncio
import contextlib
from collections.abc import Iterator

from vtorc.core.facts.ids import ShardId
from vtorc.errors import NodeExists
from vtorc.sim.cluster.plan import ShardPlan
from vtorc.sim.cluster.topo import ROOT, at_once
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Process
from vtorc.sim.errors import SimPlanError
from vtorc.topo import paths
from vtorc.topo.server import TopoServer

_KEPT_RUNNING = 10.0
"""Seconds for which the processes of a shard outlive its records."""


async def add_shard(world: World, plan: ShardPlan) -> SimShard:
    """Create a shard, in an existing keyspace or a new one, and boot its tablets; raises SimPlanError."""
    strange = {tablet.alias.cell for tablet in plan.tablets} - set(world.plan.cells)
    if strange or plan.shard in world.shards:
        raise SimPlanError(f"shard {plan.shard}: expected a new one, with tablets in {', '.join(world.plan.cells)}")
    topo = _operator(world)
    with contextlib.suppress(NodeExists):
        await topo.create_keyspace(plan.shard.keyspace, durability_policy=plan.durability)
    await topo.create_shard(plan.shard)
    return world.add_shard(plan)


async def remove_shard(world: World, shard: SimShard) -> None:
    """Delete all records of a shard under its lock, as vtctldclient does at the end of a reshard.

    Its processes end a while later. The source is Vitess `go/vt/vtctl/grpcvtctldserver/topo.go`, deleteShard.
    """
    for client in shard.clients:
        client.process.crash()
    world.forget_shard(shard)
    topo = _operator(world)
    async with topo.lock_shard(shard.id, "DeleteShard"):
        for tablet in sorted(shard.tablets, key=lambda each: each.config.alias):
            await topo.delete_tablet(tablet.config.alias)
        at_once(world.topos["global"].store.delete(f"{ROOT}/global/{paths.shard(shard.id)}", None))
    await asyncio.sleep(_KEPT_RUNNING)
    for tablet in shard.tablets:
        await tablet.shut_down()
        tablet.mysqld.process.crash()
        del world.tablets[tablet.address]


def leftovers(world: World, shard: ShardId, tablets: tuple[str, ...]) -> Iterator[str]:
    """Yield what the vtorcs still have of a shard: its loop, its slot, tasks named after it or its `tablets`."""
    for vtorc in world.vtorcs:
        fleet = vtorc.fleet
        if fleet is None or vtorc.facade is None:
            continue
        if shard in vtorc.facade.shards:
            yield f"{vtorc.host.name}: the loop"
        slots = (*fleet.budget.waiting, *fleet.budget.holding)
        if any(slot.request is not None and slot.request.shard == shard for slot in slots):
            yield f"{vtorc.host.name}: a place in a queue"
    words = {str(shard), *tablets}
    tasks = sorted(task.get_name() for task in asyncio.all_tasks())
    yield from (f"a task: {name}" for name in tasks if words.intersection(name.split()))


def _operator(world: World) -> TopoServer:
    name = f"operator {world.now}"
    return world.open_topo(Process(world.network.add_host(name, "global"), "vtctldclient").start())
