"""Clients with bearer tokens: what they may read and do in each dialect."""

import base64
import hashlib
from typing import Any

import msgspec
import pytest
from msgspec import structs

from tests.unit.server.told import LOST, NOW, OTHER, WELL, Answered, RecordedAsk, ask_app, decision, lost, told_memory
from tests.unit.server.told import recovery as ended
from vtorc.forms.access import TOKEN_PREFIX, KnownToken, Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import (
    AnnouncementForm,
    AuditFrame,
    MetricForm,
    MetricsFrame,
    RecoveryFrame,
    ShardFrame,
    TokensFrame,
)
from vtorc.server.access.guesses import FREE_FAILURES
from vtorc.server.access.passwords import hash_password
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.tokens import TokenCheck
from vtorc.server.access.visitor import Visitor
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules

FAR = "10.0.0.9"
CANCEL = f"/api/v1/shards/{LOST}/cancel"


def secret(name: str) -> str:
    """Return the secret of the token of a name."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


def known(name: str, role: Role, *, keyspaces: tuple[str, ...] | None = None, expires: int | None = None) -> KnownToken:
    """Return a token as vtorc tells it."""
    raw = hashlib.sha256(name.encode()).digest()
    return KnownToken(
        name=name,
        hash=hashlib.sha256(raw).digest(),
        role=role,
        keyspaces=keyspaces,
        created=1,
        created_by="ann",
        expires=expires,
    )


TOKENS = [
    known("reader", Role.READ),
    known("bot", Role.OPERATE),
    known("chief", Role.ADMIN),
    known("customer", Role.ADMIN, keyspaces=("customer",)),
    known("old", Role.ADMIN, expires=2),
]


def bearer(name: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"authorization": f"Bearer {secret(name)}"}


class Served:
    """A server that was told of tokens, of a fleet, and of what operators asked for."""

    def __init__(self, listener: Listener = Listener.V12, *, policy: str = "", **rules: Any) -> None:
        self.ask = RecordedAsk(status=202)
        self.memory = told_memory()
        self.memory.take(TokensFrame(tokens=TOKENS), NOW)
        other = structs.replace(self.memory.shards[OTHER], sentence=f"{OTHER}: all is well")
        self.memory.take(ShardFrame(shard=other), NOW)
        for number, shard in enumerate((WELL, OTHER)):
            self.memory.take(RecoveryFrame(recovery=ended(50 + number, shard)), NOW)
            self.memory.take(AuditFrame(entry=entry(f"{number}-1", shard)), NOW)
        self.memory.take(AuditFrame(entry=entry("9-1", None)), NOW)
        self.app = make_app(
            self.memory,
            self.ask,
            listener=listener,
            rules=ServerRules(access=AccessRules(**rules), security_policy=policy),
        )

    async def get(self, path: str, headers: dict[str, str] | None = None, client: str = FAR) -> Answered:
        """Ask for a path."""
        return await ask_app(self.app, path, headers=headers, client=client)

    async def act(self, headers: dict[str, str] | None = None, client: str = FAR) -> Answered:
        """Ask for a recovery to be ended."""
        given = {"content-type": "application/json", **(headers or {})}
        return await ask_app(self.app, CANCEL, method="POST", body=b'{"reason":"x"}', headers=given, client=client)


def entry(id_: str, shard: str | None) -> AuditForm:
    """Return an audit entry."""
    return AuditForm(
        id=id_,
        at="2023-11-14T22:13:20.000Z",
        action="cancel",
        shard=shard,
        tablet=None,
        actor="ann",
        means=Means.HOST,
        role=Role.ADMIN,
        origin="127.0.0.1",
        arguments={},
        reason="a drill",
        result="done",
        recovery=None,
        sentence="done",
    )


@pytest.mark.parametrize("method", [Method.NONE, Method.BASIC, Method.PROXY])
async def test_the_owner_of_a_token_acts_under_its_name(method: Method) -> None:
    """A token counts with each method, and vtorc hears its name, its role and how the client is known."""
    served = Served(method=method, password=hash_password("ops", "x") if method is Method.BASIC else None)
    assert (await served.get("/api/clusters", bearer("bot"))).status == 200
    assert (await served.act({**bearer("bot"), "idempotency-key": "k1"})).status == 202
    (caller,) = served.ask.callers
    assert (caller.actor, caller.means, caller.role, caller.keyspaces) == ("bot", Means.TOKEN, Role.OPERATE, None)
    assert served.ask.keys == ["k1"]


async def test_a_reading_token_does_not_act_on_any_host() -> None:
    """The refusal names the role that is needed, and vtorc hears of it; v12's clients get its Unauthorized."""
    served = Served()
    answer = await served.act(bearer("reader"), "127.0.0.1")
    assert (answer.status, "the role operate" in answer.json["why"]) == (403, True)
    told = await served.get("/api/disable-global-recoveries", bearer("reader"), "127.0.0.1")
    assert (told.json["Message"], "the role operate" in told.json["Details"]) == ("Unauthorized", True)
    assert served.ask.asked == []
    assert [(action, caller.actor) for action, caller, _ in served.ask.reported] == [
        ("cancel", "reader"),
        ("recoveries", "reader"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        secret("nobody's"),
        secret("bot")[:-1],
        secret("bot") + "A",
        secret("bot").removeprefix(TOKEN_PREFIX),
        "",
        TOKEN_PREFIX,
        TOKEN_PREFIX + "\xe9" * 43,
        secret("old"),
        secret("bot").replace(secret("bot")[-1], "=", 1),
    ],
)
async def test_a_wrong_token_is_refused_where_none_is_needed(text: str) -> None:
    """A client that shows a token counts as its owner or not at all; the refusal does not tell the token."""
    served = Served()
    answer = await ask_app(
        served.app, "/api/v1/status", headers={"authorization": f"Bearer {text}"}, client="127.0.0.1"
    )
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert len(text) < 10 or text not in answer.text
    ((action, caller, _),) = served.ask.reported
    assert (action, caller.role) == ("log in", Role.NONE)


