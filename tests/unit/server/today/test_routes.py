"""What today's API answers beside its lists: settings, switches, the status page, and denials."""

import json

import pytest
from msgspec import structs

from tests.unit.core.builders import primary, replica, shard
from tests.unit.server.today.memories import (
    app_of,
    memory_of,
    recovery_frame,
    settings_frame,
    status_frame,
)
from tests.unit.server.told import RecordedAsk, ask_app
from vtorc.forms.frames import ProblemForm, RecoveryFrame
from vtorc.server.app import make_app
from vtorc.server.options import ServerRules

PATHS = ["/api/problems", "/api/config", "/api/database-state", "/debug/status"]
SWITCHES = ["/api/disable-global-recoveries", "/api/enable-global-recoveries"]
OPEN_PATHS = ["/metrics", "/debug/vars"]


def _named(name: str) -> RecoveryFrame:
    return RecoveryFrame(recovery=structs.replace(recovery_frame().recovery, id=name))


@pytest.mark.parametrize(
    ("value", "source", "shown"),
    [
        (5.0, "default", 5_000_000_000),
        (36000.0, "file vtorc.json", "10h"),
        (90.0, "file vtorc.json", "1m30s"),
        (60.0, "flag --instance-poll-time", "1m0s"),
    ],
)
async def test_a_duration_is_shown_as_it_was_given(value: float, source: str, shown: object) -> None:
    """A default is in nanoseconds; one of a file is as it was written there, which Vitess' own tests look for."""
    told = settings_frame({"instance_poll_time": source}, instance_poll_time=value)
    answer = await ask_app(app_of(memory_of(told)), "/api/config")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert json.loads(answer.text)["instance-poll-time"] == shown


async def test_other_settings_keep_their_kind_and_secrets_are_hidden() -> None:
    """A password that is set is never shown."""
    told = settings_frame(clusters_to_watch=("ks", "ks2/-80"), mysql_topology_password="geheim")
    answer = await ask_app(app_of(memory_of(told)), "/api/config")
    config = json.loads(answer.text)
    assert "geheim" not in answer.text
    names = ("allow-recovery", "clusters-to-watch", "topo-read-concurrency", "mysql-topology-password")
    assert [config[name] for name in names] == [True, ["ks", "ks2/-80"], 32, "***"]
    assert answer.text.startswith('{\n\t"actions-per-minute": 10,\n')


@pytest.mark.parametrize(
    ("path", "allowed", "text"),
    [
        ("/api/disable-global-recoveries", False, "Global recoveries disabled\n"),
        ("/api/enable-global-recoveries", True, "Global recoveries enabled\n"),
    ],
)
async def test_the_switch_of_all_recoveries_is_asked_of_vtorc(path: str, allowed: bool, text: str) -> None:
    """It answers as Vitess' vtorc does, once vtorc has done it."""
    ask = RecordedAsk()
    answer = await ask_app(app_of(memory_of(), ask), path)
    assert ask.asked == [("recoveries", {"allow": allowed, "reason": f"asked by {path}"}, "127.0.0.1")]
    assert (answer.status, answer.text) == (200, text)


async def test_a_switch_that_vtorc_refuses_is_an_error_with_its_reason() -> None:
    """No client is told that recoveries are disabled while they are not."""
    problem = ProblemForm(title="no answer", status=504, what="nothing came", why="vtorc is stopped", do="look at it")
    answer = await ask_app(app_of(memory_of(), RecordedAsk(504, problem)), SWITCHES[0])
    assert (answer.status, answer.text) == (504, "nothing came: vtorc is stopped; look at it\n")


@pytest.mark.parametrize(
    ("name", "denied"),
    [
        ("deny-all", [*PATHS, *SWITCHES]),
        ("read-only", SWITCHES),
        ("no-such-policy", [*PATHS, *SWITCHES]),
        ("", []),
    ],
)
async def test_a_security_policy_denies_roles(name: str, denied: list[str]) -> None:
    """An unknown policy denies all, and what takes no role is always there."""
    ask = RecordedAsk()
    app = make_app(memory_of(), ask, rules=ServerRules(security_policy=name))
    answers = {path: await ask_app(app, path) for path in (*PATHS, *SWITCHES, *OPEN_PATHS)}
    assert [path for path, answer in answers.items() if answer.status == 403] == denied
    assert all(answers[path].status == 200 for path in answers if path not in denied)
    told = "read-only" if name == "read-only" else "deny-all"
    for path in denied:
        assert answers[path].text == f"Access denied: not allowed: {told} security-policy enforced\n"
    assert bool(ask.asked) == (SWITCHES[0] not in denied)


@pytest.mark.parametrize(
    ("client", "headers", "status"),
    [
        pytest.param("127.0.0.1", {}, 200, id="own host"),
        pytest.param("192.0.2.7", {}, 403, id="another host"),
        pytest.param("127.0.0.1", {"sec-fetch-site": "cross-site"}, 403, id="another site in a browser"),
        pytest.param("127.0.0.1", {"sec-fetch-site": "same-origin"}, 200, id="own page in a browser"),
    ],
)
async def test_a_foreign_host_or_page_cannot_switch(client: str, headers: dict[str, str], status: int) -> None:
    """A GET that acts is guarded as all that acts, by the listener."""
    ask = RecordedAsk()
    app = make_app(memory_of(settings_frame()), ask)
    answer = await ask_app(app, SWITCHES[0], client=client, headers=headers)
    assert answer.status == status
    assert bool(ask.asked) == (status == 200)


async def test_a_path_that_is_gone_since_v23_leads_to_the_status_page() -> None:
    """Vitess' vtorc sends all unknown paths there."""
    answer = await ask_app(make_app(memory_of(), RecordedAsk()), "/api/aggregated-discovery-metrics?seconds=60")
    assert (answer.status, answer.headers["location"]) == (302, "/debug/status")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
async def test_the_method_does_not_matter(method: str) -> None:
    """Vitess' vtorc never looks at it."""
    assert (await ask_app(app_of(memory_of()), "/api/problems", method=method)).status == 200


async def test_the_status_page_shows_the_last_recoveries() -> None:
    """The newest comes first, and at most 20 are shown."""
    frames = [_named(f"recovery-{number:02}") for number in range(25)]
    text = (await ask_app(app_of(memory_of(status_frame(), *frames)), "/debug/status")).text
    assert text.count("<tr><td>") == 20
    assert text.index("recovery-24") < text.index("recovery-05")
    assert "recovery-04" not in text
    assert "Version 1.2.3" in text


async def test_names_are_no_markup_on_the_status_page() -> None:
    """Names of a topology server may hold anything."""
    text = (await ask_app(app_of(memory_of(_named("<script>"))), "/debug/status")).text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


async def test_every_path_answers_before_anything_was_told() -> None:
    """A server that has just started has an empty memory, and breaks on nothing."""
    for memory in (memory_of(), memory_of(shard(primary(), replica("zone1-101")))):
        app = app_of(memory)
        assert [(await ask_app(app, path)).status for path in (*PATHS, *OPEN_PATHS)] == [200] * 6
