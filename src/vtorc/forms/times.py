"""Times as text that people and programs read."""

import datetime

LATEST = 2**63 - 1
"""The end of the times that fit into 64 bits, in nanoseconds since the Unix epoch; it is in the year 2262."""


def rfc3339(nanoseconds: int) -> str:
    """Return a time, in nanoseconds since the Unix epoch, as RFC 3339 in UTC with milliseconds."""
    at = datetime.datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, tz=datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(nanoseconds: int) -> str | None:
    """Return the same; None for 0, which stands for "not told"."""
    return rfc3339(nanoseconds) if nanoseconds else None


def nanoseconds(text: str) -> int:
    """Return a time with its zone, as RFC 3339 has it, in nanoseconds since the Unix epoch; raises ValueError.

    It fits into 64 bits, as those in the history do.
    """
    at = datetime.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"expected a time with its zone, such as 2026-11-29T21:00:00Z, got {text[:40]!r}")
    since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    found = (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
    if not 0 <= found < LATEST:
        raise ValueError(f"expected a time of the years 1970 to 2261, got {text[:40]!r}")
    return found
