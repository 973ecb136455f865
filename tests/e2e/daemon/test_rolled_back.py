"""A primary whose disk goes back to an older state: its replicas have transactions of its own that it has lost."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged
from vtorc.lab.cluster import LabCluster, LabSpec

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard that has a primary."""
    async with LabCluster(LabSpec(durability="semi_sync")) as cluster:
        shard = Shard(cluster)
        async with daemons_of(cluster) as daemons:
            await daemons.start()
            await shard.well()
        yield shard


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs that end with the test."""
    async with daemons_of(shard.cluster) as daemons:
        yield daemons


@pytest.mark.parametrize("watched", [False, True], ids=["while no vtorc looks", "watched"])
async def test_a_primary_that_went_back_in_time_is_replaced(shard: Shard, daemons: Daemons, watched: bool) -> None:
    """No acknowledged row is missing on the new primary, and an operator is told to rebuild the old one.

    Where no vtorc looked, the old one is back and read-only before any replica could take over.
    """
    old = await shard.mended(daemons)
    vtorc = await daemons.start_knowing() if watched else None
    async with shard.written_to() as writer:
        await acknowledged(writer, 10, by=old)
        snapshot = await old.snapshot()
        await acknowledged(writer, 50, by=old)
        await old.roll_back(snapshot)
        vtorc = vtorc or await daemons.start()
        new = await shard.replaced(old)
        await acknowledged(writer, 10, by=new)
        assert await writer.missing(new) == []
        told = await vtorc.wait_for(lambda line: line.get("code") == "ReplicaRolledBack")
        assert f"{old.alias} has lost" in str(told["event"])
        assert "rebuild it" in str(told["event"])
    await shard.set_up_anew(old)
    await shard.well()
