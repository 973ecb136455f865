"""What operators order by Vitess 12's API on a real shard: it is honoured, and outlives the vtorc that was told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.test_http import Web, served
from tests.e2e.daemon.test_v12_tablets import ask, seen
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

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


async def known(daemons: Daemons, folder: Path) -> tuple[VtorcProcess, Web]:
    """Start a vtorc with its files in a folder, and wait until it knows the whole shard."""
    vtorc = await daemons.start("--listen-address=127.0.0.1:0", f"--log-dir={folder}")
    web = await served(vtorc)

    def whole(status: int, body: Any) -> str:
        return "" if status == 200 and len(body) == 3 and all(each["IsLastCheckValid"] for each in body) else str(body)

    await web.until("/api/all-instances", whole)
    return vtorc, web


async def test_stopped_replication_stays_stopped_over_a_kill_of_vtorc(
    shard: Shard, daemons: Daemons, tmp_path: Path
) -> None:
    """vtorc leaves a replica stopped that an operator stopped, also after a kill, until an operator starts it."""
    vtorc, web = await known(daemons, tmp_path)
    replica, other = await shard.replicas()
    answer = await ask(web, "stop-replica-nice", replica)
    assert "vtorc leaves it stopped until" in answer["Message"]
    status, refused = await web.get(f"/api/stop-replica/{other.alias}/0")
    assert (status, "waits for 1 acknowledgements" in refused["Message"]) == (500, True)
    await vtorc.kill()
    _, web = await known(daemons, tmp_path)

    def stands_still(_: int, body: Any) -> str:
        found = [each for each in body["findings"] if each["code"] == "ReplicationStopped"]
        return "" if [each["rule"] for each in found] == ["held"] else str(body["findings"])

    await web.until(f"/api/v1/shards/{shard.id}", stands_still)
    await seen(web, replica, ReplicationIOThreadState=0, ReplicationSQLThreadState=0)
    await ask(web, "start-replica", replica)
    await until(shard.why_not_well)


async def test_orders_and_notes_outlive_a_kill_of_vtorc(shard: Shard, daemons: Daemons, tmp_path: Path) -> None:
    """Downtime, promotion rules and tags are there for the next vtorc, and a must_not tablet is not promoted."""
    vtorc, web = await known(daemons, tmp_path)
    primary, (first, second) = await shard.primary(), await shard.replicas()
    await web.get(f"/api/begin-downtime/{first.alias}/0/ann/disk/1h")
    await web.get(f"/api/register-candidate/{first.alias}/0/must_not")
    await web.get(f"/api/tag/{first.alias}/0?tag=role%3Dbackup")
    await vtorc.kill()
    _, web = await known(daemons, tmp_path)
    await seen(web, first, IsDowntimed=True, DowntimeOwner="ann", PromotionRule="must_not")
    assert await web.get(f"/api/tags/{first.alias}/0") == (200, ["role=backup"])
    status, refused = await web.get(f"/api/graceful-primary-takeover/{shard.id.keyspace}:0/{first.alias}/0")
    assert (status, "is not to be promoted" in refused["Message"]) == (500, True)
    await web.get(f"/api/graceful-primary-takeover-auto/{shard.id.keyspace}:0")
    assert (await shard.primary()).alias == second.alias != primary.alias
    (recovery,) = await web.until("/api/audit-recovery?unacknowledged=true", lambda _, body: "" if body else "none")
    await web.get(f"/api/ack-recovery/uid/{recovery['UID']}?comment=seen")
    assert await web.get("/api/audit-recovery?unacknowledged=true") == (200, [])
    await ask(web, "end-downtime", first)
    await web.get(f"/api/register-candidate/{first.alias}/0/neutral")
