"""An external source: a MySQL server that is no tablet, such as a database that is being moved into Vitess."""

import asyncio
import contextlib

from vtorc.errors import MysqlError
from vtorc.sim.cluster.tablet import MYSQL_PORT, SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Process
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.server import MysqlObserver, SimMysqld
from vtorc.vttablet.mysql_api import Source, Threads

_PAUSE = 1.0
"""Seconds between two writes to such a server."""


def replicate_from_outside(world: World, shard: SimShard, tablet: SimTablet) -> None:
    """Let a tablet replicate from a new server outside the shard, to which a client writes."""
    number = 900 + len(world.mysqlds)
    host = world.network.add_host(f"outside-{number}", tablet.host.cell)
    server = SimMysqld(
        Process(host, "mysqld"),
        MYSQL_PORT,
        uuid=f"{number:08d}-0000-11f1-8000-{number:012d}",
        server_id=number,
        network=world.network,
        directory=world.mysqlds,
        generator=world.random,
        settings=world.plan.mysql,
        observer=MysqlObserver(),
    )
    world.mysqlds[server.address] = server
    server.start()
    shard.recording.end()  # the model knows the tablets of the shard, and no other server
    world.spawn(_write(server), "outside writer")

    async def follow() -> None:
        await tablet.mysqld.begin_statement()
        await tablet.mysqld.replication.stop(Threads.BOTH)
        await tablet.mysqld.replication.change_source(Source(host=host.name, port=MYSQL_PORT))
        await tablet.mysqld.replication.start(Threads.BOTH)

    world.change_by_hand(tablet, follow())


async def _write(server: SimMysqld) -> None:
    while True:
        await asyncio.sleep(_PAUSE)
        with contextlib.suppress(MysqlError):
            await server.inject(InsertRow(0))
