"""Columns, wrapped text, times."""

import pytest

from vtorc.cli.client.layout import TIE, clock_time, columns, counted, duration, packed, seconds_between, wrapped


def test_columns_are_as_wide_as_their_widest_value() -> None:
    """Each column is aligned, numbers at the right, and no line ends with spaces."""
    rows = [("a", "1 s", "x"), ("longer", "10 s", "")]
    assert columns(rows, header=("NAME", "LAG", "WHY"), numbers=(1,)) == [
        "NAME     LAG  WHY",
        "a        1 s  x",
        "longer  10 s",
    ]


def test_no_rows_have_no_header() -> None:
    """A table without rows is nothing."""
    assert columns([], header=("NAME",)) == []


def test_names_are_not_broken() -> None:
    """Text is wrapped between words only: a name that is longer than a line stays whole, also at its dashes."""
    assert wrapped("a zone1-0000000101 b", 10, indent="  ", first="* ") == ["* a", "  zone1-0000000101", "  b"]


def test_numbers_keep_their_units() -> None:
    """A line is not broken at a tie, which is shown as a space."""
    assert wrapped(f"in 1.00{TIE}s", 8) == ["in", "1.00 s"]


def test_phrases_stay_whole() -> None:
    """Phrases are put on as few lines as they need, and none of them is broken."""
    assert packed(["alias", "lag 0 s", "no acks"], 14, indent="  ") == ["alias  lag 0 s", "  no acks"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (5.0, "5 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (61.4, "1 min 1 s"),
        (3600, "1 h"),
        (90061, "1 d 1 h"),
        (86460, "1 d"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    """A duration shows its largest unit and the one below it."""
    assert duration(seconds) == shown


def test_times_are_in_utc() -> None:
    """A time is shown in UTC to the second, whatever zone it came in, and a malformed one as it came."""
    assert clock_time("2025-11-30T01:00:00.999+01:00") == "2025-11-30 00:00:00Z"
    assert [clock_time("soon"), clock_time("2025-11-30T01:00:00")] == ["soon", "2025-11-30T01:00:00"]


def test_seconds_between_times() -> None:
    """Two times have a distance unless one of them is malformed."""
    assert seconds_between("2025-11-30T00:00:00Z", "2025-11-30T00:01:00.5Z") == 60.5
    assert seconds_between("", "2025-11-30T00:01:00.5Z") is None


def test_counted() -> None:
    """A noun gets an s unless there is one of it."""
    assert [counted(count, "shard") for count in (0, 1, 3000)] == ["0 shards", "1 shard", "3,000 shards"]
