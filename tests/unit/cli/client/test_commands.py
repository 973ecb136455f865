"""The commands: what they ask for, what they print, their exit codes, and the question before a change."""

import io
import json
from collections.abc import Iterator

import pytest

from tests.unit.cli.client.fake_server import (
    FakeServer,
    Reply,
    event,
    fake_server,
    json_reply,
    list_reply,
    problem_reply,
    stream_reply,
)
from tests.unit.cli.client.samples import AT, HEALTHY, LOST, decision, plan, recovery, running, shard, status_form, why
from vtorc.cli import ctl
from vtorc.cli.client import commands
from vtorc.cli.client.words import COMMANDS
from vtorc.forms.fleet import shard_row
from vtorc.forms.frames import HeartbeatFrame, RecoveryFrame
from vtorc.forms.shard import ShardForm

BEAT = event(HeartbeatFrame(at=AT, late_seconds=0), "heartbeat")
ENDED = event(RecoveryFrame(recovery=recovery()), "recovery")


class _Vtorc:
    """A vtorc of one shard, with a plan and a recovery as a test wants them."""

    def __init__(self) -> None:
        self.shard: ShardForm = shard(HEALTHY)
        self.plan: Reply = json_reply(plan())
        self.executed: Reply = json_reply({"recovery": running()}, 202)
        self.cancelled: Reply = json_reply({"cancelled": True}, 202)
        self.events: Reply = stream_reply(BEAT, ENDED)
        self.is_recorded = False

    def __call__(self, method: str, target: str) -> Reply:
        """Answer a request."""
        form = self.shard
        path = target.partition("?")[0].removeprefix("/api/v1/")
        states = {"healthy": 0, "repairing": 0, "standing_still": 0, "unknown": 0, form.state: 1}
        match method, path:
            case "GET", "status":
                return json_reply(status_form(states=states, sentence=f"1 shard: 1 {form.state}"))
            case "GET", "shards":
                return list_reply(shard_row(form))
            case "GET", "shards/commerce/0":
                return json_reply(form)
            case "GET", "shards/commerce/0/why":
                return json_reply(why(form, decisions=[decision()], recoveries=[recovery()]))
            case "GET", "findings":
                return list_reply(*form.findings)
            case "GET", "recoveries":
                return list_reply(recovery(id="old"))
            case "GET", "recoveries/1764460800000000000" if self.is_recorded:
                return json_reply(recovery())
            case "POST", "shards/commerce/0/plans":
                return self.plan
            case "POST", "plans/p1/execute":
                return self.executed
            case "POST", "shards/commerce/0/cancel":
                return self.cancelled
            case "GET", "events":
                return self.events
        return problem_reply(404, what=f"there is no {path}", why="it is unknown", do="list the shards")


@pytest.fixture
def vtorc() -> _Vtorc:
    return _Vtorc()


