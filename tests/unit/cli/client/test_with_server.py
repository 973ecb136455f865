"""The commands against the real server."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec import structs

from tests.unit.cli.client.samples import (
    HEALTHY,
    LOST,
    UNREADY,
    decision,
    plan,
    readiness,
    recovery,
    running,
    shard,
    status,
)
from tests.unit.cli.client.served import ServedVtorc, served
from vtorc.cli import ctl
from vtorc.forms.frames import AnyFrame, NotesFrame, RecoveryFrame, ShardFrame
from vtorc.forms.notes import AcknowledgedForm, AcknowledgementForm
from vtorc.server.v1.actions import AskedForm


@pytest.fixture
def vtorc(monkeypatch: pytest.MonkeyPatch) -> Iterator[ServedVtorc]:
    """Serve a lost primary and a healthy shard."""
    frames: list[AnyFrame] = [
        status(),
        ShardFrame(shard=shard(LOST)),
        ShardFrame(shard=structs.replace(shard(HEALTHY, name="customer/-80"), ready=readiness(UNREADY))),
        decision(),
        RecoveryFrame(recovery=recovery(id="9")),
    ]
    with served(frames) as running_vtorc:
        monkeypatch.setenv("VTORC_SERVER", running_vtorc.address)
        monkeypatch.setenv("COLUMNS", "80")
        yield running_vtorc


@pytest.mark.usefixtures("vtorc")
@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (["status"], 1, ["2 shards: 1 repairing, 1 healthy; 1 perhaps takes no writes", "  ▲ repairing       1"]),
        (["status"], 1, ["✗ customer/-80 is not ready for the death of its primary"]),
        (["why", "customer/-80"], 0, ["Readiness", "✗ if zone1-0000000101 died now, vtorc would not replace it"]),
        (["shards"], 1, ["▲ repairing  commerce/0    zone1-0000000101", "● healthy    customer/-80  zone1-0000000101"]),
        (["shards", "--keyspace", "customer"], 0, ["● healthy  customer/-80"]),
        (["shards", "--state", "unknown"], 0, ["no shard is of that kind"]),
        (["topology", "customer/-80"], 0, ["`- zone3-0000000103  REPLICA  io, sql running"]),
        (["why", "commerce/0"], 1, ["commerce/0  ▲ repairing", "Recent decisions", "Recent recoveries"]),
        (["problems"], 1, ["2 findings in 2 shards", "▲ DeadPrimary (severity shard, rule act)"]),
        (["recoveries", "--shard", "commerce/0", "--limit", "5"], 0, ["id 9"]),
        (["recovery", "9"], 0, ["  safe because  zone1-0000000101 can no longer commit"]),
        (["api", "running"], 0, ['"items": []']),
    ],
)
def test_reads(words: list[str], code: int, shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each command understands the server, and ends with the code for what it tells."""
    assert ctl.main(words) == code
    out, err = capsys.readouterr()
    assert not err
    assert all(text in out for text in shown)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.usefixtures("vtorc")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["topology", "commerce/80-"], "vtorc knows no shard 'commerce/80-'"),
        (["recovery", "new"], "there is no recovery 'new'"),
        (["recoveries", "--limit", "many"], "limit"),
        (["api", "nothing"], "/api/v1/nothing"),
    ],
)
def test_errors_of_the_server(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names and values that the server does not know or take are told in its words, and end with 2."""
    assert ctl.main(words) == 2
    assert told in capsys.readouterr().err


def test_sentences_are_those_of_the_server(vtorc: ServedVtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """The reasons for a shard are, word for word, those that the API gives."""
    ctl.main(["why", "commerce/0", "--json"])
    told = json.loads(capsys.readouterr().out)
    ctl.main(["why", "commerce/0"])
    shown = " ".join(capsys.readouterr().out.split())
    sentences = [told["sentence"], *(one["sentence"] for one in [*told["findings"], *told["recoveries"]])]
    assert len(sentences) == 3
    assert all(sentence in shown for sentence in sentences)


def _begin(vtorc: ServedVtorc) -> None:
    """Have the desk carry out a plan, one step of which is told before its end."""
    vtorc.desk.replies = {"plan": plan(), "execute": AskedForm(recovery=running())}
    vtorc.desk.then = {
        "execute": [
            ShardFrame(shard=shard(HEALTHY, running=running(1))),
            RecoveryFrame(recovery=recovery(kind="PlannedReparent", code=None)),
            ShardFrame(shard=structs.replace(shard(HEALTHY), revision=3)),
        ]
    }


def test_promotes(vtorc: ServedVtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A promotion goes through plan, execution and events to the sentence of the recovery."""
    _begin(vtorc)
    assert ctl.main(["promote", "commerce/0", "--to", "zone2-0000000102", "--reason", "new host", "--yes"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert vtorc.desk.asked == [
        ("plan", {"shard": "commerce/0", "kind": "planned", "to": "zone2-0000000102"}),
        ("execute", {"plan": "p1", "reason": "new host", "accept_loss": False}),
    ]
    assert "     0.012 s  lock the shard: done" in out
    assert out.endswith("  commerce/0: promoted zone2-0000000102\n  zone1-0000000101 can no longer commit\n")


def test_an_empty_reason_is_refused(vtorc: ServedVtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """The server refuses a reason without text, and nothing is carried out."""
    _begin(vtorc)
    assert ctl.main(["promote", "commerce/0", "--reason", "", "--yes"]) == 2
    assert "reason" in capsys.readouterr().err
    assert [kind for kind, _ in vtorc.desk.asked] == ["plan"]


def test_watches(vtorc: ServedVtorc) -> None:
    """Watching shows what holds at its begin, then what happens, as it happens."""
    vtorc.desk.replies = {"cancel": AskedForm(recovery=running())}
    vtorc.desk.then = {"cancel": [decision(is_gone=True)]}
    command = [sys.executable, "-m", "vtorc.cli.main", "ctl", "watch", "commerce/0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["frame"] == "status"
        assert ctl.main(["cancel", "commerce/0", "--reason", "r"]) == 0
        told = next(frame for line in watching.stdout if (frame := json.loads(line))["frame"] != "heartbeat")
        watching.send_signal(signal.SIGINT)
    assert (told["frame"], told["change"], watching.returncode) == ("decision", "cleared", 0)


FAILED = recovery(id="17", outcome="failed")


def _keep_notes(vtorc: ServedVtorc) -> None:
    """Have the desk keep each acknowledgement, of the recovery that failed."""
    seen = AcknowledgementForm(recovery="17", actor="ann", comment="a bad disk", at=FAILED.began)
    vtorc.desk.memory.take(RecoveryFrame(recovery=FAILED), time.monotonic())
    vtorc.desk.replies = {"acknowledge": AcknowledgedForm(acknowledged=[seen])}
    vtorc.desk.then = {"acknowledge": [NotesFrame(acknowledgements=[seen], tags=[])]}


@pytest.mark.parametrize("words", [["17"], ["--all"], ["--shard", "commerce/0"]])
def test_acknowledges(words: list[str], vtorc: ServedVtorc, capsys: pytest.CaptureFixture[str]) -> None:
    """A recovery that failed is acknowledged once, with a comment, and shown so from then on."""
    _keep_notes(vtorc)
    assert ctl.main(["ack", *words, "--comment", "a bad disk"]) == 0
    assert capsys.readouterr().out == "acknowledged 1 recovery\n"
    assert vtorc.desk.asked == [("acknowledge", {"recoveries": ["17"], "comment": "a bad disk"})]
    assert ctl.main(["recoveries"]) == 0
    assert "    acknowledged by ann: a bad disk\n    id 17\n" in capsys.readouterr().out
    assert ctl.main(["recovery", "17"]) == 0
    assert "  acknowledged by  ann: a bad disk\n" in capsys.readouterr().out
    assert ctl.main(["ack", "--all", "--comment", "again"]) == 0
    assert capsys.readouterr().out == "no recovery waits for an acknowledgement\n"
    assert len(vtorc.desk.asked) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "ack: expected one of ID, --shard KEYSPACE/SHARD and --all"),
        (["17", "--all"], 2, "ack: expected one of ID, --shard KEYSPACE/SHARD and --all"),
        (["--shard", "commerce/80-"], 2, "vtorc knows no shard 'commerce/80-'"),
        (["18"], 2, "there is no recovery '18'"),
    ],
)
def test_what_is_not_there_is_not_acknowledged(
    words: list[str], code: int, told: str, vtorc: ServedVtorc, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recovery or shard that vtorc does not know is told, and nothing is asked for."""
    _keep_notes(vtorc)
    assert ctl.main(["ack", *words, "--comment", "a bad disk"]) == code
    assert told in capsys.readouterr().err
    assert vtorc.desk.asked == []


@pytest.mark.parametrize(
    ("outcome", "waits"),
    [("failed", True), ("refused", True), ("lock lost", True), ("succeeded", False), ("cancelled", False)],
)
def test_only_what_did_not_succeed_waits_for_an_acknowledgement(outcome: str, waits: bool, vtorc: ServedVtorc) -> None:
    """Recoveries that did what they were for, or that an operator ended, need no acknowledgement."""
    _keep_notes(vtorc)
    vtorc.desk.memory.take(RecoveryFrame(recovery=recovery(id="17", outcome=outcome)), time.monotonic())
    assert ctl.main(["ack", "--all", "--comment", "seen"]) == 0
    assert len(vtorc.desk.asked) == waits
