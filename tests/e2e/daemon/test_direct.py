"""A daemon with an account in MySQL tells a dead vttablet from a dead mysqld, on real servers."""

import json
import os
import signal
from typing import Any

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.test_http import served
from tests.e2e.daemon.test_two_vtorcs import SETTINGS
from vtorc.lab.cluster import LabCluster, LabSpec

ACCOUNT = {name: SETTINGS[name] for name in ("MySQLTopologyUser", "MySQLTopologyPassword")}


async def test_the_part_that_is_down_is_named() -> None:
    """Without its vttablet the primary stays primary, and sentence and API say that its MySQL answers.

    Once the MySQL stands still as well, the API says that it sends no greeting, and the primary is replaced.
    """
    async with LabCluster(LabSpec(topo="local")) as cluster, daemons_of(cluster) as daemons:
        shard = Shard(cluster)
        (cluster.folder / "account.json").write_text(json.dumps(ACCOUNT))
        vtorc = await daemons.start(
            "--instance-poll-time=1s", "--listen-address=127.0.0.1:0", "--config=../account.json"
        )
        primary = await shard.well()
        web = await served(vtorc)

        def tells(outcome: str) -> Any:
            def as_wanted(status: int, body: Any) -> str:
                (tablet,) = (each for each in body["tablets"] if each["alias"] == str(primary.alias))
                direct = tablet["direct"] or {}
                return "" if direct.get("outcome") == outcome else f"{tablet['says']}: {direct}"

            return as_wanted

        await primary.kill_tablet()
        await vtorc.wait_for(lambda line: line.get("code") == "UnreachablePrimary")
        await vtorc.wait_for(
            lambda line: "asked directly, its MySQL answers: only its tablet manager fails" in line["event"]
        )
        await web.until("/api/v1/shards/commerce/0", tells("answers"))
        assert await shard.primary() is primary
        pid = primary.mysqld_pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await web.until("/api/v1/shards/commerce/0", tells("no_greeting"))
        await vtorc.wait_for(lambda line: "its MySQL accepts connections and sends no greeting" in line["event"])
        await shard.replaced(primary, but=[primary])
        os.kill(pid, signal.SIGCONT)