@pytest.fixture
def server(vtorc: _Vtorc, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """Serve that vtorc where `vtorc ctl` looks for one."""
    with fake_server(vtorc) as running_server:
        monkeypatch.setenv("VTORC_SERVER", running_server.address)
        monkeypatch.setenv("COLUMNS", "80")
        yield running_server


READS = [
    (["status"], "1 shard: 1 {state}"),
    (["status"], "vtorc ctl recovery old"),
    (["shards"], "commerce/0"),
    (["topology", "commerce/0"], "`- zone3-0000000103"),
    (["why", "commerce/0"], "Recent decisions"),
    (["problems"], ""),
    (["recoveries"], "id old"),
    (["recovery", "1764460800000000000"], "safe because"),
]


def test_each_command_has_its_words() -> None:
    """The commands that are carried out are those that the command line takes."""
    assert set(COMMANDS) == set(commands.COMMANDS)


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("words", "shown"), READS)
def test_a_healthy_shard_ends_with_0(
    words: list[str], shown: str, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command that reads shows its text, and ends with 0 where all is well."""
    vtorc.is_recorded = True
    assert ctl.main(words) == 0
    out, err = capsys.readouterr()
    assert shown.format(state="healthy") in out
    assert not err
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("words", "shown"), READS)
def test_problems_end_with_1(words: list[str], shown: str, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """Where something is wrong the commands that tell of it end with 1; those about the past end with 0."""
    vtorc.shard, vtorc.is_recorded = shard(LOST), True
    assert ctl.main(words) == (0 if words[0].startswith("recover") else 1)
    assert shown.format(state="repairing") in capsys.readouterr().out


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("words", "shown"), READS)
def test_json_is_one_document(words: list[str], shown: str, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, before or after the command, the answer of the API is printed as one document in ASCII."""
    vtorc.shard, vtorc.is_recorded = shard(LOST), True
    code = ctl.main([*words, "--json"])
    after = capsys.readouterr().out
    assert ctl.main(["--json", *words]) == code
    assert capsys.readouterr().out == after
    assert after.isascii()
    assert isinstance(json.loads(after), dict)


def test_problems_filters_the_table(server: FakeServer, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """--problems leaves out shards in which nothing is wrong; other filters are vtorc's."""
    assert ctl.main(["shards", "--problems", "--state", "healthy", "--keyspace", "commerce"]) == 0
    assert capsys.readouterr().out == "no shard is of that kind\n"
    assert server.asked == [("GET", "/api/v1/shards?state=healthy&keyspace=commerce&sort=state")]
    vtorc.shard = shard(LOST)
    assert ctl.main(["shards", "--problems"]) == 1


@pytest.mark.usefixtures("server")
def test_an_unknown_shard_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A shard that vtorc does not know is an error in its words."""
    assert ctl.main(["topology", "commerce/80-"]) == 2
    assert capsys.readouterr().err == ("vtorc ctl: there is no shards/commerce/80-: it is unknown; list the shards\n")


@pytest.mark.usefixtures("server")
def test_a_problem_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a refusal is the problem of the API, and nothing else is printed."""
    assert ctl.main(["why", "commerce/80-", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (json.loads(out)["status"], err) == (404, "")


@pytest.mark.parametrize("words", [["topology", "commerce"], ["recoveries", "--shard", "x"], ["watch", "a/"]])
def test_malformed_names_end_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A name that cannot be one of a shard is refused before vtorc is asked."""
    assert ctl.main([*words, "--server", "http://127.0.0.1:1"]) == 2
    assert "expected KEYSPACE/SHARD" in capsys.readouterr().err


def test_a_malformed_address_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that is none is refused."""
    assert ctl.main(["status", "--server", "ftp://h"]) == 2
    assert capsys.readouterr().err.startswith("vtorc ctl: server 'ftp://h': expected http://HOST:PORT")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sttus"],
        ["promote", "commerce/0"],
        ["shards", "--state", "ill"],
        ["promote", "a/0", "--reas", "x"],
        ["force", "a/0", "--reason", "x"],
    ],
)
def test_wrong_words_end_with_2(words: list[str]) -> None:
    """Unknown commands, missing reasons, unknown values and shortened options are refused."""
    with pytest.raises(SystemExit) as ended:
        ctl.main(words)
    assert ended.value.code == 2


def test_a_word_too_many_is_answered_with_the_usage_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """There stands that a shard is named with --shard; the usage of all commands told nothing of that."""
    with pytest.raises(SystemExit) as ended:
        ctl.main(["recoveries", "commerce/0"])
    told = capsys.readouterr().err
    assert (ended.value.code, "--shard KEYSPACE/SHARD" in told) == (2, True)
    assert "vtorc ctl recoveries: error: unrecognized arguments: commerce/0" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command describes its words in 80 columns."""
    with pytest.raises(SystemExit) as ended:
        ctl.main([name, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(word.name in out or (word.metavar or "") in out for word in COMMANDS[name].words)
    assert max(map(len, out.splitlines())) <= 80


# --- plans and changes


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["plan", "commerce/0"], {"kind": "planned", "to": None}),
        (["plan", "commerce/0", "--kind", "forced", "--to", "zone1-101"], {"kind": "forced", "to": "zone1-101"}),
        (["promote", "commerce/0", "--reason", "r", "--yes"], {"kind": "planned", "to": None}),
        (["emergency", "commerce/0", "--reason", "r", "--yes"], {"kind": "emergency", "to": None}),
        (["force", "commerce/0", "--reason", "r", "--yes", "--to", "a-1"], {"kind": "forced", "to": "a-1"}),
    ],
)
def test_each_change_asks_for_its_plan(server: FakeServer, words: list[str], asked: dict[str, object]) -> None:
    """The plan that is asked for is of the kind that the command names, for the tablet that the operator names."""
    assert ctl.main(words) == 0
    assert json.loads(server.bodies[0]) == asked


@pytest.mark.usefixtures("server")
def test_a_refused_plan_ends_with_1(vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that cannot be carried out is shown, and ends with 1."""
    vtorc.plan = json_reply(plan(refusal="no tablet is ready"))
    assert ctl.main(["plan", "commerce/0"]) == 1
    assert "refused       no tablet is ready" in capsys.readouterr().out


def _executions(server: FakeServer) -> list[object]:
    """Return what was asked for with each execution."""
    posts = [target for method, target in server.asked if method == "POST"]
    return [json.loads(body) for target, body in zip(posts, server.bodies, strict=True) if target.endswith("/execute")]


def test_a_promotion_is_shown_step_by_step(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A promotion shows the plan, then the steps as they end, then the sentence of the recovery."""
    assert ctl.main(["promote", "commerce/0", "--reason", "new host", "--yes"]) == 0
    assert _executions(server) == [{"reason": "new host", "accept_loss": False}]
    out = capsys.readouterr().out
    places = [out.index(text) for text in ("takes over from", "0.012 s  lock", "● succeeded in", "0: promoted zone2")]
    assert places == sorted(places)


@pytest.mark.usefixtures("server")
def test_a_promotion_that_failed_ends_with_1(vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A recovery that did not succeed ends with 1 and its sentence."""
    failed = recovery(outcome="failed", sentence="commerce/0: zone2-0000000102 did not answer")
    vtorc.events = stream_reply(BEAT, event(RecoveryFrame(recovery=failed), "recovery"))
    assert ctl.main(["promote", "commerce/0", "--reason", "r", "--yes"]) == 1
    assert "✗ failed in 1.30 s" in capsys.readouterr().out


@pytest.mark.usefixtures("server")
def test_a_promotion_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a promotion prints the record of the recovery alone."""
    assert ctl.main(["promote", "commerce/0", "--reason", "r", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == recovery().id


@pytest.mark.parametrize(
    ("changes", "words", "told"),
    [
        ({"refusal": "no tablet is ready"}, ["--accept-loss"], "the plan is refused for the reason above"),
        ({"risk": "3 writes"}, [], "add --accept-loss"),
    ],
)
def test_a_bad_plan_is_not_carried_out(
    changes: dict[str, object],
    words: list[str],
    told: str,
    server: FakeServer,
    vtorc: _Vtorc,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A refused plan is never carried out, and one that may lose writes only where the operator accepts that."""
    vtorc.plan = json_reply(plan(**changes))
    assert ctl.main(["force", "commerce/0", "--to", "a-1", "--reason", "r", "--yes", *words]) == 1
    assert told in " ".join(capsys.readouterr().out.split())
    assert not _executions(server)


def test_a_loss_that_is_accepted(server: FakeServer, vtorc: _Vtorc) -> None:
    """With --accept-loss the plan is carried out, and vtorc hears of it."""
    vtorc.plan = json_reply(plan(risk="3 writes"))
    assert ctl.main(["force", "commerce/0", "--to", "a-1", "--reason", "r", "--yes", "--accept-loss"]) == 0
    assert _executions(server) == [{"reason": "r", "accept_loss": True}]


class _Keyboard(io.StringIO):
    """A terminal on which an answer was typed."""

    def isatty(self) -> bool:
        """Say that it is a terminal."""
        return True


@pytest.mark.parametrize(("typed", "code"), [("yes\n", 0), (" YES \n", 0), ("y\n", 1), ("\n", 1), ("", 1), ("no\n", 1)])
def test_asks_on_a_terminal(
    typed: str, code: int, server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --yes the plan is carried out only after the word yes."""
    monkeypatch.setattr("sys.stdin", _Keyboard(typed))
    assert ctl.main(["promote", "commerce/0", "--reason", "r"]) == code
    out, err = capsys.readouterr()
    assert err == "Carry this out in commerce/0? Type yes: "
    assert len(_executions(server)) == (1 if code == 0 else 0)
    assert ("nothing was changed" in out) is (code == 1)


@pytest.mark.parametrize(("words", "told"), [([], "expected a terminal"), (["--json"], "expected --yes")])
def test_nothing_is_planned_where_no_answer_can_come(
    words: list[str],
    told: str,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without a terminal, or amid JSON, --yes is asked for."""
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert ctl.main(["promote", "commerce/0", "--reason", "r", *words]) == 2
    assert told in capsys.readouterr().err
    assert not server.asked


@pytest.mark.usefixtures("server")
def test_an_execution_may_be_refused(vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that is out of date is refused by vtorc in its words, and ends with 1."""
    vtorc.executed = problem_reply(409, what="plan p1", why="the shard changed", do="plan anew")
    assert ctl.main(["promote", "commerce/0", "--reason", "r", "--yes"]) == 1
    assert capsys.readouterr().err == "vtorc ctl: plan p1: the shard changed; plan anew\n"


@pytest.mark.usefixtures("server")
def test_an_execution_without_an_answer_may_be_under_way(vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the answer to an execution breaks off, nothing is promised either way."""
    vtorc.executed = Reply(pieces=[b"{"], is_cut=True)
    assert ctl.main(["promote", "commerce/0", "--reason", "r", "--yes"]) == 2
    assert "the plan may be under way: see 'vtorc ctl why commerce/0'" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_an_unknown_shard_is_not_watched(capsys: pytest.CaptureFixture[str]) -> None:
    """Watching a shard that vtorc does not know ends at once."""
    assert ctl.main(["watch", "commerce/80-"]) == 2
    assert "there is no shards/commerce/80-" in capsys.readouterr().err


def test_cancels(server: FakeServer, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A recovery is ended with a reason, or vtorc says why it is too late."""
    assert ctl.main(["cancel", "commerce/0", "--reason", "wrong shard"]) == 0
    assert json.loads(server.bodies[0]) == {"reason": "wrong shard"}
    vtorc.cancelled = problem_reply(409, why="it is past the point of no return")
    assert ctl.main(["cancel", "commerce/0", "--reason", "wrong shard"]) == 1
    assert "past the point of no return" in capsys.readouterr().err


# --- the rest


def test_api_shows_any_path(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    """A path is taken with and without what all have in common, and with an object to send."""
    for path in ("shards?sort=lag", "/api/v1/shards?sort=lag"):
        assert ctl.main(["api", path]) == 0
    assert server.asked == [("GET", "/api/v1/shards?sort=lag")] * 2
    assert ctl.main(["api", "shards/commerce/0/cancel", "--data", '{"reason": "r"}']) == 0
    assert json.loads(server.bodies[0]) == {"reason": "r"}
    assert '"cancelled": true' in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["/debug/vars"],
        ["status", "--data", "{"],
        ["status", "--data", "[]"],
        pytest.param(["status", "--data", "[" * 100_000], id="deep"),
    ],
)
def test_api_refuses_other_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A path outside of the API, and data that is no JSON object, are refused."""
    assert ctl.main(["api", *words, "--server", "http://127.0.0.1:1"]) == 2
    assert "expected" in capsys.readouterr().err


def test_watch_shows_what_happens(
    server: FakeServer, vtorc: _Vtorc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Watching shows the shards with problems, then each event as lines, until Ctrl-C ends it with 0."""
    vtorc.shard = shard(LOST)
    vtorc.events = stream_reply(event(decision(is_gone=True), "decision"), ENDED)
    monkeypatch.setattr("time.sleep", _interrupt)
    assert ctl.main(["watch", "commerce/0"]) == 0
    out, err = capsys.readouterr()
    assert "▲ repairing  commerce/0" in out
    assert "gone: commerce/0: zone1-0000000101 answers that its MySQL is down" in " ".join(out.split())
    assert "● 2025-11-30 00:00:00Z  RecoverDeadPrimary" in out
    assert "has ended the stream of events" in err
    assert ("GET", "/api/v1/events?shard=commerce%2F0") in server.asked


@pytest.mark.usefixtures("server")
def test_watch_tells_of_a_break_and_of_its_end(
    vtorc: _Vtorc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the second line nothing tells that a quiet cluster is watched again."""
    vtorc.events = stream_reply(BEAT)
    waits = [0.0]

    def wait_once(seconds: float) -> None:
        if not waits:
            _interrupt(seconds)
        waits.pop()

    monkeypatch.setattr("time.sleep", wait_once)
    assert ctl.main(["watch", "commerce/0"]) == 0
    told = [line.rpartition("; ")[2] or line for line in capsys.readouterr().err.splitlines()]
    assert [line.rpartition(" answers ")[2] for line in told if line] == ["trying again", "again", "trying again"]


@pytest.mark.usefixtures("server")
def test_watch_as_json(vtorc: _Vtorc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each event is one line of JSON."""
    vtorc.events = stream_reply(BEAT, ENDED)
    monkeypatch.setattr("time.sleep", _interrupt)
    assert ctl.main(["watch", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["frame"] for line in lines] == ["heartbeat", "recovery"]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("data", [b"<html>", b"[" * 100_000], ids=["no JSON", "nested too deeply"])
def test_watch_tells_of_events_that_are_no_json(data: bytes, vtorc: _Vtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """An event that is no JSON is an error, as lines of JSON were asked for."""
    vtorc.events = stream_reply(b"event: shard\ndata: %b\n\n" % data)
    assert ctl.main(["watch", "--json"]) == 2
    assert "the answer is no JSON" in capsys.readouterr().err


def _interrupt(seconds: float) -> None:
    """Press Ctrl-C where the command waits."""
    raise KeyboardInterrupt


@pytest.mark.usefixtures("server")
def test_ctrl_c_leaves_a_recovery_alone(
    vtorc: _Vtorc, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends the following of a recovery and not the recovery, and says how to end that."""
    vtorc.events = stream_reply(BEAT)
    monkeypatch.setattr("time.sleep", _interrupt)
    assert ctl.main(["promote", "commerce/0", "--reason", "r", "--yes"]) == ctl.INTERRUPTED
    assert "the recovery goes on; to end it while that is safe: vtorc ctl cancel commerce/0" in capsys.readouterr().err
