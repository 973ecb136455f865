"""Two vtorcs, started as the first manual of vtorc says, watch one shard of fresh tablets."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {
    "Debug": True,
    "MySQLTopologyUser": "orc_client_user",
    "MySQLTopologyPassword": "orc_client_user_password",
    "MySQLReplicaUser": "vt_repl",
    "MySQLReplicaPassword": "",
    "RecoveryPeriodBlockSeconds": 5,
}
FAILURES = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over etcd with tablets that start while two vtorcs watch."""
    cluster = LabCluster(LabSpec(topo="etcd2"))
    try:
        await cluster.start_topo()
        (cluster.folder / "orc_config.json").write_text(json.dumps(SETTINGS))
        async with daemons_of(cluster) as daemons:
            vtorcs = await asyncio.gather(_start(cluster, daemons), _start(cluster, daemons))
            await asyncio.gather(*(vtorc.wait_for(lambda line: line["event"] == "started") for vtorc in vtorcs))
            await cluster.start_tablets()
            shard = Shard(cluster)
            shard.watched_by = vtorcs
            yield shard
    finally:
        await cluster.stop()


async def _start(cluster: LabCluster, daemons: Daemons) -> VtorcProcess:
    return await daemons.start_with(
        "-topo_implementation",
        "etcd2",
        "-topo_global_server_address",
        cluster.etcd.address,
        "-topo_global_root",
        "/vitess/global",
        "-log_dir={folder}/tmp",
        "-config",
        "../orc_config.json",
        "-orc_web_dir",
        "{folder}/web/orchestrator",
    )


async def test_a_primary_is_elected_once(shard: Shard) -> None:
    """Fresh tablets get one primary at once, and the reparent journal has one row.

    The other tablets replicate from it under the keyspace's policy.
    """
    primary = await shard.well()
    (row,) = await shard.journal()
    assert (row["action_name"], row["primary_alias"]) == ("PlannedReparentShard", str(primary.alias))


async def test_each_failure_is_answered_by_one_reparent(shard: Shard) -> None:
    """Each kill of the primary's mysqld under writes is followed by one emergency reparent and no more.

    No acknowledged row is missing, and the old primary comes back as a replica.
    """
    await shard.well()
    async with shard.written_to() as writer:
        for number in range(1, FAILURES + 1):
            old = await shard.primary()
            await acknowledged(writer, 10, by=old)
            await old.kill_mysqld()
            new = await shard.replaced(old)
            await acknowledged(writer, 10, by=new)
            assert await writer.missing(new) == []
            await shard.return_of(old)
            assert await shard.primary() is new
            actions = [row["action_name"] for row in await shard.journal()]
            assert actions == ["PlannedReparentShard"] + ["EmergencyReparentShard"] * number
