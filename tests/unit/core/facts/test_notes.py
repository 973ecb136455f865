"""Tags are read from text, and found by name and value."""

import pytest

from tests.unit.core.builders import alias
from vtorc.core.facts.notes import Tag, parse_tag
from vtorc.errors import NoteParseError

TABLET = alias("zone1-101")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [("role=backup", "role", "backup"), ("old", "old", ""), (" a = b = c ", "a", "b = c"), ("x=", "x", "")],
)
def test_a_tag_has_a_name_and_may_have_a_value(text: str, name: str, value: str) -> None:
    """The first equals sign ends the name, and blanks around both count for nothing."""
    assert parse_tag(TABLET, text) == Tag(TABLET, name, value)


@pytest.mark.parametrize("text", ["", "=x", "a b", "~a", "a,b", "a=\n\x07b", "n" * 129, "a=" + "v" * 129])
def test_what_is_no_tag_is_refused_with_what_was_expected(text: str) -> None:
    """A name that a search for tags could not name, or a text that is too long, is refused."""
    with pytest.raises(NoteParseError, match="expected <name> or <name>=<value>"):
        parse_tag(TABLET, text)


@pytest.mark.parametrize(
    ("wanted", "is_meant"), [("role", True), ("role=backup", True), ("role=lead", False), ("rol", False)]
)
def test_a_tag_is_meant_by_its_name_and_by_its_value_if_one_is_named(wanted: str, is_meant: bool) -> None:
    """A search without a value finds each value."""
    assert Tag(TABLET, "role", "backup").means(parse_tag(alias("zone1-200"), wanted)) is is_meant


def test_a_tag_reads_as_it_was_written() -> None:
    """A tag without a value is its name alone."""
    assert [str(Tag(TABLET, "role", value)) for value in ("", "backup")] == ["role", "role=backup"]
