"""A mysqld without a tablet record acknowledges: it is told while all is well, and the primary is not replaced."""

import pytest

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, dba
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import LogLine

QUICK = ("--instance-poll-time=1s", "--topo-information-refresh-duration=1s")
CODE = "UnknownSemiSyncClients"


def _refused(line: LogLine) -> bool:
    return line.get("outcome") == "refused" and "a server without a tablet record" in line["event"]


@pytest.mark.asyncio
async def test_a_mysqld_without_a_tablet_record_is_counted_and_told() -> None:
    """The primary's count of semi-sync clients tells of it, until its vttablet starts and writes its record."""
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        vtorc = await daemons.start(*QUICK)
        primary = await shard.well()
        ghost = (await shard.replicas())[0]
        await ghost.kill_tablet()
        await cluster.topo.delete_tablet(ghost.alias)

        told = await vtorc.wait_for(lambda line: line.get("code") == CODE)
        assert told["tablet"] == str(primary.alias)
        assert "counts 2 semi-sync clients, and known tablets explain 1" in told["event"]
        async with dba(primary) as session:
            assert len(await session.rows("SHOW REPLICAS")) == 2
            clients = await session.row("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_clients'")
        assert clients["Value"] == "2"

        since = len(vtorc.lines)
        await ghost.start_tablet()
        await vtorc.wait_for(lambda line: line.get("code") == CODE and line["event"].endswith(" is gone"), since=since)
        assert await shard.well() is primary

        await ghost.kill_tablet()
        await cluster.topo.delete_tablet(ghost.alias)
        await vtorc.wait_for(lambda line: line.get("code") == CODE and "rule" in line, since=len(vtorc.lines))
        await primary.kill_mysqld()
        await vtorc.wait_for(_refused)
        assert (await shard.primary()) is primary