def test_guesses_are_slowed_and_a_right_token_is_not() -> None:
    """An address that sends wrong tokens has to wait, and its owner of a right one has not."""
    memory = ServerMemory()
    memory.take(TokensFrame(tokens=TOKENS), NOW)
    check = TokenCheck(memory, clock=lambda: 5.0, wall=lambda: 1)
    statuses = [getattr(check.admit(secret("wrong"), FAR), "status", 200) for _ in range(FREE_FAILURES + 2)]
    assert statuses == [401] * (FREE_FAILURES + 1) + [429]
    assert isinstance(check.admit(secret("bot"), FAR), Visitor)


def test_a_token_ends_in_time_and_with_its_revocation() -> None:
    """An expired token is refused, and so is one that vtorc no longer tells of."""
    now = 1
    memory = ServerMemory()
    memory.take(TokensFrame(tokens=TOKENS), NOW)
    check = TokenCheck(memory, wall=lambda: now)
    assert isinstance(check.admit(secret("old"), FAR), Visitor)
    now = 2
    assert not isinstance(check.admit(secret("old"), FAR), Visitor)
    memory.take(TokensFrame(tokens=[]), NOW)
    assert not isinstance(check.admit(secret("bot"), FAR), Visitor)


async def test_only_admins_see_the_tokens() -> None:
    """The list has no secret and no hash."""
    served = Served()
    assert (await served.get("/api/v1/tokens", bearer("bot"))).json["title"] == "not allowed"
    listed = await served.get("/api/v1/tokens", bearer("chief"))
    assert [item["name"] for item in listed.json["items"]] == [token.name for token in TOKENS]
    for path in ("tokens", "webhook"):
        assert (await served.get(f"/api/v1/{path}", bearer("customer"))).status == 403
    for token in TOKENS:
        assert base64.b64encode(token.hash).decode() not in listed.text
    assert "hash" not in listed.text


READS = [
    "/api/v1/status",
    "/api/v1/shards",
    "/api/v1/findings",
    "/api/v1/decisions",
    "/api/v1/recoveries",
    "/api/v1/running",
    "/api/v1/audit",
    "/api/v1/holds",
    "/api/clusters",
    "/api/clusters-info",
    "/api/all-instances",
    "/api/audit",
    "/api/audit-recovery",
    "/api/audit-failure-detection",
    "/api/replication-analysis",
    "/api/problems",
    "/api/primaries",
    "/api/blocked-recoveries",
    "/api/replication-analysis-changelog",
    "/api/automated-recovery-filters",
    "/api/database-state",
    "/api/config",
    "/api/detection-analysis",
    "/api/errant-gtids",
    "/debug/status",
    "/debug/vars",
    "/metrics",
]


@pytest.mark.parametrize("listener", Listener)
@pytest.mark.parametrize("path", READS)
async def test_a_client_of_some_keyspaces_sees_nothing_of_others(path: str, listener: Listener) -> None:
    """No list of any dialect names a shard, a tablet or an operator of another keyspace."""
    served = Served(listener)
    served.memory.take(structs.replace(status_with_news(), clusters_to_watch=["commerce", "customer/-80"]), NOW)
    served.memory.take(MetricsFrame(metrics=[metric("commerce"), metric("customer")]), NOW)
    served.memory.take(decision(lost().findings[0]), NOW)
    answer = await served.get(path, bearer("customer"))
    assert answer.status == 200
    assert "commerce" not in answer.text
    if path in ("/api/v1/status", "/api/v1/shards", "/metrics", "/api/database-state"):
        assert "commerce" in (await served.get(path, bearer("chief"))).text


def metric(keyspace: str) -> MetricForm:
    """Return a metric of a shard of a keyspace."""
    return MetricForm(name="ShardReady", labels={"Keyspace": keyspace, "Shard": "0"}, value=1)


def status_with_news() -> Any:
    """Return a status with news about a shard, and with a failure that names a path."""
    told = told_memory().status
    assert told is not None
    news = AnnouncementForm(rule="own-error", since="2023-11-14T22:13:20.000Z", sentence="commerce/0: vtorc failed")
    return structs.replace(told, announcements=[news], topology_failures=["keyspaces/commerce: no answer"])


