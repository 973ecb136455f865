"""What the application answers to requests, and which it refuses."""

import asyncio
import gzip
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from tests.unit.server.told import (
    LOST,
    NOW,
    OTHER,
    WELL,
    RecordedAsk,
    ask_app,
    lost,
    recovery,
    scope_of,
    status,
    told_memory,
)
from vtorc.server import guard
from vtorc.server.access.rules import AccessRules
from vtorc.server.app import make_app
from vtorc.server.guard import MOST_BODY, clean_path
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules

JSON = {"content-type": "application/json"}
PLANS = f"/api/v1/shards/{WELL}/plans"
CANCEL = f"/api/v1/shards/{LOST}/cancel"
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", [WELL, LOST, OTHER]),
        ("?state=healthy", [WELL, OTHER]),
        ("?keyspace=customer", [OTHER]),
        ("?cell=zone2&keyspace=commerce", [WELL, LOST]),
        ("?cell=zone9", []),
        ("?code=DeadPrimary", [LOST]),
        ("?q=cust", [OTHER]),
        ("?q=ZONE3-0000000103&limit=1", [WELL]),
        ("?sort=state", [LOST, WELL, OTHER]),
        ("?sort=findings&limit=1", [LOST]),
    ],
)
async def test_shards_are_listed_as_asked_for(query: str, names: list[str]) -> None:
    """Each parameter chooses shards, or their order."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), f"/api/v1/shards{query}")
    assert [row["name"] for row in answer.json["items"]] == names


@pytest.mark.parametrize("sort", ["name", "state", "lag", "findings"])
async def test_pages_give_each_shard_once(sort: str) -> None:
    """The pages of one shard each, one after the other, have all shards in the order of the whole list."""
    app = make_app(told_memory(), RecordedAsk())
    whole = (await ask_app(app, f"/api/v1/shards?sort={sort}")).json["items"]
    found, cursor = [], ""
    while True:
        page = (await ask_app(app, f"/api/v1/shards?sort={sort}&limit=1{cursor}")).json
        found += page["items"]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert found == whole


@pytest.mark.parametrize(
    ("path", "status_", "text"),
    [
        ("/api/v1/shards?stat=healthy", 400, "unknown field `stat`"),
        ("/api/v1/shards?limit=0", 400, "Expected `int` >= 1"),
        ("/api/v1/shards?cursor=%21", 400, "none that vtorc gave"),
        ("/api/v1/shards/commerce/9", 404, "no shard 'commerce/9'"),
        ("/api/v1/shards/commerce/9/why", 404, "no shard 'commerce/9'"),
        ("/api/v1/recoveries/1", 404, "no recovery '1'"),
        ("/api/v1/nothing", 404, "no GET /api/v1/nothing"),
        ("/api/v1/events?kinds=shards", 400, "'shards' is no kind of event"),
    ],
)
async def test_a_request_that_cannot_be_answered_says_why(path: str, status_: int, text: str) -> None:
    """The problem names the value and what was expected."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), path)
    assert (answer.status, answer.headers["content-type"]) == (status_, "application/problem+json")
    assert text in answer.json["what"]
    assert answer.json["status"] == status_
    assert answer.json["do"]


async def test_why_has_the_decisions_and_recoveries_of_the_shard() -> None:
    """The reasons of a shard are its own, newest first."""
    app = make_app(told_memory(), RecordedAsk())
    why = (await ask_app(app, f"/api/v1/shards/{LOST}/why")).json
    assert [ended["id"] for ended in why["recoveries"]] == [recovery(2).id, recovery(1).id]
    assert [made["finding"]["sentence"] for made in why["decisions"]] == [lost().findings[0].sentence]
    assert (await ask_app(app, f"/api/v1/shards/{WELL}/why")).json["recoveries"] == []


async def test_the_status_counts_the_shards_and_the_silence() -> None:
    """The status has each state, and says after a while that vtorc is not heard."""
    memory = told_memory(now=0.0)
    answer = await ask_app(make_app(memory, RecordedAsk()), "/api/v1/status")
    assert answer.json["states"] == {"healthy": 2, "repairing": 1, "standing_still": 0, "unknown": 0}
    assert answer.json["sentence"].startswith(
        "3 shards: 1 repairing, 2 healthy; 1 perhaps takes no writes; vtorc was not heard for"
    )


async def test_nothing_is_told_before_all_is_known() -> None:
    """Until vtorc has told all, a part of the shards is not taken for all of them."""
    memory = ServerMemory()
    memory.take(status(), NOW)
    answer = await ask_app(make_app(memory, RecordedAsk()), "/api/v1/shards")
    assert (answer.status, answer.json["title"]) == (503, "not told yet")


