"""Paths are split before they are decoded."""

from dataclasses import dataclass

import pytest

from vtorc.server.v12.paths import Table, query_values, segments


@dataclass(frozen=True)
class Named:
    """An entry that is only a path."""

    path: str


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"/api/clusters", ("clusters",)),
        (b"/api/clusters/", ("clusters",)),
        (b"/api", ()),
        (
            b"/api/begin-downtime/h/3306/me%0A/a%20reason%20%2F%20x%0A/10m",
            ("begin-downtime", "h", "3306", "me", "a reason / x", "10m"),
        ),
        (b"/api/cluster/commerce%252F0", ("cluster", "commerce%2F0")),
        (b"/api/search/%C3%A4", ("search", "ä")),
        (b"/web/clusters", None),
        (b"/apis/clusters", None),
    ],
)
def test_a_path_is_split_and_each_segment_decoded_once_and_stripped(
    raw: bytes, expected: tuple[str, ...] | None
) -> None:
    """Each segment is decoded once and stripped, and an end in `/` is taken."""
    assert segments(raw) == expected


def test_the_first_of_several_values_counts_and_is_stripped() -> None:
    """Values of the query are decoded and stripped."""
    assert query_values(b"comment=all+is%20well%0A&comment=x&empty=") == {"comment": "all is well", "empty": ""}


TABLE = Table([Named("a/id/:id"), Named("a/alias/:alias/:page"), Named("a/:page"), Named("a")], {"old": "a"})


@pytest.mark.parametrize(
    ("path", "found", "values"),
    [
        (("a",), "a", {}),
        (("a", "3"), "a/:page", {"page": "3"}),
        (("a", "id", "7"), "a/id/:id", {"id": "7"}),
        (("old", "alias", "x:0", "2"), "a/alias/:alias/:page", {"alias": "x:0", "page": "2"}),
    ],
)
def test_a_path_finds_its_entry_with_the_values(path: tuple[str, ...], found: str, values: dict[str, str]) -> None:
    """A path finds the entry with the same words, and the values in the places of the others."""
    match = TABLE.find(path)
    assert match is not None
    assert (match.entry.path, match.values) == (found, values)


@pytest.mark.parametrize("path", [(), ("b",), ("a", "word", "7"), ("a", "alias", "", "2"), ("a", "1", "2", "3", "4")])
def test_other_paths_find_nothing(path: tuple[str, ...]) -> None:
    """A path with another word, an empty value or another length finds nothing."""
    assert TABLE.find(path) is None
