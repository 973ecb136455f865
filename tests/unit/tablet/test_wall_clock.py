"""Reading a tablet's clock in SQL."""

import pytest

from vtorc.errors import TabletBadAnswer
from vtorc.tablet.wall_clock import clock_nanoseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01 00:00:00.000000", 0),
        ("1970-01-02 00:00:00.000001", 86_400_000_001_000),
        ("2026-03-29 01:30:00.250000", 1_774_747_800_250_000_000),
    ],
)
def test_utc_is_converted_to_nanoseconds(text: str, expected: int) -> None:
    """MySQL's answer in UTC is exact to the microsecond."""
    assert clock_nanoseconds(text) == expected


@pytest.mark.parametrize("text", ["", "2026-03-01", "0000-00-00 00:00:00.000000", "now"])
def test_other_text_is_a_bad_answer(text: str) -> None:
    """Any other text raises an error with the expected form."""
    with pytest.raises(TabletBadAnswer, match="UTC_TIMESTAMP"):
        clock_nanoseconds(text)
