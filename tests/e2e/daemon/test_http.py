"""The HTTP server of a real daemon on a real shard."""

import asyncio
import http.client
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Web:
    """The HTTP server of one vtorc, asked as curl does."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of a path."""
        return await asyncio.to_thread(self._get, path)

    async def until(self, path: str, why_not: Callable[[int, Any], str]) -> Any:
        """Ask for a path until there is no reason left against its answer; returns the answer."""
        last: Any = None

        async def look() -> str:
            nonlocal last
            try:
                status, last = await self.get(path)
            except (OSError, http.client.HTTPException) as error:
                return f"{path}: {error!r}"
            return why_not(status, last)

        await until(look)
        return last

    def events(self, query: str = "") -> Iterator[tuple[str, Any]]:
        """Yield events, each with its name and its data."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request("GET", f"/api/v1/events{query}")
        answer = connection.getresponse()
        assert answer.status == 200
        lines: dict[str, str] = {}
        while line := answer.readline().decode().rstrip("\n"):
            name, _, rest = line.partition(": ")
            lines[name] = rest
            if name == "data":
                answer.readline()
                yield lines["event"], msgspec.json.decode(rest)
        connection.close()

    def _get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            is_json = "json" in answer.headers["content-type"]
            return answer.status, msgspec.json.decode(body) if is_json else body.decode()
        finally:
            connection.close()


async def served(vtorc: VtorcProcess) -> Web:
    """Return the HTTP server of a vtorc that has logged where it serves."""
    line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
    return Web(line["address"])


def _status_is(wanted: int) -> Callable[[int, Any], str]:
    return lambda status, body: "" if status == wanted else f"{status}: {body}"


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


async def test_a_recovery_is_told_and_the_server_comes_back(shard: Shard, daemons: Daemons) -> None:
    """The replacement of a primary arrives as events, and a server that is killed is back with all it knew."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    old = await shard.primary()
    status = await web.until("/api/v1/status", _status_is(200))
    assert (status["process"], status["version"]) == (vtorc.pid, "0.1.0")
    name = str(shard.id)
    told = await web.until(f"/api/v1/shards/{name}", lambda _, body: "" if body.get("primary") else str(body))
    assert (told["primary"], len(told["tablets"])) == (str(old.alias), 3)
    await web.until("/debug/health", _status_is(200))

    def recovered() -> dict[str, Any]:
        return next(data["recovery"] for event, data in web.events("?kinds=recovery") if event == "recovery")

    hearing = asyncio.create_task(asyncio.to_thread(recovered))
    await web.until("/api/v1/status", _status_is(200))
    await old.kill_mysqld()
    recovery = await hearing
    new = await shard.replaced(old)
    assert (recovery["shard"], recovery["kind"], recovery["outcome"], recovery["winner"]) == (
        name,
        "RecoverDeadPrimary",
        "succeeded",
        str(new.alias),
    )
    server = min(children(vtorc.pid))  # older than its spare
    os.kill(server, signal.SIGKILL)
    listed = await web.until("/api/v1/recoveries", _status_is(200))
    assert recovery["id"] in [each["id"] for each in listed["items"]]
    assert server not in children(vtorc.pid)
    assert [line for line in vtorc.lines if "level" not in line] == []  # nothing but vtorc's own log


async def test_the_server_ends_with_its_vtorc(daemons: Daemons) -> None:
    """Neither the server nor its spare is left behind, be vtorc stopped in order or killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        vtorc = await daemons.start("--listen-address=127.0.0.1:0")
        web = await served(vtorc)
        await web.until("/api/v1/status", _status_is(200))
        pid = vtorc.pid

        async def why_no_spare(pid: int = pid) -> str:
            return "" if len(children(pid)) == 2 else "there is no spare server"

        await until(why_no_spare)
        servers = children(pid)
        vtorc.send(number)
        await vtorc.wait_exit()

        async def why_not(pids: Sequence[int] = servers) -> str:
            return "a server still runs" if any(map(_is_server, pids)) else ""

        await until(why_not)


async def test_an_address_that_cannot_be_had_ends_the_start(shard: Shard, daemons: Daemons) -> None:
    """A vtorc that is to serve where another one does ends with the reason."""
    first = await daemons.start("--listen-address=127.0.0.1:0")
    web = await served(first)
    second = await daemons.start_with(*shard.cluster.topo_flags, f"--listen-address={web.address}")
    assert await second.wait_exit() == 1
    assert f"cannot serve HTTP on 127.0.0.1, port {web.address.rpartition(':')[2]}" in second.lines[-1]["event"]


def children(pid: int) -> list[int]:
    """Return the server processes of a vtorc."""
    processes = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
    return [each for each in processes if _is_server(each) and _parent(each) == pid]


def _is_server(pid: int) -> bool:
    """Return whether a process is a server and runs; one that has ended has no command line."""
    try:
        return "vtorc.server.process" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
