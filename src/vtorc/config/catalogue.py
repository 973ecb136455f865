"""All settings together, and the ways to find one by what somebody wrote."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vtorc.config.accepted import ACCEPTED
from vtorc.config.setting import Setting, Spelling, Where, declared_settings
from vtorc.config.settings import GROUPS

USED: tuple[Setting, ...] = tuple(
    one for group in GROUPS for one in declared_settings(group, title=(group.__doc__ or "").strip())
)
SETTINGS: tuple[Setting, ...] = (*USED, *ACCEPTED)


@dataclass(frozen=True, slots=True)
class Match:
    """A setting, and the spelling of it that was met."""

    setting: Setting
    spelling: Spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A value given to a setting. `source` is what a person is told; `written` names flag, key or variable exactly."""

    setting: Setting
    value: Any
    source: str
    written: str


def fold(name: str) -> str:
    """Make one of the ways to write a flag's name: underscores and dashes are the same."""
    return name.replace("_", "-")


def fold_key(name: str) -> str:
    """Make one of the ways to write a key of a file: case does not matter either (Go `encoding/json`, viper)."""
    return fold(name).lower()


def _index(where: Where) -> Mapping[str, tuple[Match, ...]]:
    found: dict[str, tuple[Match, ...]] = {}
    for one in SETTINGS:
        for spelling in one.spellings:
            if spelling.where is where:
                name = fold_key(spelling.name) if where is Where.KEY else fold(spelling.name)
                found[name] = (*found.get(name, ()), Match(one, spelling))
    return found


FLAGS: Mapping[str, Match] = {name: matches[0] for name, matches in _index(Where.FLAG).items()}
KEYS = _index(Where.KEY)
VARIABLES: Mapping[str, Match] = {
    spelling.name: Match(one, spelling)
    for one in SETTINGS
    for spelling in one.spellings
    if spelling.where is Where.ENVIRONMENT
}


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """List up to three known names that look most like `name`, the best first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
