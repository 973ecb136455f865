"""How another terminal finds and reaches the demo."""

import json
from pathlib import Path

import pytest

from vtorc.demo.remote import ask, listening, state_file, tell_demo
from vtorc.lab.errors import LabError


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the note of the last demo out of the user's own folders."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


async def _echo(verb: str, on: str) -> str:
    if on == "nobody":
        raise LabError("there is no such tablet")
    return f"{verb} {on}"


async def test_another_terminal_reaches_the_demo_that_was_started_last(tmp_path: Path) -> None:
    """Without a folder the last demo answers, with one that demo, and a demo that has ended is not found."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    async def other(verb: str, on: str) -> str:
        return "the other one"

    async with listening(first, _echo):
        assert await ask(None, "kill", "primary") == "kill primary"
        async with listening(second, other):
            assert await ask(None, "kill", "primary") == "the other one"
            assert await ask(first, "kill", "primary") == "kill primary"
        with pytest.raises(LabError, match="no demo is running"):
            await ask(None, "kill", "primary")
        assert await ask(first, "kill", "primary") == "kill primary"
    with pytest.raises(LabError, match=r"no demo runs in .*first any more"):
        await ask(first, "kill", "primary")


async def test_a_refusal_is_told_as_it_is(tmp_path: Path) -> None:
    """What the demo refuses comes back as an error with the same words."""
    async with listening(tmp_path, _echo):
        with pytest.raises(LabError, match=r"^there is no such tablet$"):
            await ask(None, "kill", "nobody")


async def test_a_demo_that_ends_leaves_the_note_of_a_later_one(tmp_path: Path, runtime: Path) -> None:
    """Only the demo that the note names takes it away."""
    note = runtime / "vtorc-demo.json"
    async with listening(tmp_path, _echo):
        note.write_text(json.dumps({"dir": "/elsewhere"}))
    assert json.loads(note.read_text()) == {"dir": "/elsewhere"}


def test_without_a_demo_the_command_fails_and_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1, and the message goes to standard error."""
    assert tell_demo(None, "kill", "primary") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vtorc demo: no demo is running; start one with: vtorc demo")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/ann"}, "/run/user/7/vtorc-demo.json"),
        ({"HOME": "/home/ann"}, "/home/ann/.cache/vtorc/demo.json"),
        ({"XDG_CACHE_HOME": "/cache", "HOME": "/home/ann"}, "/cache/vtorc/demo.json"),
    ],
)
def test_the_note_lies_where_the_user_keeps_such_things(environ: dict[str, str], expected: str) -> None:
    """The runtime folder comes first, then the user's cache."""
    assert state_file(environ) == Path(expected)
