"""The words of `vtorc ctl`, in the page for operators and beside those that vtorc itself knows."""

import re
from pathlib import Path
from typing import get_args

from vtorc.cli.client.words import COMMANDS, HOLD_EFFECTS, PLAN_KINDS
from vtorc.core.facts.holds import Effect
from vtorc.forms.plan import PlanKind

PAGE = Path(__file__).parents[4] / "docs" / "operating.md"


def test_the_page_for_operators_names_each_command() -> None:
    """The table of commands in docs/operating.md has one row for each, in the order of the help."""
    rows = re.findall(r"^\| `vtorc ctl (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(COMMANDS)


def test_the_help_names_each_effect_of_a_hold() -> None:
    """The effects that the help lists are those that a hold can have, in the order of the catalogue."""
    assert list(HOLD_EFFECTS) == [effect.value for effect in Effect]


def test_the_help_names_each_kind_of_plan() -> None:
    """The kinds that a plan can be asked for are those that the API takes."""
    assert get_args(PlanKind) == PLAN_KINDS