async def test_other_shards_are_not_found() -> None:
    """A shard of another keyspace is answered as one that does not exist, and news of it come to no listener."""
    served = Served()
    for path in (f"/api/v1/shards/{WELL}", f"/api/v1/shards/{WELL}/why"):
        hidden = await served.get(path, bearer("customer"))
        missing = await served.get(path.replace("commerce", "nothing"), bearer("customer"))
        assert (hidden.status, hidden.text) == (missing.status, missing.text.replace("nothing", "commerce"))
        assert hidden.status == 404
    assert (await served.get(f"/api/v1/shards/{OTHER}", bearer("customer"))).status == 200


async def test_a_client_of_some_keyspaces_hears_what_is_new_there() -> None:
    """What vtorc tells after the first request is seen, if it is about one of the keyspaces."""
    served = Served()
    before = (await served.get("/api/v1/shards", bearer("customer"))).json["items"]
    for name in ("customer/80-", "commerce/new"):
        shard = served.memory.shards[OTHER]
        keyspace, _, part = name.partition("/")
        served.memory.take(ShardFrame(shard=structs.replace(shard, name=name, keyspace=keyspace, shard=part)), NOW)
    after = (await served.get("/api/v1/shards", bearer("customer"))).json["items"]
    assert [row["name"] for row in after] == [*(row["name"] for row in before), "customer/80-"]


async def test_vtorc_hears_the_keyspaces_of_the_client() -> None:
    """What acts is refused by vtorc itself, which knows the shard of each request."""
    served = Served()
    await served.act(bearer("customer"))
    assert [caller.keyspaces for caller in served.ask.callers] == [("customer",)]


@pytest.mark.parametrize("name", ["chief", "bot"])
async def test_nothing_acts_on_the_read_only_listener(name: str) -> None:
    """Its API has no path that acts, and v12's commands are refused, whatever the client may do elsewhere."""
    served = Served(Listener.READ_ONLY)
    assert (await served.get("/api/clusters", bearer(name))).status == 200
    assert (await served.act(bearer(name))).status == 404
    told = await served.get("/api/disable-global-recoveries", bearer(name))
    assert told.json["Message"] == "Unauthorized"
    assert served.ask.asked == []


@pytest.mark.parametrize(("policy", "reads"), [("read-only", 200), ("deny-all", 403), ("something", 403)])
async def test_a_security_policy_holds_in_all_dialects(policy: str, reads: int) -> None:
    """An operator who forbids what acts, or all, finds no dialect that still allows it."""
    served = Served(policy=policy)
    for path in ("/api/v1/status", "/api/clusters", "/api/v1/openapi.json", "/x"):
        status = (await served.get(path, bearer("chief"))).status
        assert status == (reads if path != "/x" or reads == 403 else 404)
    assert (await served.act(bearer("chief"), "127.0.0.1")).status == 403
    assert served.ask.asked == []
    for path in ("/metrics", "/debug/vars", "/debug/liveness", "/api/status"):
        assert (await served.get(path)).status != 403


async def test_a_key_that_is_too_long_is_refused() -> None:
    """A part of it could stand for another request."""
    served = Served()
    answer = await served.act({**bearer("bot"), "idempotency-key": "k" * 201})
    assert (answer.status, answer.json["title"], served.ask.asked) == (400, "long key", [])


async def test_the_audit_is_filtered() -> None:
    """Each filter leaves out what it does not fit, and a time that is none is refused."""
    served = Served()

    async def ids(query: str) -> list[str]:
        return [item["id"] for item in (await served.get(f"/api/v1/audit?{query}", bearer("reader"))).json["items"]]

    assert await ids("") == ["9-1", "1-1", "0-1"]
    assert await ids("limit=1") == ["9-1"]
    assert await ids(f"shard={WELL}") == ["0-1"]
    assert await ids("actor=bob") == []
    assert await ids("actor=ann&action=cancel&result=done&since=2023-11-14T22:13:20Z") == ["9-1", "1-1", "0-1"]
    assert await ids("since=2023-11-14T22:13:21Z") == []
    assert await ids("until=2023-11-14T23:13:20%2B01:00") == []
    for query in ("since=0.5", "since=2023-13-14T22:13:20Z", "result=other", "limit=0"):
        assert (await served.get(f"/api/v1/audit?{query}", bearer("reader"))).status == 400


async def test_v12s_audit_has_the_requests_of_operators() -> None:
    """Its rows are in the form of v12, newest first."""
    served = Served()
    rows = [row for row in (await served.get("/api/audit", bearer("reader"))).json if row["AuditType"] == "cancel"]
    assert {row["Message"] for row in rows} == {"done: done (asked for by ann from 127.0.0.1)"}
    assert {row["AuditInstanceKey"]["Port"] for row in rows} >= {0}


def test_a_token_shows_no_hash() -> None:
    """Neither a traceback nor a log line that shows a token shows its hash."""
    assert repr(TOKENS[0]) == "KnownToken('reader')"
    assert msgspec.json.decode(msgspec.json.encode(TOKENS[0]), type=KnownToken) == TOKENS[0]
