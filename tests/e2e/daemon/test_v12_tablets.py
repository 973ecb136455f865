"""Commands of Vitess 12's API on single replicas of a real shard."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard, by_hand, dba
from tests.e2e.daemon.test_http import Web, served
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.tablet_handle import LabTablet

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONLY_BY_HAND = ("--listen-address=127.0.0.1:0", "--allow-recovery=false")
"""Options of a vtorc that does what operators ask for, and nothing by itself."""


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


async def known(daemons: Daemons, shard: Shard) -> Web:
    """Start a vtorc that does nothing by itself, and wait until it knows the whole shard."""
    web = await served(await daemons.start_knowing(*ONLY_BY_HAND))

    def whole(status: int, body: Any) -> str:
        return "" if status == 200 and len(body) == 3 and all(each["IsLastCheckValid"] for each in body) else str(body)

    await web.until("/api/all-instances", whole)
    return web


async def ask(web: Web, command: str, *tablets: LabTablet) -> dict[str, Any]:
    """Ask for a command on instances, which must succeed; returns the envelope."""
    status, answer = await web.get(f"/api/{command}/" + "/".join(f"{tablet.alias}/0" for tablet in tablets))
    assert (status, answer["Code"]) == (200, "OK"), answer
    return dict(answer)


async def seen(web: Web, tablet: LabTablet, **fields: object) -> None:
    """Wait until the API tells these fields of an instance."""

    def as_wanted(status: int, body: Any) -> str:
        told = {name: body.get(name) for name in fields} if isinstance(body, dict) else {}
        return "" if told == fields else f"{told}, expected {fields}"

    await web.until(f"/api/instance/{tablet.alias}/0", as_wanted)


async def test_a_replica_that_was_stopped_is_started(shard: Shard, daemons: Daemons) -> None:
    """start-replica starts both threads, and answers with the instance as it is then."""
    web = await known(daemons, shard)
    replica, *_ = await shard.replicas()
    await by_hand(replica, "STOP REPLICA")
    await seen(web, replica, ReplicationSQLThreadState=0, ReplicationIOThreadState=0)
    answer = await ask(web, "start-replica", replica)
    assert answer["Details"]["ReplicationIOThreadState"] == answer["Details"]["ReplicationSQLThreadState"] == 1
    await until(shard.why_not_well)
    assert "has nothing to do" in (await ask(web, "start-replica", replica))["Message"]
    await ask(web, "restart-replica", replica)
    await until(shard.why_not_well)


async def test_a_replica_of_a_replica_is_relocated_below_the_primary(shard: Shard, daemons: Daemons) -> None:
    """relocate points a replica at the primary, and refuses any other source."""
    web = await known(daemons, shard)
    primary, (first, second) = await shard.primary(), await shard.replicas()
    await by_hand(
        second, "STOP REPLICA", f"CHANGE REPLICATION SOURCE TO SOURCE_PORT={first.mysql_port}", "START REPLICA"
    )
    _, source = await web.get(f"/api/instance/{first.alias}/0")
    await seen(web, second, SourceKey=source["Key"])
    status, refused = await web.get(f"/api/relocate/{first.alias}/0/{second.alias}/0")
    assert (status, refused["Code"]) == (501, "ERROR")
    answer = await ask(web, "relocate-slaves", first, primary)
    assert [each["InstanceAlias"] for each in answer["Details"]] == [str(second.alias)]
    await until(shard.why_not_well)
    audited = await web.until("/api/audit-recovery", lambda _, body: "" if body else "no recovery")
    assert audited[0]["AnalysisEntry"]["Analysis"] == "ReparentTablet"


async def test_a_replica_is_made_read_only_and_begins_a_new_binary_log(shard: Shard, daemons: Daemons) -> None:
    """set-read-only takes writes away from a replica, and flush-binary-logs adds a binary log and no transaction."""
    web = await known(daemons, shard)
    replica, *_ = await shard.replicas()
    await by_hand(replica, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
    await seen(web, replica, ReadOnly=False)
    assert (await ask(web, "set-read-only", replica))["Details"]["ReadOnly"] is True
    status, refused = await web.get(f"/api/set-read-only/{(await shard.primary()).alias}/0")
    assert (status, "is the primary of" in refused["Message"]) == (500, True)
    async with dba(replica) as session:
        before = await session.rows("SHOW BINARY LOGS")
        await ask(web, "flush-binary-logs", replica)
        assert len(await session.rows("SHOW BINARY LOGS")) == len(before) + 1
    await until(shard.why_not_well)
