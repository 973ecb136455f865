"""A primary with a MySQL that stands still, its connections open, while its tablet manager answers."""

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard
from vtorc.lab.cluster import LabCluster, LabSpec


async def test_a_primary_that_hangs_is_called_so_and_replaced() -> None:
    """vtorc tells it from one with a silent host and replaces it; it follows the new primary once it goes on."""
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        vtorc = await daemons.start("--instance-poll-time=1s")
        primary = await shard.well()
        await primary.pause_mysqld()
        decided = await vtorc.wait_for(lambda line: line.get("code") == "DeadPrimary" and line.get("rule") == "act")
        assert "hangs (its tablet manager answers, its MySQL does not)" in decided["event"]
        await shard.replaced(primary)
        await primary.resume_mysqld()
        assert await shard.well() is not primary
