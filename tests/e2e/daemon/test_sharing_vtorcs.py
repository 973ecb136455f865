"""Three vtorcs share one shard: two watch it, one repairs it, and the others follow when it is killed."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import MEMORY, daemons_of, why_not_heard
from tests.e2e.daemon.shard import Shard, acknowledged
from tests.e2e.daemon.watching import until
from vtorc.control.scope import Scope
from vtorc.control.shares import SharingVtorc, order_for
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = "the shards are shared among 3 vtorcs"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[tuple[Shard, dict[str, VtorcProcess]]]:
    """Give a shard over etcd, and the three vtorcs that share it, by their names in the topology."""
    cluster = LabCluster(LabSpec(topo="etcd2"))
    try:
        await cluster.start()
        async with daemons_of(cluster) as daemons:
            flags = (*cluster.topo_flags, "--log-dir={folder}", "--recovery-period-block-duration=0s", "--share-shards")
            vtorcs = [await daemons.start_with(*flags) for _ in range(3)]
            for vtorc in vtorcs:
                await vtorc.wait_for(lambda line: line["event"].startswith(ALL))
            names = await cluster.topo.vtorcs()
            by_name = {name: each for name in names for each in vtorcs if name.endswith(f":{each.pid}")}
            assert len(by_name) == 3
            shard = Shard(cluster)
            shard.watched_by = vtorcs
            yield shard, by_name
    finally:
        await cluster.stop()


async def test_a_shard_is_failed_over_as_long_as_one_vtorc_lives(
    shared: tuple[Shard, dict[str, VtorcProcess]],
) -> None:
    """A primary that is killed together with the vtorc of its shard is replaced by the next one, until one is left.

    No acknowledged row is lost, and each failure is answered by one reparent.
    """
    shard, vtorcs = shared
    await shard.well()
    alive = [SharingVtorc(name=name, scope=Scope(), acts=True) for name in vtorcs]
    async with shard.written_to() as writer:
        for number in range(1, 3):
            first, *others = order_for(shard.id, alive)
            file, tablets = vtorcs[others[0]].folder / MEMORY, len(shard.tablets)
            await until(partial(asyncio.to_thread, why_not_heard, file, tablets))
            old = await shard.primary()
            await acknowledged(writer, 10, by=old)
            await vtorcs[first].kill()
            await old.kill_mysqld()
            new = await shard.replaced(old)
            await acknowledged(writer, 10, by=new)
            assert await writer.missing(new) == []
            await shard.return_of(old)
            actions = [row["action_name"] for row in await shard.journal()]
            assert actions.count("EmergencyReparentShard") == number
            alive = [each for each in alive if each.name != first]


async def test_the_record_of_a_vtorc_that_ends_in_order_is_gone(
    shared: tuple[Shard, dict[str, VtorcProcess]],
) -> None:
    """SIGTERM deletes the record, so that others need not wait for the lease."""
    shard, vtorcs = shared
    names = await shard.cluster.topo.vtorcs()
    (last,) = (name for name in names if vtorcs[name].exit_code is None)
    await vtorcs[last].terminate()

    async def why_not_gone() -> str:
        return f"{last} has a record" if last in await shard.cluster.topo.vtorcs() else ""

    await until(why_not_gone)
