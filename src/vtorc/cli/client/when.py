"""Times on the command line: so long ago, or a time with its zone."""

import argparse
import datetime
import time

from vtorc.config.kinds import parse_duration


def point_in_time(text: str) -> int:
    """Return a time in nanoseconds since the Unix epoch; raises ArgumentTypeError with what was expected."""
    try:
        ago = parse_duration(text)
    except ValueError:
        ago = 0.0
    if ago > 0:
        return max(0, time.time_ns() - int(ago * 1e9))
    try:
        at = datetime.datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        return max(0, int(at.timestamp() * 1e9))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"expected a duration such as 2h or 30m, or a time with its zone such as 2026-11-29T21:00:00Z, got {text!r}"
        ) from None
