"""Every rule is documented for operators, and the documentation names no other."""

import re
from pathlib import Path

from vtorc.core.facts.rules import Rule

_PAGE = Path(__file__).parents[4] / "docs" / "operating.md"
_ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)


def test_each_rule_has_one_row_for_operators() -> None:
    """docs/operating.md has one table row for each rule but `act`, and no row of a rule that does not exist."""
    rows = _ROW.findall(_PAGE.read_text(encoding="utf-8"))
    assert sorted(rows) == sorted(rule.value for rule in Rule if rule is not Rule.ACT)


def test_spellings_differ() -> None:
    """Each rule has a spelling of its own, by which it is found again."""
    assert len({rule.value for rule in Rule}) == len(Rule)
