"""The one owner of the running settings, and how they change without a restart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from vtorc.config.catalogue import USED
from vtorc.config.load import Loaded, SourceMap
from vtorc.config.setting import Setting
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting that a reload found to be different; values are written for people, a secret is hidden."""

    name: str
    before: str
    after: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload did: with `problems`, nothing; else `changed` holds at once and `waiting` needs a restart."""

    problems: Sequence[str] = ()
    changed: Sequence[SettingChange] = ()
    waiting: Sequence[SettingChange] = ()
    notes: Sequence[str] = ()

    @property
    def sentences(self) -> Sequence[str]:
        """What happened, one sentence each, for the log."""
        if self.problems:
            return [f"settings not reloaded, the running ones stay: {problem}" for problem in self.problems]
        done = [f"{one.name} is now {one.after}, before {one.before} ({one.source})" for one in self.changed]
        later = [
            f"{one.name} is {one.after} ({one.source}) from the next start on, until then {one.before}"
            for one in self.waiting
        ]
        return [*done, *later, *self.notes] if done or later or self.notes else ["settings reloaded, nothing changed"]


class SettingsStore:
    """Holds the running settings; everybody reads `settings` when needed and keeps no copy of what may change."""

    def __init__(self, read: Callable[[], Loaded]) -> None:
        """Read the settings for the first time; `read` raises `SettingsError`, and is called again by each reload."""
        self._read = read
        self._loaded = read()

    @property
    def settings(self) -> Settings:
        """The running settings."""
        return self._loaded.settings

    @property
    def sources(self) -> SourceMap:
        """Where each running setting came from, by field."""
        return self._loaded.sources

    @property
    def notes(self) -> Sequence[str]:
        """What the last reading has to tell: settings without effect, unknown keys."""
        return self._loaded.notes

    @property
    def files(self) -> Sequence[str]:
        """The settings files that were read."""
        return self._loaded.files

    def reload(self, apply: Callable[[Settings], None] = lambda _: None) -> Reloaded:
        """Read everything again and swap in at once what may change while running; on any problem nothing changes.

        `apply` is given what will hold, for who keeps a copy; if it raises SettingsError, that is a problem, too.
        """
        try:
            new = self._read()
            loaded, reloaded = self._swapped(new)
            apply(loaded.settings)
        except SettingsError as error:
            return Reloaded(problems=error.problems)
        self._loaded = loaded
        return reloaded

    def _swapped(self, new: Loaded) -> tuple[Loaded, Reloaded]:
        old = self._loaded
        differing = [
            one for one in USED if one.field and getattr(new.settings, one.field) != getattr(old.settings, one.field)
        ]
        live = [one.field for one in differing if one.live and one.field]
        kept = {one.field: old.sources[one.field] for one in differing if not one.live and one.field}
        loaded = replace(
            new,
            settings=replace(old.settings, **{name: getattr(new.settings, name) for name in live}),
            sources=MappingProxyType({**new.sources, **kept}),
        )
        return loaded, Reloaded(
            changed=[_change(one, old, new) for one in differing if one.live],
            waiting=[_change(one, old, new) for one in differing if not one.live and not one.no_effect],
            notes=[note for note in new.notes if note not in old.notes],
        )


def _change(one: Setting, old: Loaded, new: Loaded) -> SettingChange:
    name = one.field or ""
    return SettingChange(
        name=one.name,
        before=one.show(getattr(old.settings, name)),
        after=one.show(getattr(new.settings, name)),
        source=new.sources[name],
    )
