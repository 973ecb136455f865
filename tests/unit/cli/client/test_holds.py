"""The commands about holds: what they send, and what the operator reads."""

import json
from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.unit.cli.client.fake_server import FakeServer, Reply, fake_server, json_reply, list_reply, problem_reply
from tests.unit.cli.client.samples import HEALTHY, shard, status_form, why
from tests.unit.core.builders import hold
from vtorc.cli import ctl
from vtorc.cli.client.fleet_text import status_lines
from vtorc.cli.client.shard_text import topology_lines, why_lines
from vtorc.core.facts.holds import Effect, Purpose
from vtorc.forms.hold import HoldAnswerForm, hold_form

KEPT = hold_form(hold(Effect.NO_FAILOVER, on="shard:commerce/0"))
SENTENCE = "hold 3 of ann on commerce/0 until it is lifted: a drill (no_failover)"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """Serve a vtorc with one hold where `vtorc ctl` looks for one."""

    def answer(method: str, target: str) -> Reply:
        match method, target.removeprefix("/api/v1/"):
            case "GET", "holds":
                return list_reply(KEPT)
            case ("POST", "holds") | ("DELETE", "holds/3"):
                return json_reply(HoldAnswerForm(hold=KEPT, outlives_vtorc=method == "DELETE"))
        return problem_reply(404, what="hold 9", why="no such hold is in force")

    with fake_server(answer) as running:
        monkeypatch.setenv("VTORC_SERVER", running.address)
        monkeypatch.setenv("COLUMNS", "100")
        yield running


@pytest.mark.usefixtures("server")
def test_holds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is one sentence with its number."""
    assert ctl.main(["holds"]) == 0
    assert capsys.readouterr().out == f"= {SENTENCE}\n"


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["commerce/0", "--effect", "no_failover"], {"scope": "shard:commerce/0", "effects": ["no_failover"]}),
        (["fleet", "--effect", "no_alert,no_repair"], {"scope": "fleet", "effects": ["no_alert", "no_repair"]}),
        (
            ["cell:z1", "--effect", "prefer", "--for", "2h"],
            {"scope": "cell:z1", "effects": ["prefer"], "seconds": 7200},
        ),
        (
            ["tablet:zone1-101", "--effect", "prefer", "--owner", "backups"],
            {"scope": "tablet:zone1-0000000101", "effects": ["prefer"], "owner": "backups"},
        ),
    ],
)
def test_a_hold_is_sent_as_the_words_say(
    server: FakeServer, words: list[str], sent: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer has the sentence, how to lift it, and that it ends with vtorc where there is no place to keep it."""
    assert ctl.main(["hold", *words, "--reason", "a drill"]) == 0
    assert json.loads(server.bodies[0]) == {"owner": None, "seconds": None, "reason": "a drill", **sent}
    assert " ".join(capsys.readouterr().out.split()) == (
        f"in force: {SENTENCE} it ends with vtorc, which has no -log_dir to keep it in "
        "to lift it: vtorc ctl lift 3 --reason TEXT"
    )


@pytest.mark.parametrize(
    ("words", "why_not"),
    [
        (["hold", "commerce", "--effect", "no_failover"], "scope 'commerce': expected fleet, cell:<cell>"),
        (["hold", "commerce/0", "--effect", "nothing"], "effect 'nothing': expected one of no_failover"),
        (["hold", "fleet", "--effect", "prefer", "--for", "1y"], "length '1y': expected a number with s, m, h, d or w"),
        (["lift", "-3"], "number '-3': expected that of a hold"),
        (["lift", "three"], "number 'three': expected that of a hold"),
    ],
)
def test_malformed_words_end_with_2(
    server: FakeServer, words: list[str], why_not: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused with the value and what was expected, and nothing is sent."""
    reason = ["--reason", "a drill"]
    assert ctl.main([words[0], *reason, "--", words[1]] if words[0] == "lift" else [*words, *reason]) == 2
    assert why_not in capsys.readouterr().err
    assert server.asked == []


def test_a_hold_is_lifted_by_its_number(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is not in force is a refusal."""
    assert ctl.main(["lift", "3", "--reason", "done"]) == 0
    assert json.loads(server.bodies[0]) == {"reason": "done"}
    assert capsys.readouterr().out.startswith(f"not in force any more: {SENTENCE[:20]}")
    assert ctl.main(["lift", "9", "--reason", "done"]) != 0
    assert "no such hold is in force" in capsys.readouterr().err


def test_every_view_shows_the_holds_in_force() -> None:
    """The switch that stops all recoveries is an announcement already, and is not shown twice."""
    switch = hold_form(hold(Effect.NO_REPAIR, purpose=Purpose.SWITCH, number=4))
    assert f"= {SENTENCE}" in status_lines(status_form(holds=[KEPT, switch]), [], "a", 200)
    assert not any("stopped all" in line for line in status_lines(status_form(holds=[KEPT, switch]), [], "a", 200))
    assert f"  = {SENTENCE}" in why_lines(why(shard(HEALTHY), holds=[KEPT]), 200)
    told = structs.replace(shard(HEALTHY), holds=[KEPT])
    first = structs.replace(told.tablets[0], holds=[hold_form(hold(Effect.PREFER, number=5))])
    lines = topology_lines(structs.replace(told, tablets=[first, *told.tablets[1:]]), 200)
    assert f"= {SENTENCE}" in lines
    assert any(line.lstrip("| ").startswith("= hold 5 of ann on the fleet") for line in lines)
