"""`vtorc history`: what it prints of a history file, and what it refuses."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.unit.history.test_store import DECISION, RECORD
from vtorc.cli import history as command
from vtorc.cli.history import HistoryTail
from vtorc.control.history_observer import stored_recovery
from vtorc.history.reader import Selection
from vtorc.history.store import History, StoredDecision

HOUR = 3_600_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history with one recovery and one decision of March 2026."""
    file = tmp_path / "h.sqlite"
    with closing(History(str(file))) as history:
        history.add_recovery(stored_recovery(RECORD))
        history.add_decision(DECISION)
    return file


def decision(sentence: str, *, at: int = 7) -> StoredDecision:
    """Make a decision of another time with another sentence."""
    return StoredDecision(at=at, shard="commerce/0", tablet="", code="DeadPrimary", rule="act", sentence=sentence)


def test_prints_why_a_promotion_was_safe(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints recoveries with their argument and steps, and decisions with their rule."""
    assert command.main([str(path)]) == 0
    text = capsys.readouterr().out
    assert "why it was safe: Nothing is missing." in text
    assert "promote on zone2-0000000102: done" in text
    assert "[act] x" in text


def test_says_that_there_is_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file is named, and not made."""
    assert command.main([str(tmp_path / "none.sqlite")]) == 1
    assert "none.sqlite does not exist" in capsys.readouterr().err
    assert not (tmp_path / "none.sqlite").exists()


def test_says_that_there_is_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an entry that was asked for it says so, to the errors where the output is JSON."""
    words = [str(path), "--shard=other/0", "--since=2026-11-29T21:00:00+01:00"]
    told = f"{path} has no recovery, no decision and no request of other/0 since 2026-11-29T20:00:00.000+00:00\n"
    assert command.main(words) == 0
    assert capsys.readouterr() == (told, "")
    assert command.main([*words, "--json"]) == 0
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--shard=commerce"], "argument --shard: expected <keyspace>/<shard> such as commerce/-80, got 'commerce'"),
        (["--shard=a/b/c"], "argument --shard: expected <keyspace>/<shard> such as commerce/-80, got 'a/b/c'"),
        (["--limit=-1"], "argument --limit: expected a whole number from 1, got '-1'"),
        (["--limit=0"], "argument --limit: expected a whole number from 1, got '0'"),
        (["--since=yesterday"], "argument --since: expected a duration such as 2h or 30m, or a time with its zone"),
        (["--since=2026-11-29T21:00:00"], "got '2026-11-29T21:00:00'"),
        (["--since=-2h"], "got '-2h'"),
        ([], "expected a history file"),
    ],
)
def test_refuses_malformed_words(
    path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    """Words that make no sense are refused with exit code 2, the value and what was expected."""
    with pytest.raises(SystemExit) as ended:
        command.main([str(path), *words] if words else [])
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_shows_what_happened_since_a_time(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A duration counts back from now, and all entries since then are shown, however many they are."""
    with closing(History(str(path))) as history:
        for number in range(30):
            history.add_decision(decision(f"new {number}", at=time.time_ns() - HOUR))
    assert command.main([str(path), "--since=2h", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 30
    assert command.main([str(path), "--since=2h", "--limit=3", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["sentence"] for line in lines] == ["new 29", "new 28", "new 27"]


def test_follows_a_history_also_into_a_new_file(path: Path) -> None:
    """Each look returns the entries since the last one, oldest first, and begins anew in a file that is another."""
    tail = HistoryTail(path, Selection(limit=1))
    assert [type(entry).__name__ for entry in tail.take()] == ["StoredRecovery", "StoredDecision"]
    assert tail.take() == []
    with closing(History(str(path))) as history:
        history.add_decision(decision("one"))
        history.add_decision(decision("two"))
    assert [entry.sentence for entry in tail.take()] == ["one", "two"]
    path.rename(path.with_suffix(".old"))
    assert tail.take() == []
    with closing(History(str(path))) as history:
        history.add_decision(decision("three"))
    assert [entry.sentence for entry in tail.take()] == ["three"]


@pytest.mark.parametrize(
    "kind", ["folder", "file of another program", "SQLite file of another program", "below a file"]
)
def test_refuses_what_is_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """A path that cannot be a history is one line with its name, and stays as it is."""
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "SQLite file of another program":
        path.write_bytes(b"")
    else:
        path.write_bytes(b"a settings file, say " * 100)
    asked = path / "h.sqlite" if kind == "below a file" else path
    assert command.main([str(asked)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"vtorc history: {'' if kind in ('folder', 'below a file') else 'history file '}{asked}")
    assert sorted(tmp_path.iterdir()) == [path]


@contextmanager
def running(path: Path, *words: str, stdout: int | None, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the command as a process of its own, which is ended at the end."""
    with subprocess.Popen(
        [sys.executable, "-m", "vtorc.cli.main", "history", str(path), *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_follows_as_a_process(path: Path) -> None:
    """New entries appear on standard output while vtorc writes them."""
    with running(path, "--follow", "--json", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert [json.loads(process.stdout.readline())["sentence"] for _ in range(2)] == [RECORD.sentence, "x"]
        with closing(History(str(path))) as history:
            history.add_decision(decision("new"))
        assert json.loads(process.stdout.readline())["sentence"] == "new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line(path: Path) -> None:
    """An output without room is told without a traceback."""
    with Path("/dev/full").open("wb") as full, running(path, stdout=full.fileno()) as process:
        assert process.wait() == 1
        assert process.stderr is not None
        assert process.stderr.read() == (
            b"vtorc history: the output cannot be written: No space left on device; make room for it there\n"
        )


def test_a_closed_output_is_no_error(path: Path) -> None:
    """A reader that went away ends the command without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    with running(path, stdout=writer) as process:
        os.close(writer)
        assert process.wait() == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_an_output_that_is_not_utf_8_gets_what_it_can_show(path: Path) -> None:
    """Characters that the encoding lacks are shown in another way."""
    with closing(History(str(path))) as history:
        history.add_decision(decision("pörimary – gone"))
    with running(path, "--limit=1", stdout=subprocess.PIPE, PYTHONIOENCODING="ascii") as process:
        out, err = process.communicate()
    assert b"[act] p?rimary - gone" in out
    assert (process.returncode, err) == (0, b"")
