"""Reads the arguments of a request, and refuses wrong ones by key, value and what was expected."""

from collections.abc import Callable, Mapping

from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.problems import DeskRefusal
from vtorc.errors import NameParseError

LONGEST_REASON = 500
"""Most characters of an operator's reason."""


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

    def reason(self) -> str:
        """Return the operator's reason, in which unprintable characters are blanked; raises DeskRefusal."""
        expected = f"the reason, in at most {LONGEST_REASON} characters"
        reason = self.text("reason", expected)
        if len(reason) > LONGEST_REASON:
            raise self._wrong("reason", reason, expected)
        return "".join(char if char.isprintable() else " " for char in reason)

    def flag(self, key: str, *, default: bool | None = None) -> bool:
        """Return true or false, `default` if the request has none; raises DeskRefusal."""
        value = self._take(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def choice(self, key: str, among: tuple[str, ...]) -> str:
        """Return one of these words; raises DeskRefusal."""
        value = self._take(key)
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

    def end(self) -> None:
        """Raise DeskRefusal for the first argument that was not read."""
        for key, value in self._left.items():
            raise self._wrong(key, value, f"no such key; {self._kind} takes {', '.join(self._read)}")

    def _take(self, key: str) -> object:
        self._read.append(key)
        return self._left.pop(key, None)

    def _wrong(self, key: str, value: object, expected: str) -> DeskRefusal:
        return DeskRefusal.argument(key, value, expected)
