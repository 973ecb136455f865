"""Faults of topology servers, and of the records in them."""

import contextlib
from collections.abc import Callable

from google.protobuf.message import DecodeError

from vtorc.errors import NoNode, TopoError
from vtorc.proto import topodata_pb2
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.topo import ROOT, SimTopo, at_once
from vtorc.sim.cluster.world import World
from vtorc.sim.engine.process import Process
from vtorc.sim.faults.fault import Begin, End, FaultScene, nothing
from vtorc.topo import paths
from vtorc.vttablet.state import wire_type

_UNREADABLE = b"\xff\xff\xff"
_ALL, _GLOBAL = 0, 1


def global_server(scene: FaultScene) -> SimTopo:
    """The global topology server."""
    return scene.world.topos["global"]


def cell_server(scene: FaultScene) -> SimTopo:
    """The topology server of the fault's cell."""
    return scene.world.topos[scene.cell]


def down(which: Callable[[FaultScene], SimTopo]) -> Begin:
    """Stop a topology server."""

    def begin(scene: FaultScene) -> End:
        topo = which(scene)
        if topo.process.running:
            topo.stop()
        return lambda: scene.world.start_topo(topo)

    return begin


def hung(which: Callable[[FaultScene], SimTopo]) -> Begin:
    """Freeze a topology server."""

    def begin(scene: FaultScene) -> End:
        process = which(scene).process
        process.freeze()
        return process.thaw

    return begin


def stale_reads(scene: FaultScene) -> End:
    """Show one vtorc the topology as it is now, whatever is written meanwhile."""
    vtorcs = scene.world.vtorcs
    host = vtorcs[scene.fault.target % len(vtorcs)].host.name
    topos = list(scene.world.topos.values())
    for topo in topos:
        topo.make_stale(host)

    def end() -> None:
        for topo in topos:
            topo.make_fresh(host)

    return end


def conflicts(scene: FaultScene) -> End:
    """Let half of all compare-and-swaps fail."""
    topos = list(scene.world.topos.values())
    for topo in topos:
        topo.conflict_share = 0.5

    def end() -> None:
        for topo in topos:
            topo.conflict_share = 0.0

    return end


def end_leases(scene: FaultScene) -> End:
    """End all leases of the global topology server, and the locks with them."""
    global_server(scene).end_leases()
    return nothing


def restore(scene: FaultScene) -> End:
    """Take a backup of topology servers, and restore it at the end: of all of them, the global one, or a cell's."""
    target, topos = scene.fault.target, list(scene.world.topos.values())
    if target == _GLOBAL:
        topos = [global_server(scene)]
    elif target != _ALL:
        topos = [cell_server(scene)]
    backups = [(topo, topo.backup()) for topo in topos]

    def end() -> None:
        for topo, rows in backups:
            topo.restore(rows)

    return end


def make_anew(scene: FaultScene) -> End:
    """Make all topology servers anew: operators enter cells, keyspaces, shards and tablets again, without primaries."""
    for topo in scene.world.topos.values():
        topo.end_leases()
    global_topo = global_server(scene)
    for shard in scene.world.shards.values():
        key = f"{ROOT}/global/{paths.shard(shard.id)}"
        record = topodata_pb2.Shard.FromString(at_once(global_topo.store.get(key)).contents)
        record.ClearField("primary_alias")
        record.ClearField("primary_term_start_time")
        at_once(global_topo.store.put(key, record.SerializeToString(deterministic=True), None))
        for tablet in shard.tablets:
            _enter_anew(scene.world, tablet)
    return nothing


def _enter_anew(world: World, tablet: SimTablet) -> None:
    """Write the record that a tablet had before any tablet was primary; one that cannot be read stays as it is."""
    alias = tablet.config.alias
    store, key = world.topos[alias.cell].store, f"{ROOT}/{alias.cell}/{paths.tablet(alias)}"
    try:
        record = topodata_pb2.Tablet.FromString(at_once(store.get(key)).contents)
    except (DecodeError, NoNode):
        return
    record.type = wire_type(tablet.config.init_type)
    record.ClearField("primary_term_start_time")
    at_once(store.put(key, record.SerializeToString(deterministic=True), None))


def corrupt_record(scene: FaultScene) -> End:
    """Make a tablet's record unreadable."""
    return make_unreadable(scene.world, scene.tablet)


def lose_record(scene: FaultScene) -> End:
    """Delete the record of a replica whose vttablet ends, while its mysqld goes on; the end starts the vttablet."""
    return forget_tablet(scene.world, scene.replica)


def forget_tablet(world: World, tablet: SimTablet) -> End:
    """End a vttablet and delete its record, as an operator does with a tablet that is taken for gone.

    Its mysqld goes on as it is. The end starts the vttablet, which writes its record.
    """
    tablet.wanted = False
    tablet.process.crash()

    async def delete() -> None:
        life = Process(world.network.add_host(f"operator {world.now}", "global"), "vtctldclient").start()
        with contextlib.suppress(TopoError, TimeoutError):
            await world.open_topo(life).delete_tablet(tablet.config.alias)

    world.spawn(delete(), "delete record")
    return lambda: world.start_tablet(tablet)


def make_unreadable(world: World, tablet: SimTablet) -> End:
    """Make a tablet's record unreadable; its end restores the record, unless it was written meanwhile."""
    alias = tablet.config.alias
    store = world.topos[alias.cell].store
    key = f"{ROOT}/{alias.cell}/{paths.tablet(alias)}"
    before = at_once(store.get(key)).contents
    at_once(store.put(key, _UNREADABLE, None))

    def end() -> None:
        row = at_once(store.get(key))
        if row.contents == _UNREADABLE:
            at_once(store.put(key, before, None))

    return end
