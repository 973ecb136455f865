"""Reads the arguments of a request, and refuses wrong ones by key, value and what was expected."""

import re
from collections.abc import Callable, Mapping

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.one_line import blanked
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import NameParseError

LONGEST_REASON = 500
"""Most characters of an operator's reason."""

MOST_TABLETS = 100
"""Most tablets of one request."""

MOST_RECOVERIES = 1000
"""Most recoveries of one request."""

_RECOVERY = re.compile(r"[0-9]{1,20}", re.ASCII)


class RequestArguments:
    """The arguments of one request; each is read once, and `end` refuses those that were not."""

    def __init__(
        self, kind: str, given: Mapping[str, object], *, admit: Callable[[ShardId], None] = lambda _: None
    ) -> None:
        """Read what was `given`; `admit` raises DeskRefusal for a shard that the client may not ask about."""
        self._kind = kind
        self._admit = admit
        self._left = dict(given)
        self._read: list[str] = []

    def text(self, key: str, expected: str) -> str:
        """Return a text that is not empty; `expected` says what it should be. Raises DeskRefusal."""
        value = self._take(key)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(key, value, expected)
        return value.strip()

    def reason(self, key: str = "reason") -> str:
        """Return the operator's reason, in which unprintable characters are blanked; raises DeskRefusal."""
        expected = f"the {key}, in at most {LONGEST_REASON} characters"
        reason = self.text(key, expected)
        if len(reason) > LONGEST_REASON:
            raise self._wrong(key, reason, expected)
        return blanked(reason)

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
        return blanked(value.strip())

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
        shard = ShardId(keyspace, name)
        self._admit(shard)
        return shard

    def admit(self, shard: ShardId) -> None:
        """Take note that the request is about a shard that it does not name; raises DeskRefusal."""
        self._admit(shard)

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

    def names_or_none(self, key: str, expected: str) -> tuple[str, ...] | None:
        """Return names, at least one; None if the request has none. Raises DeskRefusal."""
        value = self._take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            raise self._wrong(key, value, expected)
        return tuple(dict.fromkeys(value))

    def aliases_or_none(self, key: str) -> tuple[TabletAlias, ...] | None:
        """Return the tablets that are named; None if the request names none. Raises DeskRefusal."""
        if self._left.get(key) is None:
            self._take(key)
            return None
        return self.aliases(key)

    def aliases(self, key: str) -> tuple[TabletAlias, ...]:
        """Return the tablets that are named, at least one and each once; raises DeskRefusal."""
        value = self._take(key)
        expected = f"a list of 1 to {MOST_TABLETS} aliases of tablets, for example zone1-0000000101"
        if not isinstance(value, list) or not 0 < len(value) <= MOST_TABLETS:
            raise self._wrong(key, value, expected)
        try:
            return tuple(dict.fromkeys(TabletAlias.parse(str(each)) for each in value))
        except NameParseError:
            raise self._wrong(key, value, expected) from None

    def recoveries(self) -> tuple[str, ...]:
        """Return the permanent names of recoveries, at least one and each once; raises DeskRefusal."""
        value = self._take("recoveries")
        names = value if isinstance(value, list) and 0 < len(value) <= MOST_RECOVERIES else []
        if not names or not all(isinstance(each, str) and _RECOVERY.fullmatch(each) for each in names):
            raise self._wrong("recoveries", value, f"a list of the ids of 1 to {MOST_RECOVERIES} recoveries")
        return tuple(dict.fromkeys(map(str, names)))

    def end(self) -> None:
        """Raise DeskRefusal for the first argument that was not read."""
        for key, value in self._left.items():
            raise self._wrong(key, value, f"no such key; {self._kind} takes {', '.join(self._read)}")

    def _take(self, key: str) -> object:
        self._read.append(key)
        return self._left.pop(key, None)

    def _wrong(self, key: str, value: object, expected: str) -> DeskRefusal:
        return DeskRefusal.argument(key, value, expected)
