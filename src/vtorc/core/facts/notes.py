"""Notes of operators: acknowledgements of recoveries and tags of tablets. They change nothing of what vtorc does."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vtorc.core.facts.ids import TabletAlias
from vtorc.errors import NoteParseError

LONGEST_TAG = 128
"""Most characters of the name, and of the value, of a tag."""

_TAG_NAME = re.compile(r"[^\s=,~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """The word of an operator that a recovery was seen and needs no more attention."""

    recovery: str
    """The permanent name of the recovery."""
    actor: str
    """The operator."""
    comment: str
    """The operator's words about it."""
    at: int
    """When, in nanoseconds since the Unix epoch."""


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A word that operators have put on a tablet, with a value."""

    tablet: TabletAlias
    """The tablet."""
    name: str
    """The word."""
    value: str
    """Its value; empty for a tag that has none."""

    def __str__(self) -> str:
        return f"{self.name}={self.value}" if self.value else self.name

    def means(self, wanted: "Tag") -> bool:
        """Return whether it has the name of `wanted`, and its value unless that is empty; tablets do not count."""
        return self.name == wanted.name and wanted.value in ("", self.value)


@dataclass(frozen=True, slots=True)
class Notes:
    """All notes at one moment."""

    acknowledgements: Mapping[str, Acknowledgement]
    """By the permanent name of the recovery, oldest first."""
    tags: Mapping[tuple[TabletAlias, str], Tag]
    """By tablet and name, in that order."""

    @classmethod
    def of(cls, acknowledgements: Collection[Acknowledgement], tags: Collection[Tag]) -> "Notes":
        """Return these notes."""
        return cls({each.recovery: each for each in acknowledgements}, {(t.tablet, t.name): t for t in sorted(tags)})


NO_NOTES = Notes({}, {})


def parse_tag(tablet: TabletAlias, text: str) -> Tag:
    """Return the tag that `name` or `name=value` means; raises NoteParseError."""
    name, _, value = (part.strip() for part in text.partition("="))
    if not _TAG_NAME.fullmatch(name) or max(len(name), len(value)) > LONGEST_TAG or not value.isprintable():
        raise NoteParseError(
            f"tag {text!r}: expected <name> or <name>=<value>, each of at most {LONGEST_TAG} printable characters, and "
            f"a name without blanks and without = , ~"
        )
    return Tag(tablet, name, value)
