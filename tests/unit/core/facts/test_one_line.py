"""How texts from outside are put on one line."""

import pytest

from vtorc.core.facts.one_line import blanked, escaped

HOSTILE = "zone1\n\x1b[2J\u2028\udcff\u200bé"


def test_blanks_each_character_that_does_not_print() -> None:
    """Ends of lines, escape sequences and invisible characters become blanks, and letters stay."""
    assert blanked(HOSTILE) == "zone1  [2J   é"


def test_escapes_each_character_that_does_not_print() -> None:
    """Ends of lines, escape sequences and invisible characters stay readable, and letters stay."""
    assert escaped(HOSTILE) == r"zone1\n\x1b[2J\u2028\udcff\u200bé"


@pytest.mark.parametrize("text", ["", "a\\nb", 'it\'s "it"', "Grüße, 世界"])
def test_leaves_text_that_prints(text: str) -> None:
    """Text that prints is the same before and after, quotes and backslashes too."""
    assert (blanked(text), escaped(text)) == (text, text)
