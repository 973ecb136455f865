"""Stopping the tablets of a shard, and what is put back if it comes to nothing."""

import pytest

from tests.unit.recovery.test_repairs import by_hand, look
from vtorc.lab.agent.mysql_api import Threads
from vtorc.recovery.session import Session, Tools
from vtorc.recovery.stop import Stopping
from vtorc.sim.world import SimShard, World


@pytest.mark.parametrize("is_primary", [True, False])
def test_only_the_present_primary_is_made_writable_again(is_primary: bool) -> None:
    """What is put back after a stop in vain leaves a writable tablet that is not the primary read-only (storm seed
    436).
    """

    async def main(world: World, shard: SimShard, tools: Tools) -> None:
        primary = shard.primary
        assert primary is not None
        former = next(each for each in shard.tablets if each is not primary)
        await former.mysqld.replication.stop(Threads.BOTH)
        await former.mysqld.replication.reset(forget_source=True)
        await former.mysqld.set_read_only(False, is_super=False)
        stopped = primary if is_primary else former
        view = await look(shard, tools)
        targets = {t.alias: t for t in view.tablets if t.alias == stopped.config.alias}
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = Session(tools, lock, began=tools.clock.now())
            stopping = Stopping(session, primary.config.alias, lambda _: False)
            await stopping.run(targets)
            assert stopping.stopped.keys() == targets.keys()
            assert stopped.mysqld.read_only
            await session.roll_back()
        assert stopped.mysqld.read_only is not is_primary

    by_hand(main)
