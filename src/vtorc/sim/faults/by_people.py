"""Faults that people cause, and those of the topology servers: more kinds for `vtorc.sim.faults.kinds`."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

from vtorc.core.facts.ids import TabletType
from vtorc.sim.cluster.operator import plan_reparent
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.topo import SimTopo
from vtorc.sim.faults.at_weak_moments import AMBUSHES
from vtorc.sim.faults.kinds import KINDS, Begin, End, Fault, FaultKind, FaultScene, nothing
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.server import SimMysqld
from vtorc.vttablet.mysql_api import Source, Threads

Work = Callable[[SimMysqld], Coroutine[Any, Any, object]]


def _to_replica(work: Work) -> Begin:
    return lambda scene: scene.by_hand(scene.replica, work(scene.replica.mysqld))


def _to_tablet(work: Work) -> Begin:
    return lambda scene: scene.by_hand(scene.tablet, work(scene.tablet.mysqld))


async def _make_writable(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    await mysqld.set_read_only(False, is_super=False)


async def _make_read_only(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    await mysqld.set_read_only(True, is_super=False)


async def _stop_replication(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    await mysqld.replication.stop(Threads.BOTH)


async def _stop_applier(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    await mysqld.replication.stop(Threads.SQL)


async def _forget_source(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    await mysqld.replication.stop(Threads.BOTH)
    await mysqld.replication.reset(forget_source=True)


async def _unset_semi_sync(mysqld: SimMysqld) -> None:
    await mysqld.enter()
    mysqld.set_semi_sync(primary=False, replica=False)


def _point_elsewhere(scene: FaultScene) -> End:
    tablet = scene.replica
    primary = scene.shard.primary
    elsewhere = [each for each in scene.shard.tablets if each not in (tablet, primary)]
    if not elsewhere:
        return nothing
    host, port = elsewhere[0].mysqld.address

    async def work() -> None:
        await tablet.mysqld.enter()
        await tablet.mysqld.replication.stop(Threads.BOTH)
        await tablet.mysqld.replication.change_source(Source(host=host, port=port))
        await tablet.mysqld.replication.start(Threads.BOTH)

    return scene.by_hand(tablet, work())


def _errant_write(scene: FaultScene) -> End:
    return scene.by_hand(scene.replica, scene.replica.mysqld.inject(InsertRow(0)))


def _planned_reparent(scene: FaultScene) -> End:
    primary = scene.shard.primary
    fit = [each for each in scene.shard.tablets if each is not primary and each.config.init_type is TabletType.REPLICA]
    if fit:
        winner = fit[scene.fault.target % len(fit)]
        scene.world.spawn(plan_reparent(scene.world, scene.shard, winner), "planned reparent")
    return nothing


def _change_type(scene: FaultScene) -> End:
    luck = random.Random(scene.fault.name)
    leave = OutOfService(scene.world, scene.replica, luck.choice(OUT_OF_SERVICE), stops=luck.random() < 0.5)
    leave.begin()
    return leave.end


# --- topology servers


def _global(scene: FaultScene) -> SimTopo:
    return scene.world.topos["global"]


def _cell(scene: FaultScene) -> SimTopo:
    return scene.world.topos[scene.cell]


def _down(which: Callable[[FaultScene], SimTopo]) -> Begin:
    def begin(scene: FaultScene) -> End:
        topo = which(scene)
        if topo.process.running:
            topo.stop()
        return lambda: scene.world.start_topo(topo)

    return begin


def _hung(which: Callable[[FaultScene], SimTopo]) -> Begin:
    def begin(scene: FaultScene) -> End:
        process = which(scene).process
        process.freeze()
        return process.thaw

    return begin


def _stale_reads(scene: FaultScene) -> End:
    vtorcs = scene.world.vtorcs
    host = vtorcs[scene.fault.target % len(vtorcs)].host.name
    topos = list(scene.world.topos.values())
    for topo in topos:
        topo.make_stale(host)

    def end() -> None:
        for topo in topos:
            topo.make_fresh(host)

    return end


def _conflicts(scene: FaultScene) -> End:
    topos = list(scene.world.topos.values())
    for topo in topos:
        topo.conflict_share = 0.5

    def end() -> None:
        for topo in topos:
            topo.conflict_share = 0.0

    return end


def _end_leases(scene: FaultScene) -> End:
    _global(scene).end_leases()
    return nothing


MORE_KINDS: tuple[FaultKind, ...] = (
    FaultKind("topo-down", "The global topology server is down.", _down(_global), 1, 60),
    FaultKind("topo-hangs", "The global topology server answers nothing.", _hung(_global), 1, 60),
    FaultKind("cell-topo-down", "A cell's topology server is down.", _down(_cell), 1, 60),
    FaultKind("cell-topo-hangs", "A cell's topology server answers nothing.", _hung(_cell), 1, 60),
    FaultKind("stale-reads", "A vtorc reads an old state of the topology.", _stale_reads, 1, 20),
    FaultKind("topo-conflicts", "Half of all compare-and-swaps fail.", _conflicts, 1, 60),
    FaultKind("lose-leases", "All leases end at once, and locks with them.", _end_leases, 1, 1),
    FaultKind("write-errant", "Somebody writes into a replica.", _errant_write, 1, 1),
    FaultKind("make-replica-writable", "Somebody makes a replica writable.", _to_replica(_make_writable), 1, 1),
    FaultKind("make-read-only", "Somebody turns read_only on.", _to_tablet(_make_read_only), 1, 1),
    FaultKind("stop-replication", "Somebody stops a replica.", _to_replica(_stop_replication), 1, 1),
    FaultKind("stop-applier", "Somebody stops a replica's applier.", _to_replica(_stop_applier), 1, 1),
    FaultKind("forget-source", "Somebody makes a replica forget its source.", _to_replica(_forget_source), 1, 1),
    FaultKind("point-elsewhere", "Somebody points a replica at another replica.", _point_elsewhere, 1, 1),
    FaultKind("unset-semi-sync", "Somebody switches semi-sync off.", _to_tablet(_unset_semi_sync), 1, 1),
    FaultKind(
        "change-type", "Somebody drains a replica, spares it or backs it up, and puts it back.", _change_type, 1, 60
    ),
    FaultKind("planned-reparent", "An operator plans a reparent to a replica.", _planned_reparent, 1, 1),
)


def _reuse_address(scene: FaultScene) -> End:
    """A host loses power for good, its tablet's record stays, and the network gives its address to another host."""
    world, tablet = scene.world, scene.tablet
    world.power_off(tablet.host)
    world.tablets[tablet.address] = _stranger(scene)

    def end() -> None:
        world.tablets[tablet.address] = tablet
        world.power_on(tablet.host)

    return end


