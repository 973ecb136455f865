"""The clients that may read and act, by each method and in each dialect."""

import base64
import grp
import os
import pwd
import time
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.unit.server.told import LOST, Answered, RecordedAsk, ask_app, told_memory
from vtorc.server.access import guesses
from vtorc.server.access.certificate import CERTIFICATE, Certificate
from vtorc.server.access.passwords import hash_password
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.visitor import AllowedActions
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules

FAR = "10.0.0.9"
HASH = hash_password("ops", "hunter2")
CANCEL = f"/api/v1/shards/{LOST}/cancel"
V12_ACTION = "/api/disable-global-recoveries"


def heard_memory() -> ServerMemory:
    """Return a memory that vtorc was heard by just now."""
    memory = told_memory()
    memory.heard_at = time.monotonic()
    return memory


class Served:
    """A server with rules of access, for clients of one listener."""

    def __init__(self, listener: Listener = Listener.V12, **rules: Any) -> None:
        self.ask = RecordedAsk(status=202)
        self.app: ASGIApp = make_app(
            heard_memory(), self.ask, listener=listener, rules=ServerRules(access=AccessRules(**rules))
        )

    async def get(self, path: str, headers: dict[str, str] | None = None, client: str = FAR) -> Answered:
        """Ask for a path."""
        return await ask_app(self.app, path, headers=headers, client=client)

    async def act(self, headers: dict[str, str] | None = None, client: str = FAR) -> Answered:
        """Ask for a recovery to be ended."""
        given = {"content-type": "application/json", **(headers or {})}
        return await ask_app(self.app, CANCEL, method="POST", body=b'{"reason":"x"}', headers=given, client=client)


def login(user: str, password: str) -> dict[str, str]:
    """Return the header of a user and a password."""
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


OPS, WRONG = login("ops", "hunter2"), login("ops", "hunter3")


async def test_all_clients_read_and_this_host_acts_by_default() -> None:
    """Without a method, other hosts read only."""
    served = Served()
    assert (await served.get("/api/clusters")).status == 200
    assert (await served.act()).status == 403
    assert (await served.act(client="127.0.0.1")).status == 202


@pytest.mark.parametrize("method", [Method.BASIC, Method.MULTI])
async def test_the_operator_with_the_password_reads_and_acts(method: Method) -> None:
    """The user with its password may act from all hosts, under its name."""
    served = Served(method=method, password=HASH)
    assert (await served.get("/api/v1/status", OPS)).status == 200
    assert (await served.act(OPS)).status == 202
    assert [caller.actor for caller in served.ask.callers] == ["ops"]


@pytest.mark.parametrize("method", [Method.BASIC, Method.MULTI])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        WRONG,
        login("root", "hunter2"),
        login("", ""),
        login("ops\0", "hunter2"),
        {"authorization": "Basic !"},
        {"authorization": "Basic " + base64.b64encode(b"ops").decode()},
        {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"authorization": "Bearer x"},
    ],
)
@pytest.mark.parametrize("client", [FAR, "127.0.0.1"])
async def test_without_the_password_nothing_is_told(method: Method, headers: dict[str, str], client: str) -> None:
    """Each dialect and each page answers 401 and asks for the password, on this host too."""
    served = Served(method=method, password=HASH)
    for path in ("/api/v1/status", "/api/clusters"):
        answer = await served.get(path, headers, client)
        scheme = "Bearer" if "Bearer" in headers.get("authorization", "") else "Basic"
        assert (answer.status, answer.headers["www-authenticate"].partition(" ")[0]) == (401, scheme)
        assert "mysql" not in answer.text
    assert served.ask.asked == []


@pytest.mark.parametrize("listener", Listener)
async def test_both_listeners_ask_for_the_password(listener: Listener) -> None:
    """An operator who wrote a method finds no open port."""
    served = Served(listener, method=Method.BASIC, password=HASH)
    paths = ("/", "/metrics", "/debug/status", "/debug/vars", "/api/problems", "/api/config", "/api/v1/events", "/x")
    assert {path: (await served.get(path)).status for path in paths} == dict.fromkeys(paths, 401)


async def test_a_refusal_is_an_envelope_for_clients_of_v12() -> None:
    """v12's client looks at the code, and takes anything but JSON for no server."""
    served = Served(method=Method.BASIC, password=HASH)
    answer = (await served.get("/api/clusters")).json
    assert (answer["Code"], answer["Message"]) == ("ERROR", "Unauthorized")
    assert (await served.get("/api/v1/status")).json["title"] == "no password"
    assert (await served.get("/metrics")).text.startswith("the request has no user and password: ")


