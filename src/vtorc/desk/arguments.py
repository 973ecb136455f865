"""Reads the arguments of a request, and refuses wrong ones by key, value and what was expected."""

from collections.abc import Mapping

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import NameParseError

LONGEST_REASON = 500
"""Most characters of an operator's reason."""


class RequestArguments:
    """The arguments of one request; each is read once, and `end` refuses those that were not."""

    def __init__(self, kind: str, given: Mapping[str, object]) -> None:
        self._kind = kind
        self._left = dict(given)
        self._read: list[str] = []

    def text(self, key: str, expected: str) -> str:
        """Return a text that is not empty; `expected` says what it should be. Raises DeskRefusal."""
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, value, expected)
        return value.strip()

    def reason(self) -> str:
        """Return the operator's reason, in which unprintable characters are blanked; raises DeskRefusal."""
        expected = f"the reason, in at most {LONGEST_REASON} characters"
        reason = self.text("reason", expected)
        if len(reason) > LONGEST_REASON:
            raise self._wrong("reason", reason, expected)
        return printable(reason)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """Return true or false, `default` if the request has none; raises DeskRefusal."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def text_or_none(self, key: str, longest: int) -> str | None:
        """Return a text of at most `longest` characters, in which unprintable ones are blanked; None without one.

        Raises DeskRefusal.
        """
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            raise self._wrong(key, value, f"a text of at most {longest} characters, or null")
        return printable(value.strip())

    def number_or_none(self, key: str, least: int, most: int) -> int | None:
        """Return a whole number within these bounds; None without one. Raises DeskRefusal."""
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(key, value, f"a whole number from {least} to {most}, or null")
        return value

    def choices(self, key: str, among: tuple[str, ...]) -> list[str]:
        """Return a list of some of these words, which may be empty; raises DeskRefusal."""
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(each, str) and each in among for each in value):
            raise self._wrong(key, value, f"a list of {', '.join(among)}")
        return value

    def choice(self, key: str, among: tuple[str, ...], *, default: str | None = None) -> str:
        """Return one of these words, `default` if the request has none; raises DeskRefusal."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in among:
            raise self._wrong(key, value, f"one of {', '.join(among)}")
        return value

    def shard(self) -> ShardId:
        """Return the shard that is named; raises DeskRefusal."""
        value = self.text("shard", "<keyspace>/<shard>")
        keyspace, slash, name = value.partition("/")
        if not (slash and keyspace and name):
            raise self._wrong("shard", value, "<keyspace>/<shard>")
        return ShardId(keyspace, name)

    def alias_or_none(self, key: str) -> TabletAlias | None:
        """Return the tablet that is named; None if the request names none. Raises DeskRefusal."""
        value = self._take(key)
        if value is None:
            return None
        expected = "the alias of a tablet, for example zone1-0000000101, or null"
        if not isinstance(value, str):
            raise self._wrong(key, value, expected)
        try:
            return TabletAlias.parse(value)
        except NameParseError:
            raise self._wrong(key, value, expected) from None

    def end(self) -> None:
        """Raise DeskRefusal for the first argument that was not read."""
        for key, value in self._left.items():
            raise self._wrong(key, value, f"no such key; {self._kind} takes {', '.join(self._read)}")

    def _take(self, key: str) -> object:
        self._read.append(key)
        return self._left.pop(key, None)

    def _wrong(self, key: str, value: object, expected: str) -> DeskRefusal:
        return DeskRefusal.argument(key, value, expected)


def printable(text: str) -> str:
    """Return a text with a blank in place of each unprintable character."""
    return "".join(char if char.isprintable() else " " for char in text)
