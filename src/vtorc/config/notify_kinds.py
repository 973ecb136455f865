"""The kinds of value of the settings about the webhook and hooks."""

from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from vtorc.config.kinds import WORDS, ValueKind

EventKind = Literal["recovery", "problem", "news", "request"]
"""An event tells of a recovery that ended, a decision about a problem, the fleet, or an operator's request."""

EVENT_KINDS: tuple[str, ...] = get_args(EventKind)


def webhook_url() -> ValueKind[str]:
    """An http or https address without a password: flags and settings can be read by others."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(value)
        if value:
            parts = urlsplit(value)
            port = parts.port  # it raises ValueError for one that is none
            is_plain = value.isascii() and value.isprintable() and " " not in value and port != 0
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not is_plain:
                raise ValueError(value)
        return value

    return ValueKind(
        "URL",
        "an address such as https://alerts.example.com/vtorc, without a user and a password in it",
        read,
        read,
        lambda text: text or '""',
    )


def event_kinds() -> ValueKind[tuple[str, ...]]:
    """Some of the kinds of events."""

    def check(words: tuple[str, ...]) -> tuple[str, ...]:
        if not set(words) <= set(EVENT_KINDS):
            raise ValueError(words)
        return words

    return ValueKind(
        "events",
        f"words of {', '.join(EVENT_KINDS)} with commas between them",
        lambda text: check(WORDS.from_text(text)),
        lambda value: check(WORDS.from_file(value)),
        WORDS.show,
    )


def commands() -> ValueKind[tuple[str, ...]]:
    """Commands for a shell: a list in a file, and one on the command line, as it may have commas in it."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
            raise ValueError(value)
        return tuple(each for each in value if each.strip())

    return ValueKind(
        "commands",
        "a list of commands; on the command line, one",
        lambda text: read([text]),
        read,
        lambda listed: "; ".join(listed) or '""',
    )
