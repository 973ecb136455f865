"""Times as text that people and programs read."""

import datetime


def rfc3339(nanoseconds: int) -> str:
    """Return a time, in nanoseconds since the Unix epoch, as RFC 3339 in UTC with milliseconds."""
    at = datetime.datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(nanoseconds: int) -> str | None:
    """Return the same; None for 0, which stands for "not told"."""
    return rfc3339(nanoseconds) if nanoseconds else None
