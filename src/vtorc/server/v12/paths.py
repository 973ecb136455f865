"""Which route a path means. Paths are split before they are decoded, so that a value may hold an encoded `/`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote

API = "api"

MOST_DIGITS = 20
"""Digits of the longest number that a path may hold: ids, ports and pages are shorter."""


class Patterned(Protocol):
    """Something that is found by its path."""

    @property
    def path(self) -> str:
        """Segments joined by `/`, below `/api/`; one that begins with `:` takes any value under that name."""
        ...


Entry = TypeVar("Entry", bound=Patterned)


@dataclass(frozen=True, slots=True)
class PathMatch(Generic[Entry]):
    """A path with its entry."""

    entry: Entry
    """The entry found."""
    values: dict[str, str]
    """The values in the path, by name."""


def segments(raw_path: bytes) -> tuple[str, ...] | None:
    """Return the decoded segments below `/api`; None for a path that is not below it.

    Each segment is decoded once and stripped, because the public client ends what it encodes with a newline. A path
    may end in `/`.
    """
    first, *rest = raw_path.decode("latin-1").lstrip("/").split("/")
    if first != API:
        return None
    if rest and not rest[-1]:
        rest.pop()
    return tuple(unquote(segment).strip() for segment in rest)


def query_values(query: bytes) -> dict[str, str]:
    """Return the stripped values of a query string by name; the first of several counts."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        values.setdefault(name, value.strip())
    return values


def whole_number(text: str) -> int | None:
    """Return a text of digits as a number; None for any other text, and for more than `MOST_DIGITS` digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


class Table(Generic[Entry]):
    """Finds entries by path."""

    def __init__(self, entries: Iterable[Entry], synonyms: dict[str, str]) -> None:
        """Know these entries; `synonyms` are other first segments, each with the one that it stands for."""
        self._synonyms = synonyms
        self._entries: dict[tuple[str, int], list[tuple[tuple[str, ...], Entry]]] = {}
        for entry in entries:
            pattern = tuple(entry.path.split("/"))
            self._entries.setdefault((pattern[0], len(pattern)), []).append((pattern, entry))

    def find(self, path: tuple[str, ...]) -> PathMatch[Entry] | None:
        """Return the first entry that fits; None if there is none."""
        if not path:
            return None
        first = self._synonyms.get(path[0], path[0])
        for pattern, entry in self._entries.get((first, len(path)), ()):
            values = _values(pattern[1:], path[1:])
            if values is not None:
                return PathMatch(entry, values)
        return None


def _values(pattern: tuple[str, ...], path: tuple[str, ...]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for wanted, given in zip(pattern, path, strict=True):
        if wanted.startswith(":"):
            if not given:
                return None
            values[wanted[1:]] = given
        elif wanted != given:
            return None
    return values
