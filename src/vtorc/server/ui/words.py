"""How pages write states, times and numbers: a state is a word and a shape before it is a colour."""

import datetime
from urllib.parse import quote


def clock_time(at: str) -> str:
    """Return the time of day, with its zone, of a time in RFC 3339."""
    return f"{_parsed(at):%H:%M:%S} UTC"


def date_time(at: str) -> str:
    """Return day and time, with the zone, of a time in RFC 3339."""
    return f"{_parsed(at):%Y-%m-%d %H:%M:%S} UTC"


def seconds(value: float) -> str:
    """Return a duration as an operator reads it: three digits below a second, whole ones above a minute."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def lag(value: int | None) -> str:
    """Return a replication lag; a dash where none was told."""
    return "–" if value is None else f"{value} s"


def plural(count: int, one: str, more: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def capitalized(sentence: str) -> str:
    """Return a sentence with a capital at its begin, and the rest as it is; vtorc keeps its small letter."""
    return sentence if sentence.startswith("vtorc") else sentence[:1].upper() + sentence[1:]


def without_name(sentence: str, shard: str) -> str:
    """Return a sentence about a shard without the shard's name in front, for a place that has named it."""
    return sentence.removeprefix(f"{shard}: ")


def shard_path(name: str) -> str:
    """Return the path of the page of a shard, without the prefix of the server."""
    keyspace, _, shard = name.partition("/")
    return f"/ui/shards/{quote(keyspace, safe='')}/{quote(shard, safe='')}"


def recovery_path(id: str) -> str:
    """Return the permanent path of the page of a recovery, without the prefix of the server."""
    return f"/ui/recoveries/{quote(id, safe='')}"


def _parsed(at: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(at).astimezone(datetime.UTC)
