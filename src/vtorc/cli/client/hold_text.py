"""Holds as text. Pure."""

from collections.abc import Sequence

from vtorc.cli.client.layout import wrapped
from vtorc.forms.hold import HoldForm

HELD = "="
"""The mark of a hold."""


def holds_lines(holds: Sequence[HoldForm], width: int) -> list[str]:
    """Return all holds, one sentence each."""
    return [line for hold in holds for line in hold_lines(hold, width)] or ["no hold is in force"]


def hold_lines(hold: HoldForm, width: int, *, trunk: str = "") -> list[str]:
    """Return one hold, after the trunks of a tree."""
    return wrapped(hold.sentence, width, indent=f"{trunk}  ", first=f"{trunk}{HELD} ")
