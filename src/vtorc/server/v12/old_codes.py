"""The names of problems before v12, whose pages show no others: `DeadMaster` for `DeadPrimary`."""

from dataclasses import replace
from typing import cast

from vtorc.server.v12.answers import GoObject, Told

_FIELDS = frozenset({"Analysis", "StructureAnalysis"})


def with_old_codes(value: object) -> object:
    """Return the result of a handler with the problems in it under their older names."""
    if isinstance(value, Told):
        return replace(value, details=with_old_codes(value.details))
    if isinstance(value, list):
        return [with_old_codes(item) for item in cast(list[object], value)]
    if isinstance(value, dict):
        item = cast(GoObject, value)
        return {name: _old(told) if name in _FIELDS else with_old_codes(told) for name, told in item.items()}
    return value


def _old(told: object) -> object:
    if isinstance(told, list):
        return [_old(code) for code in cast(list[object], told)]
    return told.replace("Primary", "Master") if isinstance(told, str) else told
