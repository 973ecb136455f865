"""All settings together, and their lookup by the spelling on a command line or in a file."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vtorc.config.accepted import ACCEPTED
from vtorc.config.setting import Setting, Spelling, Where, declared_settings
from vtorc.config.settings import GROUPS

USED: tuple[Setting, ...] = tuple(
    setting for group in GROUPS for setting in declared_settings(group, title=(group.__doc__ or "").strip())
)
SETTINGS: tuple[Setting, ...] = (*USED, *ACCEPTED)


@dataclass(frozen=True, slots=True)
class Match:
    """A setting, and one spelling of it."""

    setting: Setting
    spelling: Spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """A value given to a setting; `written` names the exact flag, key or variable."""

    setting: Setting
    value: Any
    written: str


def fold(name: str) -> str:
    """Return the common form of a flag's name: underscores and dashes are the same."""
    return name.replace("_", "-")


def fold_key(name: str) -> str:
    """Return the common form of a file's key, which also ignores case (Go `encoding/json`, viper)."""
    return fold(name).lower()


def _index(where: Where) -> Mapping[str, tuple[Match, ...]]:
    found: dict[str, tuple[Match, ...]] = {}
    for setting in SETTINGS:
        for spelling in setting.spellings:
            if spelling.where is where:
                name = fold_key(spelling.name) if where is Where.KEY else fold(spelling.name)
                found[name] = (*found.get(name, ()), Match(setting, spelling))
    return found


FLAGS: Mapping[str, Match] = {name: matches[0] for name, matches in _index(Where.FLAG).items()}
KEYS = _index(Where.KEY)
VARIABLES: Mapping[str, Match] = {
    spelling.name: Match(setting, spelling)
    for setting in SETTINGS
    for spelling in setting.spellings
    if spelling.where is Where.ENVIRONMENT
}


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """List up to three known names that are most similar to `name`, the best first."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