def _stranger(scene: FaultScene) -> SimTablet:
    """The primary of the next shard, or of this one if there is no other."""
    shards = list(scene.world.shards.values())
    shard = shards[(shards.index(scene.shard) + 1) % len(shards)]
    return shard.primary or shard.tablets[0]


RARE_KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "reuse-address", "A host is lost, and its address given to another shard's primary.", _reuse_address, 5, 90
    ),
)

ALL_KINDS: dict[str, FaultKind] = {kind.name: kind for kind in (*KINDS, *MORE_KINDS)}
"""The kinds that are mixed at random."""

BY_NAME: dict[str, FaultKind] = ALL_KINDS | {kind.name: kind for kind in (*AMBUSHES, *RARE_KINDS)}
"""Those too that only a profile or a scenario asks for by name."""


def begin(scene: FaultScene) -> End:
    """Let a fault begin; call what comes back to end it."""
    return BY_NAME[scene.fault.kind].begin(scene)


def describe(fault: Fault) -> str:
    """Say what a fault is, for people."""
    return BY_NAME[fault.kind].sentence


def table_of_kinds() -> str:
    """Write all kinds down as a table in Markdown."""
    rows = [f"| `{kind.name}` | {kind.sentence} | {kind.least:g} to {kind.most:g} |" for kind in BY_NAME.values()]
    return "\n".join(["| kind | what happens | lasts, in seconds |", "| --- | --- | --- |", *rows])
