"""Today's API of a real daemon on a real shard."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import daemons_of
from tests.e2e.daemon.shard import Shard, by_hand
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.ports import Ports

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TodaysApi:
    """Asks one vtorc as curl does."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def text(self, path: str) -> str:
        """Return what a path answers with status 200; empty while it does not."""
        return await asyncio.to_thread(self._get, path)

    async def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Ask for a path with JSON until its answer is as wanted, and return it."""
        told: list[Any] = []

        async def why_not() -> str:
            text = await self.text(path)
            told[:] = [json.loads(text) if text else None]
            return "" if text and holds(told[0]) else f"{path}: {text[-2000:]}"

        await until(why_not)
        return told[0]

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            return body if answer.status == 200 else ""
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over a topology file."""
    async with LabCluster(LabSpec(topo="local")) as cluster:
        yield Shard(cluster)


async def test_a_repair_is_counted_and_its_problem_is_0_again(shard: Shard) -> None:
    """A replica that an operator stopped is a detected problem, then a recovery, and then well again."""
    ports = Ports()
    async with daemons_of(shard.cluster) as daemons:
        listener = (f"--port={ports.take()}", "--bind-address=127.0.0.1")
        vtorc = await daemons.start_knowing(*listener, "--instance-poll-time=1s")
        line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
        api = TodaysApi(line["address"])
        primary = await shard.well()
        stopped = (await shard.replicas())[0]
        await api.until("/debug/health", lambda told: told["Healthy"] is True)
        config = await api.until("/api/config", lambda told: "instance-poll-time" in told)
        assert (config["instance-poll-time"], config["lock-timeout"]) == ("1s", 45_000_000_000)
        await api.until("/api/problems", lambda told: told is None)

        await by_hand(stopped, "STOP REPLICA")
        await shard.well()
        where = str(shard.id).replace("/", ".")
        problem, recovery = f"ReplicationStopped.{stopped.alias}.{where}", f"FixReplica.{where}"
        told = await api.until("/debug/vars", lambda told: told["SuccessfulRecoveries"].get(recovery, 0) >= 1)
        assert told["RecoveriesCount"][recovery] >= 1
        assert told["DiscoveriesAttempt"] > told["DiscoveriesFail"]
        await api.until("/debug/vars", lambda told: told["DetectedProblems"].get(problem) == 0)
        await api.until("/api/problems", lambda told: told is None)
        text = await api.text("/metrics")
        keyspace, _, name = str(shard.id).partition("/")
        labels = f'keyspace="{keyspace}",recovery_type="FixReplica",shard="{name}"'
        assert f"vtorc_successful_recoveries{{{labels}}} " in text
        assert "vtorc_shard_lock_timings_bucket" in text

        state = {table["TableName"]: table["Rows"] for table in json.loads(await api.text("/api/database-state"))}
        assert sorted(row["alias"] for row in state["vitess_tablet"]) == sorted(str(t.alias) for t in shard.tablets)
        [row] = [row for row in state["database_instance"] if row["alias"] == str(stopped.alias)]
        assert (row["source_port"], row["replica_io_running"]) == (str(primary.mysql_port), "1")
        assert str(stopped.alias) in [each["alias"] for each in state["topology_recovery"]]
    ports.release()
