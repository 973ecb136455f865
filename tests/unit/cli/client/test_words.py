"""The commands of `vtorc ctl` in the page for operators."""

import re
from pathlib import Path

from vtorc.cli.client.words import COMMANDS

PAGE = Path(__file__).parents[4] / "docs" / "operating.md"


def test_the_page_for_operators_names_each_command() -> None:
    """The table of commands in docs/operating.md has one row for each, in the order of the help."""
    rows = re.findall(r"^\| `vtorc ctl (\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(COMMANDS)
