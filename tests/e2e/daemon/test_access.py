"""Roles, tokens, the audit and secrets with a real daemon on a real shard."""

import asyncio
import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.watching import until
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess
from vtorc.server.v12.routes import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "planted-password-7f3a"
TOPOLOGY_PASSWORD = "planted-topology-password-91bc"
OPS = {"Authorization": "Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()}
HOSTILE = "<b>'\"\n\u202e"
TODAY = ("problems", "errant-gtids", "detection-analysis", "config", "database-state")


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


class Client:
    """One client of one address."""

    def __init__(self, address: str, headers: dict[str, str]) -> None:
        self.address = address
        self.headers = headers

    async def ask(self, path: str, body: object = None, *, method: str | None = None) -> tuple[int, str]:
        """Return status and text of a path; with a body it is a POST unless another method is named."""
        return await asyncio.to_thread(self._ask, path, body, method)

    def _ask(self, path: str, body: object, method: str | None) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {**self.headers, **({"Content-Type": "application/json"} if data is not None else {})}
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


async def addresses(vtorc: VtorcProcess, count: int) -> list[str]:
    """Return the addresses that a vtorc serves on, in the order of its log."""
    lines: list[Any] = []

    async def why_not() -> str:
        lines[:] = [line for line in vtorc.lines if str(line.get("event", "")).startswith("serving HTTP on ")]
        return "" if len(lines) == count else f"{len(lines)} listeners"

    await until(why_not)
    return [line["address"] for line in lines]


async def test_each_role_does_what_it_may_and_no_secret_is_told(shard: Shard, daemons: Daemons, tmp_path: Path) -> None:
    """Tokens outlive vtorc, readers change nothing by any route, and neither answers nor files have a secret."""
    config = tmp_path / "vtorc.conf.json"
    settings = {
        "AuthenticationMethod": "basic",
        "HTTPAuthUser": "ops",
        "HTTPAuthPassword": PASSWORD,
        "MySQLTopologyPassword": TOPOLOGY_PASSWORD,
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    flags = (
        f"--config={config}",
        "--listen-address=127.0.0.1:0",
        "--read-only-address=127.0.0.1:0",
        "--actions-per-minute=0",
    )
    vtorc = await daemons.start_knowing(*flags)
    main, read_only = await addresses(vtorc, 2)
    chief = Client(main, OPS)
    name = str(shard.id)

    async def told() -> str:
        status, text = await chief.ask(f"/api/v1/shards/{name}")
        return "" if status == 200 else text

    await until(told)
    texts: list[str] = []
    secrets = {"password": PASSWORD, "topology": TOPOLOGY_PASSWORD, "header": OPS["Authorization"].split()[1]}
    clients: dict[str, Client] = {}
    for role, keyspaces in (("read", None), ("operate", None), ("admin", None), ("operate", ["elsewhere"])):
        token = f"{role}-{'all' if keyspaces is None else 'some'}"
        status, text = await chief.ask("/api/v1/tokens", {"name": token, "role": role, "keyspaces": keyspaces})
        assert status == 200, text
        secrets[token] = json.loads(text)["secret"]
        clients[token] = Client(main, {"Authorization": f"Bearer {secrets[token]}"})
    term = await shard.term()
    before = await state(chief)

    reader, stranger = clients["read-all"], clients["operate-some"]
    dead_end = Client(read_only, OPS)
    for path in await all_reads(chief, name):
        for client in (reader, stranger, dead_end):
            status, text = await client.ask(path)
            texts.append(text)
            assert "mistake of vtorc" not in text, path
            if client is stranger and path.startswith("/api/v1/"):
                assert status in (200, 400, 403, 404, 503), (path, text)
    for client in (reader, dead_end, Client(main, {}), Client(main, {"Authorization": "Bearer vtorc_wrong"})):
        status, text = await client.ask(f"/api/v1/shards/{name}/cancel", {"reason": "x"})
        texts.append(text)
        assert status in (401, 403, 404, 405, 429), text
    assert (await stranger.ask(f"/api/v1/shards/{name}"))[0] == 404
    status, text = await stranger.ask(f"/api/v1/shards/{name}/cancel", {"reason": "x"})
    assert (status, "watches no such shard" in text) == (404, True)
    status, text = await clients["operate-all"].ask("/api/disable-global-recoveries")
    assert json.loads(text)["Code"] == "ERROR"
    assert "role admin" in text
    assert (await shard.term(), await state(chief)) == (term, before)

    status, text = await clients["operate-all"].ask(
        "/api/v1/holds", {"scope": f"shard:{name}", "effects": ["no_repair"], "reason": HOSTILE}
    )
    assert status == 200, text
    _, text = await chief.ask("/api/v1/audit")
    entries = json.loads(text)["items"]
    assert {("operate-all", "hold", "done"), ("read-all", "cancel", "refused")} <= {
        (entry["actor"], entry["action"], entry["result"]) for entry in entries
    }
    assert ("anonymous", "log in") in {(entry["actor"], entry["action"]) for entry in entries}
    texts.append(text)

    await vtorc.kill()
    again = await daemons.start(*flags)
    for file in [*vtorc.folder.rglob("*"), *again.folder.rglob("*")]:
        if file.is_file():
            content = file.read_bytes()
            assert not [what for what, secret in secrets.items() if secret.encode() in content], file
    assert not [what for what, secret in secrets.items() if any(secret in text for text in texts)]
    assert not [what for what, secret in secrets.items() if secret in str(vtorc.lines)]


async def state(client: Client) -> list[object]:
    """Return what requests could change, without times and revisions."""
    found: list[object] = []
    for path in ("holds", "tokens", "recoveries", "running"):
        status, text = await client.ask(f"/api/v1/{path}")
        assert status == 200, text
        found.append(json.loads(text)["items"])
    _, text = await client.ask("/api/v1/status")
    found.append(json.loads(text)["recoveries_allowed"])
    return found


async def all_reads(client: Client, shard: str) -> list[str]:
    """Return a path of each route that answers GET, with names that exist and with hostile ones."""
    _, text = await client.ask("/api/v1/openapi.json")
    paths = []
    keyspace, _, name = shard.partition("/")
    for path, operations in json.loads(text)["paths"].items():
        if "get" not in operations or path.endswith("/events"):
            continue
        for values in ((keyspace, name), (quote(HOSTILE, safe=""), quote(HOSTILE, safe=""))):
            paths.append(path.format(keyspace=values[0], shard=values[1], id="1", name="x", number="1"))
        paths.append(f"{paths[-2]}?{quote(HOSTILE)}={quote(HOSTILE)}")
    for route in ROUTES:
        for value in (quote(f"{keyspace}:{name}"), quote(HOSTILE, safe="")):
            paths.append(f"/api/{re.sub(r':[a-zA-Z]+', value, route.path)}")
    return [*paths, *(f"/api/{each}" for each in TODAY), "/debug/status", "/debug/vars", "/metrics", "/web/clusters"]
