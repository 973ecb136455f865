"""Reading the wall clock of a tablet's host in SQL, since no call of the tablet manager returns it."""

from datetime import UTC, datetime, timedelta

from vtorc.errors import TabletBadAnswer

READ_CLOCK = "SELECT UTC_TIMESTAMP(6)"
"""In UTC, so that no change to or from summer time makes it ambiguous; with microseconds."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def clock_nanoseconds(text: str) -> int:
    """Convert the answer to nanoseconds since the Unix epoch; raises TabletBadAnswer."""
    try:
        moment = datetime.strptime(text, _FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise TabletBadAnswer(
            f"UTC_TIMESTAMP(6) is {text!r}: expected something like 2026-03-01 00:00:00.000000"
        ) from None
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
