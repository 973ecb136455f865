"""What all routes of v12's API have in common."""

import time
from typing import Any

import pytest

from tests.unit.server.today.memories import settings_frame
from tests.unit.server.told import Answered, Forwarding, ask_app
from tests.unit.server.v12.world import FIRST, World, full_world
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.v12.call import V12Settings


async def ask(path: str, *, world: World | None = None, **options: Any) -> Answered:
    """Ask a full world for a path of its v12 listener."""
    told = world or full_world()
    if told.memory.heard_at is not None:
        told.memory.heard_at = time.monotonic()
    return await ask_app(make_app(told.memory, Forwarding(told.ask), listener=Listener.V12), path, **options)


async def test_the_server_serves_the_api_and_cleans_its_paths() -> None:
    """The listener answers v12's paths, and sends a path with `//` to the clean one."""
    assert (await ask("/api/clusters")).json[0] == FIRST
    redirected = await ask("//api/clusters?x=1")
    assert (redirected.status, redirected.headers["location"]) == (307, "/api/clusters?x=1")


async def test_a_value_with_an_encoded_slash_is_one_value() -> None:
    """An encoded `/` does not end a segment, and a newline at its end is nothing."""
    assert (await ask("/api/cluster-info/commerce%2F0%0A")).json["ClusterAlias"] == "commerce:0"


@pytest.mark.parametrize("path", ["/api/downtimed/", "/api/tagged/?tag=x", "/api/problems/"])
async def test_a_trailing_slash_is_taken(path: str) -> None:
    """Paths may end in `/`, as those of the public client do."""
    assert (await ask(path)).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/audit-recovery/{}", 200),
        ("/api/audit-recovery/id/{}", 500),
        ("/api/instance/db1/{}", 500),
        ("/api/cluster/db1:{}", 500),
        ("/api/leader-check/{}", 200),
    ],
)
async def test_a_number_of_any_length_is_no_mistake_of_vtorcs_own(path: str, status: int) -> None:
    """A number with more digits than Python reads is answered as a word is that nothing has as its name."""
    for value in ("9" * 5000, "x" * 5000):
        answer = await ask(path.format(value))
        assert (answer.status, answer.headers["content-type"]) == (status, "application/json; charset=UTF-8")


async def test_head_is_answered_as_get() -> None:
    """HEAD tells the status and type that GET has."""
    got = await ask("/api/leader-check", method="HEAD")
    assert (got.status, got.headers["content-type"]) == (200, "application/json; charset=UTF-8")


async def test_problems_are_those_of_v12_on_its_listener() -> None:
    """On v12's listener the path that both dialects have tells instances."""
    assert {row["ClusterName"] for row in (await ask("/api/problems")).json} == {"mysql-zone1-300:3306"}


@pytest.mark.parametrize("path", ["/api/raft-state", "/api/match-up-slaves/h/1", "/api/delay-replication/h/1/5"])
async def test_what_only_orchestrator_had_is_refused_with_the_reason(path: str) -> None:
    """A path that v12 did not have any more is an ERROR envelope with the reason."""
    got = await ask(path)
    assert (got.status, got.json["Code"]) == (501, "ERROR")
    assert "is not supported by vtorc: " in got.json["Message"]


async def test_unknown_paths_of_the_api_are_envelopes() -> None:
    """What nothing has is an ERROR envelope with 404, by the application itself too."""
    for got in (await ask("/api/nonsense"), await ask_app(full_world().app(), "/api/nonsense/1")):
        assert (got.status, got.json["Code"]) == (404, "ERROR")


async def test_nothing_is_told_before_all_is_known() -> None:
    """Before vtorc has told all shards a list would be a wrong one; only the probes answer."""
    world = World()
    got = await ask("/api/clusters", world=world)
    assert (got.status, got.json["Code"]) == (503, "ERROR")
    assert (await ask("/api/lb-check", world=world)).json == "OK"
    health = await ask("/api/health", world=world)
    assert (health.status, health.json["Details"]["Healthy"]) == (500, False)


async def test_secret_headers_are_not_shown() -> None:
    """`headers` shows neither credentials nor the user whom a proxy names."""
    secrets = {"authorization": "Basic eDp5", "cookie": "a=b", "x-forwarded-user": "alice", "x-other": "1"}
    got = await ask_app(full_world().app(), "/api/headers", headers=secrets)
    assert got.json["X-Other"] == ["1"]
    assert not {"Authorization", "Cookie", "X-Forwarded-User"} & set(got.json)


async def test_the_status_endpoint_is_a_setting() -> None:
    """The path of the status is taken as it is given."""
    app = full_world().app(settings=V12Settings(status_endpoint="/alive"))
    assert (await ask_app(app, "/alive")).json["Details"]["Healthy"] is True


async def test_problems_leave_out_ignored_hosts() -> None:
    """Hosts that fit a filter are no problems."""
    world = full_world()
    world.tell(settings_frame(problem_ignore_hostname_filters=("zone1-30[0-9]",)))
    app = world.app()
    assert [row["Key"]["Hostname"] for row in (await ask_app(app, "/api/problems")).json] == ["mysql-zone2-302"]


async def test_the_node_is_the_machine_and_process_of_vtorc() -> None:
    """The health names the one node that there is."""
    got = (await ask_app(full_world().app(), "/api/health")).json["Details"]
    assert got["AvailableNodes"] == [got["ActiveNode"]]
    assert (got["Hostname"], got["Token"], got["ActiveNode"]["AppVersion"]) == ("vtorc-1", "4242", "0.1.0")
