"""The messages between vtorc and its notifier: one JSON object a line."""

from typing import Literal

import msgspec

from vtorc.forms.base import Form
from vtorc.forms.webhook_state import WebhookStateForm

LONGEST_LINE = 8 << 20
"""Bytes of the longest line that either takes."""


class Line(Form, frozen=True, kw_only=True, tag_field="line", tag=lambda name: name.removesuffix("Line").lower()):
    """Any line."""


class WebhookOptions(Form, frozen=True, kw_only=True):
    """Where events go."""

    url: str
    """http or https, without a password in it."""
    secret: str
    """The key of the signature; empty for none."""
    ca: str
    """PEM file of the authorities of an https receiver; empty for those of the host."""
    retry_for: float
    """Seconds after an event for which it is tried to deliver it."""
    outbox: str
    """The SQLite file of the events that are not delivered yet; empty to keep them in memory."""


class StartLine(Line, frozen=True, kw_only=True):
    """The first line to a notifier; it is no argument, as all users of a host can read those."""

    webhook: WebhookOptions | None
    """None for no webhook."""
    traces: bool = False
    """Whether recoveries are exported as traces."""
    shell: str
    """The program that runs the file of a command."""


class EventLine(Line, frozen=True, kw_only=True):
    """An event that is to be told."""

    to: Literal["webhook", "traces"] = "webhook"
    """Where it goes."""

    id: str
    kind: str
    at: int
    """Nanoseconds since the Unix epoch."""
    body: msgspec.Raw
    """The JSON that is sent."""


class RunLine(Line, frozen=True, kw_only=True):
    """A command to run."""

    run: int
    """The number of the run."""
    command: str
    """As the operator wrote it."""
    words: dict[str, str]
    """The facts that the command is told, by the names of placeholders."""
    limit: float
    """Seconds after which it is ended."""


class EndLine(Line, frozen=True, kw_only=True):
    """A command is to be ended, as its result is of no use any more."""

    run: int
    """The number of its run."""


class KeptLine(Line, frozen=True, kw_only=True):
    """An event is in the outbox, or with the exporter of traces: it need not be sent again."""

    id: str


class RanLine(Line, frozen=True, kw_only=True):
    """A command has ended."""

    run: int
    result: str
    """"done", or why it counts as failed."""
    output: str
    """Its output, as far as it is kept."""
    seconds: float
    """How long it ran."""


class StateLine(Line, frozen=True, kw_only=True):
    """How the webhook does."""

    state: WebhookStateForm


class SaidLine(Line, frozen=True, kw_only=True):
    """Something for vtorc's log."""

    sentence: str
    is_wrong: bool
    """Whether it is about something wrong."""


ToNotifier = StartLine | EventLine | RunLine | EndLine
FromNotifier = KeptLine | RanLine | StateLine | SaidLine

_encoder = msgspec.json.Encoder()
_to = msgspec.json.Decoder(ToNotifier)
_from = msgspec.json.Decoder(FromNotifier)


def line_of(told: ToNotifier | FromNotifier) -> bytes:
    """Return the bytes of a line."""
    return _encoder.encode(told) + b"\n"


def to_notifier(line: bytes) -> ToNotifier:
    """Return a line of vtorc; raises msgspec.DecodeError."""
    return _to.decode(line)


def from_notifier(line: bytes) -> FromNotifier:
    """Return a line of the notifier; raises msgspec.DecodeError."""
    return _from.decode(line)
