"""An operator replays the binary log of another cluster, whose transactions keep their server's UUID."""

import asyncio

from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.binlog import InsertRow, Transaction

_SERIES = ("99999999-0000-11f1-8000-999999999999", "")
"""The UUID of a server of another cluster."""


async def replay_binary_log(world: World, shard: SimShard, tablet: SimTablet) -> None:
    """Commit the next transaction of the other cluster on a tablet, as `mysqlbinlog | mysql` does, and wait for its OK.

    Its row is none of the shard's clients', who count up from one.
    """
    server = tablet.mysqld
    shard.recording.end()  # the model knows the writes of the shard's own servers
    await server.begin_statement()
    number = server.binlog.gtids.last(_SERIES) + 1
    transaction = Transaction(_SERIES, number, InsertRow(-number), world.now, server_id=server.server_id)
    told: asyncio.Future[bool] = server.new_wait()

    def release(acknowledged: bool) -> None:
        server.make_visible(transaction)
        server.observer.committed(server, transaction, acknowledged=acknowledged, waited=True)
        told.set_result(acknowledged)

    server.log(transaction, release)
    await server.wait(told)
    shard.ledger.acknowledged(server, transaction)
