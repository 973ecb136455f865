"""The things that all commands share: the vtorc that they ask, and where they write."""

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import msgspec

from vtorc.cli.client.api import ApiClient
from vtorc.cli.client.errors import AnswerNotUnderstood
from vtorc.cli.client.screen import Screen
from vtorc.forms.base import Form


class ExitCode(enum.IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    """All is healthy, or it was done."""
    PROBLEMS = 1
    """Something is wrong, or it was refused."""
    ERROR = 2
    """It was not asked for properly, or not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of `vtorc ctl`."""

    client: ApiClient
    """The vtorc that it asks."""
    screen: Screen
    """Where the answer goes."""
    notes: Screen
    """Where questions and errors go."""
    wants_json: bool
    """Whether the answer is to be the JSON of the API."""
    keyboard: TextIO | None
    """Where answers to questions come from; None if it was closed before the start."""

    @property
    def width(self) -> int:
        """How many characters a line may have."""
        return self.screen.width

    def tell(self, body: bytes, lines: Sequence[str]) -> None:
        """Write an answer: the JSON or the lines."""
        if self.wants_json:
            self.screen.write(document(body))
        else:
            self.screen.say(lines)

    def tell_form(self, form: Form, lines: Sequence[str]) -> None:
        """Write an answer that was put together of several."""
        self.tell(msgspec.json.encode(form), lines)


def document(body: bytes, *, indent: int | None = 2) -> str:
    """Return JSON for operators and programs, in ASCII, which any terminal and any encoding can take.

    Raises AnswerNotUnderstood if `body` is no JSON.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:  # also JSON that is nested too deeply
        raise AnswerNotUnderstood(f"the answer is no JSON ({error}); name the address of a vtorc") from error
    return json.dumps(content, indent=indent).replace("\x7f", "\\u007f") + "\n"
