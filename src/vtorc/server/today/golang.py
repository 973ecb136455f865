"""Values as Go writes them: JSON, times and names of metrics."""

import datetime
import json
import re

_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_WORD_END = re.compile(r"([a-z0-9])([A-Z])")
_CAPITALS_END = re.compile(r"([A-Z])([A-Z][a-z])")

ZERO_TIME = "0001-01-01T00:00:00Z"
"""A `time.Time` that was never set."""


def go_json(value: object, *, indent: str, sort_keys: bool = True) -> str:
    """Return JSON as Go's `MarshalIndent` writes it, which escapes what HTML gives a meaning to."""
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=False)
    return text.translate(_ESCAPED)


def snake_case(name: str) -> str:
    """Return the name of a metric or label as Vitess tells it to Prometheus: `GTIDCount` becomes `gtid_count`."""
    return _WORD_END.sub(r"\1_\2", _CAPITALS_END.sub(r"\1_\2", name)).lower().replace(".", "_").replace("-", "_")


def parse_time(text: str) -> datetime.datetime:
    """Return a time of a form."""
    return datetime.datetime.fromisoformat(text)


def go_time(text: str | None) -> str:
    """Return a time of a form as Go's `time.Time`, without zeros at the end of its fraction."""
    if text is None:
        return ZERO_TIME
    head, _, fraction = text.removesuffix("Z").partition(".")
    fraction = fraction.rstrip("0")
    return f"{head}.{fraction}Z" if fraction else f"{head}Z"


def sql_time(text: str | None) -> str | None:
    """Return a time of a form as SQLite writes it, in whole seconds; None for None."""
    return None if text is None else parse_time(text).strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None) -> int | float:
    """Return a number as Go writes it, which has no fraction if that is 0; None becomes 0."""
    if value is None:
        return 0
    return int(value) if value == int(value) else value


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds from one time of a form to another."""
    return (parse_time(later) - parse_time(earlier)).total_seconds()
