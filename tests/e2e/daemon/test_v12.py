"""The API of Vitess 12 over a real daemon on a real shard."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.test_http import served
from vtorc.lab.cluster import LabCluster, LabSpec

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over a topology file."""
    async with LabCluster(LabSpec(topo="local")) as cluster:
        yield Shard(cluster)


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs on a shard that is well; they are killed in the end."""
    async with daemons_of(shard.cluster) as daemons:
        await shard.mended(daemons)
        yield daemons


async def test_a_graceful_takeover_moves_the_primary_and_is_audited(shard: Shard, daemons: Daemons) -> None:
    """A takeover by the old API moves the primary and answers with its recovery, and the old name still leads there."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)

    def whole(status: int, body: list[dict[str, object]]) -> str:
        return "" if status == 200 and body and body[0]["CountInstances"] == 3 else str(body)

    (info,) = await web.until("/api/clusters-info", whole)
    old, (new, *_) = await shard.primary(), await shard.replicas()
    _, instance = await web.get(f"/api/instance/{new.alias}/0")
    assert instance["MasterKey"] == instance["SourceKey"]
    name, alias, key = info["ClusterName"], info["ClusterAlias"], instance["Key"]
    path = f"/api/graceful-master-takeover/{alias}/{key['Hostname']}/{key['Port']}"
    status, answer = await web.get(path)
    assert (status, answer["Code"]) == (200, "OK"), answer
    assert answer["Details"]["SuccessorKey"] == key
    assert (await shard.primary()).alias == new.alias != old.alias
    audited = await web.until(f"/api/audit-recovery/alias/{alias}", lambda _, body: "" if body else "no recovery")
    assert audited[0]["UID"] == answer["Details"]["UID"]

    def moved(status: int, body: dict[str, object]) -> str:
        return "" if body["ClusterName"] == f"{key['Hostname']}:{key['Port']}" else str(body)

    await web.until(f"/api/cluster-info/{name}", moved)
