"""Where the text goes: a terminal, a file or a pipe, of any encoding, open or closed."""

import io
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import TextIO

from vtorc.cli.client.errors import OutputFailed

NARROWEST, WIDEST = 40, 120
"""The limits of the width that text is wrapped for; sentences of longer lines are hard to read."""

_END = "\n"
_SIMPLER = str.maketrans({"●": "o", "▲": "^", "■": "#", "✗": "x", "–": "-", "…": "...", "“": '"', "”": '"', "’": "'"})
_COLOURS = {"●": "32", "▲": "33", "■": "31", "✗": "31", "?": "35"}
_MARK = re.compile(r"(?m)^([ |`-]*)([●▲■✗?])(?= )")
_HOSTILE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Screen:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> None:
        """Write to `stream`; None stands for one that was closed before the start, and takes nothing."""
        self._stream = stream
        self.is_terminal = stream is not None and stream.isatty()
        """Whether an operator looks at it."""
        self.is_closed = stream is None
        """Whether nothing that is written arrives any more."""
        self._has_colour = self.is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    @property
    def width(self) -> int:
        """How many characters a line may have."""
        return max(NARROWEST, min(shutil.get_terminal_size((80, 24)).columns, WIDEST))

    def say(self, lines: Iterable[str]) -> None:
        """Write lines of text; control characters in them, which may come from any record, are shown as `?`.

        It raises no error once the stream is closed. Raises OutputFailed, for example where a disk is full.
        """
        self.write("".join(f"{line.replace(_END, '?')}\n" for line in lines))

    def write(self, text: str) -> None:
        """Write text that has its own ends of lines; the rest is as for `say`."""
        stream = self._stream
        if stream is None or self.is_closed:
            return
        text = _fitting(_HOSTILE.sub("?", text), stream.encoding or "utf-8")
        if self._has_colour:
            text = _MARK.sub(_coloured, text)
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            self.is_closed = True
            _forget(stream)
        except OSError as error:
            _forget(stream)
            raise OutputFailed(f"the output cannot be written: {error.strerror}; make room for it there") from error


def _fitting(text: str, encoding: str) -> str:
    """Return the text with the characters that the encoding lacks made simpler."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_SIMPLER).encode(encoding, errors="replace").decode(encoding)
    return text


def _coloured(found: re.Match[str]) -> str:
    before, mark = found.groups()
    return f"{before}\x1b[{_COLOURS[mark]}m{mark}\x1b[0m"


def _forget(stream: TextIO) -> None:
    """Let the end of the process not fail at writing what the stream still holds (Python's library, `signal`)."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, io.UnsupportedOperation):
        pass
