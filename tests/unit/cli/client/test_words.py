"""The words of `vtorc ctl`, in the page for operators and beside those that vtorc itself knows."""

import re
from pathlib import Path
from typing import get_args

import pytest

from vtorc.cli.client.words import AUDIT_RESULTS, COMMANDS, HOLD_EFFECTS, PLAN_KINDS, TOKEN_ROLES
from vtorc.core.facts.holds import Effect
from vtorc.forms.audit import AuditResult
from vtorc.forms.plan import PlanKind
from vtorc.server.v1.actions import RoleName

PAGE = Path(__file__).parents[4] / "docs" / "operating.md"


def test_the_page_for_operators_names_each_command() -> None:
    """The table of commands in docs/operating.md has one row for each, in the order of the help."""
    rows = re.findall(r"^\| `vtorc ctl (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(COMMANDS)


def test_the_help_names_each_effect_of_a_hold() -> None:
    """The effects that the help lists are those that a hold can have, in the order of the catalogue."""
    assert list(HOLD_EFFECTS) == [effect.value for effect in Effect]


@pytest.mark.parametrize(
    ("listed", "taken"), [(PLAN_KINDS, PlanKind), (AUDIT_RESULTS, AuditResult), (TOKEN_ROLES, RoleName)]
)
def test_the_help_names_each_choice(listed: tuple[str, ...], taken: object) -> None:
    """The kinds of plans, results of requests and roles that can be given are those that the API takes."""
    assert listed == get_args(taken)
