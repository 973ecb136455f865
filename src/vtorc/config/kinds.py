"""The kinds of value of a setting: how each is written on the command line and in a file, and how it is shown.

Each reader raises ValueError for a value that it cannot accept; the caller names the setting and adds `expected`.
Source of the spellings: Go's `flag.ParseBool`, `time.ParseDuration` and `Duration.String`, which Vitess uses.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5, micro sign
    "μs": 10**3,  # U+03BC, Greek mu
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MOST_UNITS = 10**9
_MOST_HOURS = 2_562_047
"""The longest duration of Go, which is 2^63 nanoseconds, in whole hours."""


@dataclass(frozen=True, slots=True)
class ValueKind(Generic[T]):
    """One kind of value; `from_text` reads a word of the command line, `from_file` a decoded value of JSON or TOML."""

    name: str
    expected: str
    from_text: Callable[[str], T]
    from_file: Callable[[Any], T]
    show: Callable[[T], str] = str


def parse_duration(text: str) -> float:
    """Convert a Go duration ("1m30s", "500ms", "0") to seconds, exact to the nanosecond; raises ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, at = Fraction(0), 0
    while part := _DURATION_PART.match(rest, at):
        total += Fraction(part[1].rstrip(".")) * _NANOSECONDS[part[2]]
        at = part.end()
    if at == 0 or at != len(rest) or total >= 2**63:
        raise ValueError(text)
    return sign * int(total) / 10**9


def show_duration(seconds: float) -> str:
    """Return seconds as Go prints a duration: "1h0m0s", "1.5s", "150ms", "0s"."""
    nanoseconds = round(Fraction(abs(seconds)) * 10**9)
    sign = "-" if seconds < 0 and nanoseconds else ""
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if 0 < nanoseconds < min(size * 1000, 10**9):
            return f"{sign}{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_decimal(rest, 10**9)}s"


def _decimal(count: int, size: int) -> str:
    whole, part = divmod(count, size)
    digits = f"{part:0{len(str(size)) - 1}d}".rstrip("0") if part else ""
    return f"{whole}.{digits}" if digits else str(whole)


def _bool_from_text(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(text)


def _only(type_: type[T]) -> Callable[[Any], T]:
    def read(value: Any) -> T:
        if type(value) is not type_:  # isinstance would accept a bool as an int
            raise ValueError(value)
        return value

    return read


def _utf8(value: Any) -> str:
    """Return a text that can be sent: JSON may name half a character, and a variable that it names hold other bytes.

    A password in Latin-1 once passed, and no shard was watched, as no connection to any mysqld could be made. No path
    and no account has a zero byte in it, which JSON can write.
    """
    text = _only(str)(value)
    text.encode()
    if "\0" in text:
        raise ValueError(text)
    return text


def _between(read: Callable[[Any], float], minimum: float, maximum: float) -> Callable[[Any], float]:
    def checked(value: Any) -> float:
        seconds = read(value)
        if not minimum <= seconds <= maximum:
            raise ValueError(value)
        return seconds

    return checked


def _duration_from_file(value: Any) -> float:
    return parse_duration(_only(str)(value))


def duration(*, hours: int, above_zero: bool) -> ValueKind[float]:
    """Durations up to a number of `hours`; zero is one of them unless they must be `above_zero`."""
    minimum, maximum = 1e-9 if above_zero else 0.0, hours * 3600.0
    bounds = f"above 0s and up to {hours}h" if above_zero else f"from 0s to {hours}h"
    return ValueKind(
        "duration",
        f"a duration {bounds}, such as 30s, 1m30s or 500ms",
        _between(parse_duration, minimum, maximum),
        _between(_duration_from_file, minimum, maximum),
        show_duration,
    )


def whole(minimum: int, maximum: int = 2**63 - 1) -> ValueKind[int]:
    """Whole numbers from `minimum` to `maximum`."""

    def check(value: int) -> int:
        if not minimum <= value <= maximum:
            raise ValueError(value)
        return value

    def from_text(text: str) -> int:
        if not _WHOLE.fullmatch(text):
            raise ValueError(text)
        return check(int(text))

    expected = f"a whole number from {minimum} to {maximum}"
    return ValueKind("whole number", expected, from_text, lambda value: check(_only(int)(value)))


def count_of(unit: str, size: float) -> ValueKind[float]:
    """Whole numbers of a unit of `size` seconds, as in orchestrator's keys; the value is in seconds."""
    number = whole(0, _MOST_UNITS)
    return ValueKind(
        unit,
        f"a whole number of {unit} from 0 to {_MOST_UNITS}, such as 30",
        lambda text: number.from_text(text) * size,
        lambda value: number.from_file(value) * size,
        lambda seconds: f"{seconds / size:g}",
    )


def choice(*names: str, default: str | None = None) -> ValueKind[str]:
    """One of a few words, in upper or lower case; the empty word stands for `default` where one is given."""

    def from_text(text: str) -> str:
        if not text and default is not None:
            return default
        if text.lower() not in names:
            raise ValueError(text)
        return text.lower()

    return ValueKind(
        " | ".join(names),
        f"one of {', '.join(names)}",
        from_text,
        lambda value: from_text(_only(str)(value)),
        _quoted,
    )


def _quoted(text: str) -> str:
    return text or '""'


def _words_from_text(text: str) -> tuple[str, ...]:
    words = tuple(word for word in (part.strip() for part in text.split(",")) if word)
    if text.strip() and not words:
        raise ValueError(text)  # an empty list is a value of its own, and means everything for some settings
    return words


def _words_from_file(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return _words_from_text(_utf8(value))
    return tuple(_utf8(word) for word in _only(list)(value))


def _patterns(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        try:
            re.compile(word)
        except re.error as error:
            raise ValueError(word) from error
    return words


TEXT: ValueKind[str] = ValueKind("text", "text in UTF-8 without a zero byte", str, _utf8, _quoted)
SWITCH: ValueKind[bool] = ValueKind(
    "switch", "true or false", _bool_from_text, _only(bool), lambda on: "true" if on else "false"
)
WORDS: ValueKind[tuple[str, ...]] = ValueKind(
    "list", "words with commas between them", _words_from_text, _words_from_file, lambda words: _quoted(",".join(words))
)
PATTERNS: ValueKind[tuple[str, ...]] = ValueKind(
    "patterns",
    "regular expressions",
    lambda text: _patterns(_words_from_text(text)),
    lambda value: _patterns(_words_from_file(value)),
    lambda words: _quoted(",".join(words)),
)
DURATION = duration(hours=_MOST_HOURS, above_zero=False)
POSITIVE_DURATION = duration(hours=_MOST_HOURS, above_zero=True)
SECONDS = count_of("seconds", 1.0)
MINUTES = count_of("minutes", 60.0)
DAYS = count_of("days", 86400.0)
ANYTHING: ValueKind[Any] = ValueKind("value", "a value", str, lambda value: value, str)
