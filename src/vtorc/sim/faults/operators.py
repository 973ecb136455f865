"""Faults that operators cause with MySQL's statements or Vitess' commands."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

from vtorc.core.facts.ids import TabletType
from vtorc.sim.cluster.out_of_service import OUT_OF_SERVICE, OutOfService
from vtorc.sim.cluster.planned_reparent import plan_reparent
from vtorc.sim.faults.fault import Begin, End, FaultScene, nothing
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.server import SimMysqld
from vtorc.vttablet.mysql_api import Source, Threads

Statements = Callable[[SimMysqld], Coroutine[Any, Any, object]]


def on_replica(work: Statements) -> Begin:
    """Run statements on a replica."""
    return lambda scene: scene.by_hand(scene.replica, work(scene.replica.mysqld))


def on_tablet(work: Statements) -> Begin:
    """Run statements on any tablet."""
    return lambda scene: scene.by_hand(scene.tablet, work(scene.tablet.mysqld))


async def make_writable(mysqld: SimMysqld) -> None:
    """Turn read_only off."""
    await mysqld.begin_statement()
    await mysqld.set_read_only(False, is_super=False)


async def make_read_only(mysqld: SimMysqld) -> None:
    """Turn read_only on."""
    await mysqld.begin_statement()
    await mysqld.set_read_only(True, is_super=False)


async def stop_replication(mysqld: SimMysqld) -> None:
    """Stop both threads."""
    await mysqld.begin_statement()
    await mysqld.replication.stop(Threads.BOTH)


async def stop_applier(mysqld: SimMysqld) -> None:
    """Stop the SQL thread."""
    await mysqld.begin_statement()
    await mysqld.replication.stop(Threads.SQL)


async def forget_source(mysqld: SimMysqld) -> None:
    """Stop both threads and reset the source."""
    await mysqld.begin_statement()
    await mysqld.replication.stop(Threads.BOTH)
    await mysqld.replication.reset(forget_source=True)


async def unset_semi_sync(mysqld: SimMysqld) -> None:
    """Switch both sides of semi-sync off."""
    await mysqld.begin_statement()
    mysqld.set_semi_sync(primary=False, replica=False)


async def write_errant(mysqld: SimMysqld) -> None:
    """Write a row whatever the read-only switches say."""
    await mysqld.inject(InsertRow(0))


def point_elsewhere(scene: FaultScene) -> End:
    """Point a replica at another replica, if there is one."""
    tablet = scene.replica
    primary = scene.shard.primary
    elsewhere = [each for each in scene.shard.tablets if each not in (tablet, primary)]
    if not elsewhere:
        return nothing
    host, port = elsewhere[0].mysqld.address

    async def work() -> None:
        await tablet.mysqld.begin_statement()
        await tablet.mysqld.replication.stop(Threads.BOTH)
        await tablet.mysqld.replication.change_source(Source(host=host, port=port))
        await tablet.mysqld.replication.start(Threads.BOTH)

    return scene.by_hand(tablet, work())


def planned_reparent(scene: FaultScene) -> End:
    """Move the primary to a replica with Vitess' own tools."""
    primary = scene.shard.primary
    fit = [
        each
        for each in scene.shard.tablets
        if each is not primary and each.config.init_type is TabletType.REPLICA and each.mysqld.setup.is_vitess_own
    ]
    if fit:
        winner = fit[scene.fault.target % len(fit)]
        scene.world.spawn(plan_reparent(scene.world, scene.shard, winner), "planned reparent")
    return nothing


def change_type(scene: FaultScene) -> End:
    """Take a replica out of service, and put it back at the end."""
    generator = random.Random(scene.fault.name)
    kind, stops = generator.choice(OUT_OF_SERVICE), generator.random() < 0.5
    leave = OutOfService(scene.world, scene.replica, kind, stops=stops)
    leave.begin()
    return leave.end