async def test_a_client_that_has_a_list_gets_no_other_copy() -> None:
    """The tag of a list stays the same while its items do, whatever else has changed."""
    memory = told_memory()
    app = make_app(memory, RecordedAsk())
    first = await ask_app(app, "/api/v1/recoveries")
    memory.take(status(recoveries_allowed=False), NOW)
    again = await ask_app(app, "/api/v1/recoveries", headers={"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_long_answers_are_compressed_if_the_client_takes_that() -> None:
    """A client that accepts gzip gets the same answer in fewer bytes."""
    app = make_app(told_memory(), RecordedAsk())
    plain = await ask_app(app, f"/api/v1/shards/{WELL}")
    packed = await ask_app(app, f"/api/v1/shards/{WELL}", headers={"accept-encoding": "gzip"})
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


# --- what acts


async def test_a_plan_is_asked_of_vtorc() -> None:
    """The request to vtorc has the names of the contract, and the reply is handed on as it is."""
    ask = RecordedAsk(status=409, body={"title": "no"})
    answer = await ask_app(make_app(told_memory(), ask), PLANS, method="POST", body=b'{"kind":"planned"}', headers=JSON)
    assert ask.asked == [("plan", {"shard": WELL, "kind": "planned", "to": None}, "127.0.0.1")]
    assert (answer.status, answer.headers["content-type"], answer.json) == (
        409,
        "application/problem+json",
        {"title": "no"},
    )


async def test_an_execution_and_an_end_are_asked_of_vtorc() -> None:
    """The reason of the operator goes along."""
    ask = RecordedAsk(status=202)
    app = make_app(told_memory(), ask)
    await ask_app(app, "/api/v1/plans/p1/execute", method="POST", body=b'{"reason":"disk"}', headers=JSON)
    await ask_app(app, CANCEL, method="POST", body=b'{"reason":"no"}', headers=JSON)
    assert [(kind, arguments) for kind, arguments, _ in ask.asked] == [
        ("execute", {"plan": "p1", "reason": "disk", "accept_loss": False}),
        ("cancel", {"shard": LOST, "reason": "no"}),
    ]


async def test_a_hold_and_its_end_are_asked_of_vtorc() -> None:
    """What a request leaves out is asked for as null; a number that is none is left to vtorc to refuse."""
    ask = RecordedAsk()
    app = make_app(told_memory(), ask)
    body = b'{"scope":"shard:commerce/0","effects":["no_failover"],"reason":"a drill"}'
    await ask_app(app, "/api/v1/holds", method="POST", headers=JSON, body=body)
    for number in ("7", "seven"):
        await ask_app(app, f"/api/v1/holds/{number}", method="DELETE", headers=JSON, body=b'{"reason":"done"}')
    order = {
        "scope": "shard:commerce/0",
        "effects": ["no_failover"],
        "reason": "a drill",
        "owner": None,
        "seconds": None,
    }
    assert [(kind, arguments) for kind, arguments, _ in ask.asked] == [
        ("hold", order),
        ("lift", {"hold": 7, "reason": "done"}),
        ("lift", {"hold": "seven", "reason": "done"}),
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status_"),
    [
        (b'{"reason":""}', JSON, 400),
        (b"{}", JSON, 400),
        (b'{"reason":"x","force":true}', JSON, 400),
        (b"reason=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b'{"reason":"x"}', {}, 415),
        (b'{"reason":"' + b"x" * MOST_BODY + b'"}', JSON, 413),
        (b'{"reason":"' + b"x" * MOST_BODY + b'"}', {**JSON, "content-length": "0"}, 413),
        (b'{"reason":"x"}', {**JSON, "origin": "http://evil.example"}, 403),
        (b'{"reason":"x"}', {**JSON, "sec-fetch-site": "cross-site"}, 403),
        (b'{"reason":"x"}', {**JSON, "sec-fetch-site": "same-site"}, 403),
        (b'{"reason":"x"}', {**JSON, "origin": "null"}, 403),
        (b'{"reason":"x"}', {**JSON, **BROWSER, "host": "evil.example:3000"}, 403),
        (b'{"reason":"x"}', {**JSON, "x-forwarded-for": "127.0.0.1, 203.0.113.9"}, 403),
        (b'{"reason":"x"}', {**JSON, "via": "1.1 proxy"}, 403),
        (b'{"reason":"x"}', {**JSON, "x-forwarded-for": "127.0.0.1", "x-real-ip": "203.0.113.9"}, 403),
        (b'{"reason":"x"}', {**JSON, "x-forwarded-for": "::1", "via": "1.1 proxy"}, 403),
    ],
)
async def test_what_may_not_act_is_not_asked_of_vtorc(body: bytes, headers: dict[str, str], status_: int) -> None:
    """A request that is malformed, of a foreign page or from elsewhere is refused, and vtorc hears nothing of it."""
    ask = RecordedAsk()
    answer = await ask_app(make_app(told_memory(), ask), CANCEL, method="POST", body=body, headers=headers)
    assert (answer.status, ask.asked) == (status_, [])
    assert (answer.headers["content-type"], answer.json["status"]) == ("application/problem+json", status_)


@pytest.mark.parametrize(
    ("client", "allowed", "status_"),
    [
        ("127.0.0.1", False, 202),
        ("127.8.8.8", False, 202),
        ("::1", False, 202),
        ("::ffff:127.0.0.1", False, 202),
        ("10.0.0.1", False, 403),
        ("::ffff:10.0.0.1", False, 403),
        ("", False, 403),
        ("10.0.0.1", True, 202),
    ],
)
async def test_what_acts_is_taken_from_this_host_unless_a_setting_says_more(
    client: str, allowed: bool, status_: int
) -> None:
    """Other hosts may plan, which changes nothing, and act only with --allow-remote-actions."""
    app = make_app(
        told_memory(), RecordedAsk(status=202), rules=ServerRules(access=AccessRules(allow_remote_actions=allowed))
    )
    given = {"method": "POST", "headers": JSON, "client": client}
    acted = await ask_app(app, CANCEL, body=b'{"reason":"x"}', **given)  # type: ignore[arg-type]
    planned = await ask_app(app, PLANS, body=b'{"kind":"planned"}', **given)  # type: ignore[arg-type]
    assert (acted.status, planned.status) == (status_, 202)
    assert status_ == 202 or "--allow-remote-actions" in acted.json["do"]


@pytest.mark.parametrize(
    ("host", "headers", "status_"),
    [
        ("evil.example:3000", {}, 200),
        ("evil.example:3000", BROWSER, 403),
        ("evil.example:3000", {"accept-language": "de"}, 403),
        ("localhost:3000", BROWSER, 200),
        ("10.0.0.7:3000", BROWSER, 200),
        ("[::1]:3000", BROWSER, 200),
        ("vtorc.example", BROWSER, 200),
        ("vtorc.example", {**BROWSER, "referer": "http://vtorc.example/ui/"}, 200),
        ("vtorc.example", {**BROWSER, "referer": "http://evil.example/"}, 403),
    ],
)
async def test_a_browser_must_know_the_server_by_a_name_of_its_own(
    host: str, headers: dict[str, str], status_: int
) -> None:
    """A browser's request under another name is refused, and one by its address or an allowed name is answered."""
    app = make_app(told_memory(), RecordedAsk(), rules=ServerRules(allowed_hosts=("vtorc.example",)))
    answer = await ask_app(app, "/api/v1/status", headers={"host": host, **headers})
    assert answer.status == status_


# --- all paths


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("/", None),
        ("/api/v1/shards", None),
        ("/api/downtimed/", None),
        ("/a%2F%2Fb", None),
        ("//api/problems", "/api/problems"),
        ("/api//problems/", "/api/problems/"),
        ("/api/./x", "/api/x"),
        ("/api/../x", "/x"),
        ("/../../x/..", "/"),
        ("/a/%2e%2e/b", "/b"),
        ("//", "/"),
        ("//evil.example/..", "/"),
        ("///evil.example", "/evil.example"),
    ],
)
def test_paths_are_cleaned_as_go_does(raw: str, clean: str | None) -> None:
    """Empty parts and dots go, the rest stays as it was written."""
    assert clean_path(raw) == clean


async def test_an_unclean_path_is_redirected_with_its_query() -> None:
    """The answer is 307, so that a POST stays one."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), "//api/v1//shards?q=x")
    assert (answer.status, answer.headers["location"]) == (307, "/api/v1/shards?q=x")


@pytest.mark.parametrize("path", [r"//\evil.example/x", r"/.//\evil.example", r"/\/\evil.example/.."])
async def test_no_redirect_leads_to_another_host(path: str) -> None:
    """A backslash, which browsers take for a slash, is encoded in the path that the answer names."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), path)
    assert answer.status == 307
    assert answer.headers["location"].startswith("/%5C")


@pytest.mark.parametrize(
    ("listener", "path", "expected"),
    [
        (Listener.TODAY, "/nothing", (302, "/debug/status")),
        (Listener.TODAY, "/api/v1/nothing", (404, None)),
        (Listener.V12, "/nothing", (404, None)),
        (Listener.V12, "/api/nothing", (404, None)),
    ],
)
async def test_the_listener_decides_what_an_unknown_path_is(
    listener: Listener, path: str, expected: tuple[int, str | None]
) -> None:
    """Today's vtorc sends on to its status page, and v12 says that there is none."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk(), listener=listener), path)
    assert (answer.status, answer.headers.get("location")) == expected


async def test_an_unknown_path_of_v12s_api_is_an_envelope() -> None:
    """v12's client tries for eleven seconds to read anything else."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk(), listener=Listener.V12), "/api/nothing")
    assert answer.json == {"Code": "ERROR", "Message": "there is no /api/nothing", "Details": None}


async def test_answers_have_the_headers_that_browsers_heed() -> None:
    """No answer may be framed, sniffed or kept."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), "/api/v1/status")
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_client_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a client that does not take it ends, without a mistake that would be logged."""
    monkeypatch.setattr(guard, "SEND_WITHIN", 0.05)
    given: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def stuck(message: Message) -> None:
        given.append(message["type"])
        await asyncio.Future()

    scope = scope_of("GET", "/api/v1/status", "", {}, "127.0.0.1")
    await make_app(told_memory(), RecordedAsk())(scope, receive, stuck)
    assert set(given) == {"http.response.start"}


async def test_a_client_that_leaves_amid_its_request_is_no_mistake() -> None:
    """A request whose body never comes whole asks vtorc for nothing."""
    ask = RecordedAsk()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        """Take nothing, as there is no client."""

    await make_app(told_memory(), ask)(scope_of("POST", CANCEL, "", JSON, "127.0.0.1"), receive, send)
    assert ask.asked == []


@given(
    st.sampled_from(["/", "/shards", "/shards/a/b", "/findings", "/decisions", "/recoveries", "/recoveries/x", "/x"]),
    st.binary(max_size=30),
    st.sampled_from(["q", "cursor", "limit", "state", "sort", "shard", "severity", "\ud800"]),
    st.binary(max_size=30),
)
async def test_no_path_or_query_is_a_mistake_of_vtorcs_own(path: str, more: bytes, name: str, value: bytes) -> None:
    """Whatever is asked for, the answer is a list, a problem or a redirection."""
    url = f"/api/v1{path}{quote(more)}?{quote(name, errors='replace')}={quote(value)}"
    answer = await ask_app(make_app(told_memory(), RecordedAsk()), url)
    assert answer.status in (200, 307, 400, 404), answer.json


# --- probes


@pytest.mark.parametrize(
    ("watched", "has_shards", "expected"),
    [(None, False, 500), (3, False, 500), (0, False, 200), (3, True, 200)],
)
async def test_health_needs_the_topology_and_its_shards(watched: int | None, has_shards: bool, expected: int) -> None:
    """vtorc is ready once it has read the topology and judged a shard, or has found that there is none."""
    memory = told_memory() if has_shards else ServerMemory()
    memory.take(status(shards_watched=watched), time.monotonic())
    answer = await ask_app(make_app(memory, RecordedAsk()), "/debug/health")
    is_healthy = expected == 200
    assert (answer.status, answer.json["Healthy"], "Reason" in answer.json) == (expected, is_healthy, not is_healthy)


async def test_liveness_is_that_of_vtorc() -> None:
    """A vtorc that was heard long ago does not live, and one that the server waits for at its start does."""
    silent = await ask_app(make_app(told_memory(now=0.0), RecordedAsk()), "/debug/liveness")
    waiting = await ask_app(make_app(ServerMemory(), RecordedAsk()), "/debug/liveness")
    assert (silent.status, waiting.status) == (503, 200)


async def test_a_vtorc_that_is_not_heard_is_not_ready() -> None:
    """Readiness ends with liveness, as the answers get old then; the reason says so."""
    answer = await ask_app(make_app(told_memory(now=time.monotonic() - 60), RecordedAsk()), "/debug/health")
    assert (answer.status, answer.json["Healthy"]) == (500, False)
    assert answer.json["Reason"].startswith("vtorc was not heard for ")


@pytest.mark.parametrize("listener", list(Listener))
async def test_the_first_page_is_there_for_the_probes_of_old_operators(listener: Listener) -> None:
    """It answers while vtorc lives, and names no shard, because it is open to all."""
    memory = told_memory(now=time.monotonic())
    page = await ask_app(make_app(memory, RecordedAsk(), listener=listener), "/web/clusters")
    silent = await ask_app(make_app(told_memory(now=0.0), RecordedAsk(), listener=listener), "/web/clusters")
    assert (page.status, silent.status) == (200, 503)
    assert not any(name.encode() in page.body for name in memory.shards)


async def test_the_root_of_v12_leads_to_its_first_page() -> None:
    """A browser that is given the address alone finds the page."""
    answer = await ask_app(make_app(told_memory(), RecordedAsk(), listener=Listener.V12), "/")
    assert (answer.status, answer.headers["location"]) == (302, "/web/clusters")