@pytest.mark.parametrize("path", ["/debug/health", "/debug/liveness", "/api/status", "/api/status/", "/web/clusters"])
async def test_probes_need_no_password(path: str) -> None:
    """Container platforms know none."""
    assert (await Served(method=Method.BASIC, password=HASH).get(path)).status != 401


@pytest.mark.parametrize("path", ["/debug/health/x", "/api/status/x", "/debug//health/../vars", "/api/health"])
async def test_only_the_very_paths_of_probes_are_open(path: str) -> None:
    """What is near such a path is not."""
    answer = await Served(method=Method.BASIC, password=HASH).get(path)
    assert answer.status == (307 if "//" in path else 401)


async def test_the_reader_of_multi_reads_with_any_password() -> None:
    """The user readonly may read and plan, and not act."""
    served = Served(method=Method.MULTI, password=HASH)
    reader = login("readonly", "anything")
    assert (await served.get("/api/clusters", reader)).status == 200
    answer = await served.act(reader, client="127.0.0.1")
    assert (answer.status, answer.json["title"]) == (403, "only reading")
    assert (await Served(method=Method.BASIC, password=HASH).get("/api/clusters", reader)).status == 401


@pytest.mark.parametrize(
    ("users", "client", "header", "title"),
    [
        (("*",), "127.0.0.1", {"x-user": "alice"}, None),
        (("alice", "bob"), "::1", {"x-user": "alice"}, None),
        (("alice",), "::ffff:127.0.0.1", {"x-user": "alice"}, None),
        (("alice",), "127.0.0.1", {"x-user": "carol"}, "no power user"),
        (("alice",), FAR, {"x-user": "alice"}, "unknown proxy"),
        (("*",), "", {"x-user": "alice"}, "unknown proxy"),
        (("*",), "127.0.0.1", {}, "no user"),
        (("*",), "127.0.0.1", {"x-user": " "}, "no user"),
        (("*",), "127.0.0.1", {"x-forwarded-user": "alice"}, "no user"),
    ],
)
async def test_a_trusted_proxy_names_the_operator(
    users: tuple[str, ...], client: str, header: dict[str, str], title: str | None
) -> None:
    """All clients read, and those act that a trusted proxy names as one of the power users."""
    served = Served(method=Method.PROXY, user_header="X-User", power_users=users)
    assert (await served.get("/api/clusters", header, client)).status == 200
    answer = await served.act(header, client)
    assert (answer.status, answer.json.get("title")) == ((202, None) if title is None else (403, title))
    assert [caller.actor for caller in served.ask.callers] == (["alice"] if title is None else [])


@pytest.mark.parametrize(
    ("user", "acts"), [("member", True), ("primary", True), ("stranger", False), ("nobody", False)]
)
async def test_members_of_a_power_group_act_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, user: str, acts: bool
) -> None:
    """A user whom the group lists may act, and one with the group as primary group; a user that is unknown may not."""
    group = grp.struct_group(("dba", "", 700, ["member"]))
    gids = {"primary": 700, "stranger": 100}

    def known(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "", 1, gids[name], "", "", ""))

    monkeypatch.setattr(grp, "getgrnam", {"dba": group}.__getitem__)
    monkeypatch.setattr(pwd, "getpwnam", known)
    monkeypatch.setattr(os, "getgrouplist", lambda _, gid: [gid])
    served = Served(method=Method.PROXY, power_users=("alice",), power_groups=("gone", "dba"))
    answer = await served.act({"x-forwarded-user": user}, "127.0.0.1")
    assert answer.status == (202 if acts else 403)


async def test_other_proxies_are_trusted_by_a_setting() -> None:
    """A network of TrustedProxies counts, and loopback only if it is among them."""
    served = Served(method=Method.PROXY, trusted_proxies=("10.0.0.0/24",))
    alice = {"x-forwarded-user": "alice"}
    assert (await served.act(alice)).status == 202
    assert (await served.act(alice, "127.0.0.1")).status == 403


