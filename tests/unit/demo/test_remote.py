"""Commands from another terminal to the demo."""

import json
from pathlib import Path

import pytest

from vtorc.demo.remote import listening, run_command, send_command, state_file
from vtorc.lab.errors import LabError


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the file that names the last demo out of the user's own folders."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


async def _echo(verb: str, on: str) -> str:
    if on == "unknown":
        raise LabError("there is no such tablet")
    return f"{verb} {on}"


async def test_another_terminal_reaches_the_demo_that_was_started_last(tmp_path: Path) -> None:
    """Without a folder the last demo that still runs answers, and with a folder that one."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()

    async def other(verb: str, on: str) -> str:
        return "the other one"

    async with listening(first, _echo):
        assert await send_command(None, "kill", "primary") == "kill primary"
        async with listening(second, other):
            assert await send_command(None, "kill", "primary") == "the other one"
            assert await send_command(first, "kill", "primary") == "kill primary"
        assert await send_command(None, "kill", "primary") == "kill primary"
        assert await send_command(first, "kill", "primary") == "kill primary"
    with pytest.raises(LabError, match="no demo is running"):
        await send_command(None, "kill", "primary")
    with pytest.raises(LabError, match=r"no demo runs in .*first any more"):
        await send_command(first, "kill", "primary")


async def test_a_refusal_is_told_as_it_is(tmp_path: Path) -> None:
    """A refusal of the demo arrives as an error with the same text."""
    async with listening(tmp_path, _echo):
        with pytest.raises(LabError, match=r"^there is no such tablet$"):
            await send_command(None, "kill", "unknown")


async def test_a_demo_that_was_killed_is_passed_over(tmp_path: Path, runtime: Path) -> None:
    """Its note is left, but no socket; the last demo that listens leaves no note behind."""
    note = runtime / "vtorc-demo.json"
    note.write_text(json.dumps({"dirs": [str(tmp_path / "killed")]}))
    with pytest.raises(LabError, match="no demo is running"):
        await send_command(None, "kill", "primary")
    async with listening(tmp_path, _echo):
        assert json.loads(note.read_text()) == {"dirs": [str(tmp_path)]}
    assert not note.exists()


async def test_a_demo_that_cannot_be_noted_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and what to do, and is no traceback."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(LabError, match=r"cannot be noted in .*file/vtorc-demo\.json .* XDG_RUNTIME_DIR"):
        async with listening(tmp_path, _echo):
            pass


def test_without_a_demo_the_command_fails_and_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1, and the message goes to standard error."""
    assert run_command(None, "kill", "primary") == 1
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
    """The note lies in the user's runtime folder, or else in the user's cache."""
    assert state_file(environ) == Path(expected)
