"""The entries of `--clusters-to-watch`."""

import pytest

from vtorc.core.facts.ids import KeyRange
from vtorc.core.facts.watched import watched_ranges
from vtorc.errors import NameParseError


@pytest.mark.parametrize(
    ("entry", "ranges"),
    [
        ("commerce", ["-"]),
        (" commerce ", ["-"]),
        ("commerce/", ["-"]),
        ("commerce/0", ["-"]),
        ("commerce/-80", ["-80"]),
        ("commerce/-40-80", ["-40", "40-80"]),
    ],
)
def test_an_entry_names_a_keyspace_or_parts_of_it(entry: str, ranges: list[str]) -> None:
    """An entry without a range stands for the whole keyspace, and a list of ranges for each of them."""
    assert watched_ranges(entry) == tuple(("commerce", KeyRange.parse(each)) for each in ranges)


@pytest.mark.parametrize(("entry", "why"), [("/-80", "names no keyspace"), ("commerce/-8", "whole hexadecimal bytes")])
def test_a_malformed_entry_is_refused(entry: str, why: str) -> None:
    """An entry that cannot be read is an error that says why, because to skip it could widen the scope."""
    with pytest.raises(NameParseError, match=why):
        watched_ranges(entry)
