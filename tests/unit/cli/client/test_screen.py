"""Text on its way out: encodings, colour, control characters, closed and full outputs."""

import io
import os
from pathlib import Path

import pytest

from vtorc.cli.client.errors import OutputFailed
from vtorc.cli.client.screen import NARROWEST, WIDEST, Screen


class _Stream(io.TextIOWrapper):
    """A stream in memory that may be a terminal."""

    def __init__(self, encoding: str, *, is_terminal: bool = False) -> None:
        self.written = io.BytesIO()
        super().__init__(self.written, encoding=encoding)
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._is_terminal

    def text(self) -> str:
        """Return what was written."""
        self.flush()
        return self.written.getvalue().decode(self.encoding)


def _said(line: str, encoding: str = "utf-8", *, is_terminal: bool = False, **environ: str) -> str:
    stream = _Stream(encoding, is_terminal=is_terminal)
    Screen(stream, environ).say([line])
    return stream.text()


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "● a – ä\n"), ("iso8859-1", "o a - ä\n"), ("ascii", "o a - ?\n")],
)
def test_an_encoding_gets_what_it_has(encoding: str, shown: str) -> None:
    """Marks and dashes that an encoding lacks are made simpler, and letters that it lacks are shown as `?`."""
    assert _said("● a – ä", encoding) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("a\x1b[2Jb", "a?[2Jb\n", id="an escape sequence"),
        pytest.param("a\rb\x07\x9b", "a?b??\n", id="carriage return, bell, C1"),
        pytest.param("a\u202eb\ud800", "a?b?\n", id="reversed text, half a character"),
        pytest.param("a\nb", "a?b\n", id="a line of its own"),
        pytest.param("a\tb", "a\tb\n", id="a tab stays"),
    ],
)
def test_control_characters_do_not_reach_the_terminal(line: str, shown: str) -> None:
    """Names and errors from records cannot clear the screen or hide text."""
    assert _said(line, is_terminal=True, TERM="xterm") == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("● a ■ b", "\x1b[32m●\x1b[0m a ■ b\n"),
        ("|  `- ✗ a", "|  `- \x1b[31m✗\x1b[0m a\n"),
        ("? a?", "\x1b[35m?\x1b[0m a?\n"),
        ("why?", "why?\n"),
    ],
)
def test_a_terminal_gets_coloured_marks(line: str, shown: str) -> None:
    """On a terminal the mark at the begin of a line has a colour, and nothing else has."""
    assert _said(line, is_terminal=True, TERM="xterm") == shown


@pytest.mark.parametrize(
    ("is_terminal", "environ"),
    [(False, {"TERM": "xterm"}), (True, {"TERM": "xterm", "NO_COLOR": "1"}), (True, {"TERM": "dumb"})],
)
def test_colour_is_left_out(is_terminal: bool, environ: dict[str, str]) -> None:
    """A pipe, NO_COLOR and a dumb terminal get plain text."""
    assert _said("● a", is_terminal=is_terminal, **environ) == "● a\n"


@pytest.mark.parametrize(("columns", "width"), [("10", NARROWEST), ("100", 100), ("400", WIDEST)])
def test_the_width_follows_the_terminal(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text is wrapped for the width of the terminal, within limits."""
    monkeypatch.setenv("COLUMNS", columns)
    assert Screen(_Stream("utf-8")).width == width


def test_a_closed_pipe_is_noticed() -> None:
    """Where nothing reads any more, the screen says so and raises nothing, then and later."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as stream:  # noqa: PTH123
        screen = Screen(stream)
        assert not screen.is_closed
        screen.say(["a"])
        assert screen.is_closed
        screen.say(["b"])


def test_no_stream_takes_everything() -> None:
    """An output that was closed before the start is a closed one, and no terminal."""
    screen = Screen(None)
    screen.say(["a"])
    assert (screen.is_closed, screen.is_terminal) == (True, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told() -> None:
    """An output that takes nothing more is an error with its reason."""
    with (
        Path("/dev/full").open("w", encoding="utf-8") as stream,
        pytest.raises(OutputFailed, match="No space left on device"),
    ):
        Screen(stream).say(["a"])