async def test_the_header_of_the_proxy_is_not_shown() -> None:
    """`/api/headers` leaves out the header that the setting names."""
    served = Served(method=Method.PROXY, user_header="X-User")
    assert "X-User" not in (await served.get("/api/headers", {"x-user": "alice"})).json


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"allow_remote_actions": True},
        {"method": Method.BASIC, "password": HASH},
        {"method": Method.MULTI, "password": HASH},
        {"method": Method.PROXY},
    ],
)
async def test_a_read_only_server_takes_nothing_that_acts(rules: dict[str, Any]) -> None:
    """No operator may act, in any dialect, and each answer says why."""
    headers = {**OPS, "x-forwarded-user": "alice"}
    served = Served(read_only=True, **rules)
    answer = await served.act(headers, "127.0.0.1")
    assert (answer.status, answer.json["title"]) == (403, "read-only")
    told = await served.get(V12_ACTION, headers, "127.0.0.1")
    assert (told.status, told.json["Code"], told.json["Message"]) == (500, "ERROR", "Unauthorized")
    assert "ReadOnly" in told.json["Details"]
    today = await Served(Listener.TODAY, read_only=True, **rules).get(V12_ACTION, headers, "127.0.0.1")
    assert (today.status, "ReadOnly" in today.text) == (403, True)
    assert served.ask.asked == []
    assert (await served.get("/api/clusters", headers)).status == 200


async def test_a_known_password_is_not_slowed_by_others_that_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that guesses is told to wait, even with the right password, unless that was right once."""
    monkeypatch.setattr(guesses, "FREE_FAILURES", 1)
    monkeypatch.setattr(guesses, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(guesses, "LONGEST_PAUSE", 3600.0)
    served = Served(method=Method.BASIC, password=HASH)
    found = [(await served.get("/api/v1/status", WRONG)).status for _ in range(4)]
    assert found == [401, 401, 429, 429]
    assert (await served.get("/api/v1/status", OPS)).status == 429
    assert (await served.get("/api/v1/status", OPS, "10.0.0.10")).status == 200
    assert (await served.get("/api/v1/status", OPS)).status == 200


async def ask_with(app: ASGIApp, certificate: Certificate | None, path: str, **options: Any) -> Answered:
    """Ask as a client whose certificate TLS has verified."""

    async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {CERTIFICATE: certificate}}, receive, send)

    return await ask_app(with_certificate, path, client=FAR, **options)


@pytest.mark.parametrize(
    ("certificate", "status"),
    [
        (None, 403),
        (Certificate(name="alice", units=()), 403),
        (Certificate(name="alice", units=("sales",)), 403),
        (Certificate(name="alice", units=("sales", "dba")), 200),
    ],
)
async def test_a_certificate_must_be_of_a_valid_unit(certificate: Certificate | None, status: int) -> None:
    """Without one nothing but probes is answered, and with one its owner acts under its name."""
    served = Served(units=("dba", "sre"))
    assert (await ask_with(served.app, certificate, "/api/clusters")).status == status
    assert (await ask_with(served.app, certificate, "/api/status")).status == 200
    given = {"method": "POST", "body": b'{"reason":"x"}', "headers": {"content-type": "application/json"}}
    acted = await ask_with(served.app, certificate, CANCEL, **given)
    assert (acted.status, [caller.actor for caller in served.ask.callers]) == (
        (202, ["alice"]) if status == 200 else (403, [])
    )


async def test_a_certificate_does_not_stand_for_the_password() -> None:
    """With a method besides, both are asked for."""
    served = Served(units=("dba",), method=Method.BASIC, password=HASH)
    dba = Certificate(name="alice", units=("dba",))
    assert (await ask_with(served.app, dba, "/api/clusters")).status == 401
    assert (await ask_with(served.app, None, "/api/clusters", headers=OPS)).status == 403
    assert (await ask_with(served.app, dba, "/api/clusters", headers=OPS)).status == 200


async def test_the_status_may_need_a_certificate_too() -> None:
    """StatusOUVerify closes the one path, wherever it is."""
    served = Served(units=("dba",), status_needs_unit=True, status_endpoint="/alive")
    assert (await served.get("/alive")).status == 403
    assert (await ask_with(served.app, Certificate(name="", units=("dba",)), "/alive")).status == 200
    assert (await served.get("/debug/health")).status == 200


async def test_todays_listener_asks_for_no_certificate() -> None:
    """It has no TLS, so that no client could send one; other hosts do not act there."""
    served = Served(Listener.TODAY, units=("dba",))
    assert (await served.get("/api/v1/status")).status == 200
    assert (await served.act()).status == 403


async def test_outside_a_request_nothing_acts() -> None:
    """What asks without a visitor fails, so that no way around the gate can be left open by mistake."""
    ask = RecordedAsk()
    with pytest.raises(LookupError):
        await AllowedActions(ask)("cancel", {}, actor="x", origin="127.0.0.1")
    assert ask.asked == []
