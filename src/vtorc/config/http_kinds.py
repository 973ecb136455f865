"""The kinds of value that only the HTTP server's settings have."""

import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from vtorc.config.kinds import WORDS, ValueKind, choice

REFUSED_METHODS = {
    "token": "its tokens could only be made by a command that Vitess dropped",
    "oauth": "with it no operator could act in Vitess either",
}
"""The methods of v12 that vtorc does not have, each with the reason."""

_METHODS = ("none", "basic", "multi", "proxy")

_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        ip_network(word)
    return words


NETWORKS: ValueKind[tuple[str, ...]] = ValueKind(
    "networks",
    "addresses or networks with commas between them, such as 10.0.0.7,10.1.0.0/16",
    lambda text: _networks(WORDS.from_text(text)),
    lambda value: _networks(WORDS.from_file(value)),
    WORDS.show,
)


def authentication_method() -> ValueKind[str]:
    """A method by which operators are known; those that are refused later, with a reason, count as such as well."""
    return replace(
        choice(*_METHODS, *REFUSED_METHODS, default="none"),
        name=" | ".join(_METHODS),
        expected=f"one of {', '.join(_METHODS)}",
    )


def endpoint() -> ValueKind[str]:
    """A path of its own, from its `/` on."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not value or not _PREFIX.fullmatch(value.rstrip("/")):
            raise ValueError(value)
        return value

    return ValueKind("path", "a path such as /api/status", read, read)


def url_prefix() -> ValueKind[str]:
    """The beginning of paths; as in v12 it gets one `/` before it and none behind it."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(value)
        bare = value.strip("/")
        if not _PREFIX.fullmatch(prefix := f"/{bare}" if bare else ""):
            raise ValueError(value)
        return prefix

    return ValueKind(
        "prefix", "a path of letters, digits, -, _, . and ~, such as /orc", read, read, lambda text: text or '""'
    )
