"""The running settings, and their change without a restart."""

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
    """One setting with a new value after a reload; values are as shown to operators, a secret is hidden."""

    name: str
    before: str
    after: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """The result of a reload: with `problems` nothing changed, else `changed` applies now, `waiting` from a restart."""

    problems: Sequence[str] = ()
    changed: Sequence[SettingChange] = ()
    waiting: Sequence[SettingChange] = ()
    notes: Sequence[str] = ()

    @property
    def sentences(self) -> Sequence[str]:
        """The result in sentences for the log, one for each change."""
        if self.problems:
            return [f"settings not reloaded, the running ones stay: {problem}" for problem in self.problems]
        done = [
            f"{change.name} is now {change.after}, before {change.before} ({change.source})" for change in self.changed
        ]
        later = [
            f"{change.name} is {change.after} ({change.source}) from the next start on, until then {change.before}"
            for change in self.waiting
        ]
        return [*done, *later, *self.notes] if done or later or self.notes else ["settings reloaded, nothing changed"]


class SettingsStore:
    """Holds the running settings; the parts of vtorc read `settings` on each use, so that a reload reaches them."""

    def __init__(self, read: Callable[[], Loaded]) -> None:
        """Read the settings for the first time; `read` raises SettingsError, and each reload calls it again."""
        self._read = read
        self._loaded = read()

    @property
    def settings(self) -> Settings:
        """The running settings."""
        return self._loaded.settings

    @property
    def sources(self) -> SourceMap:
        """The source of each running setting, by field, as in `Loaded`."""
        return self._loaded.sources

    @property
    def notes(self) -> Sequence[str]:
        """The notes of the last reading: settings without effect, unknown keys."""
        return self._loaded.notes

    @property
    def files(self) -> Sequence[str]:
        """The settings files that were read."""
        return self._loaded.files

    def reload(self, apply: Callable[[Settings], None] = lambda _: None) -> Reloaded:
        """Read all sources again and replace the live settings at once; with any problem nothing changes.

        `apply` is called with the new settings before they replace the old ones. A SettingsError of it is a problem,
        too. So is a file that was read before and is gone: a mount that failed would have allowed the recoveries that
        the file forbids.
        """
        try:
            new = self._read()
            if gone := [file for file in self._loaded.files if file not in new.files]:
                return Reloaded(problems=[f"{file} is gone: put it back, or restart vtorc without it" for file in gone])
            loaded, reloaded = self._swapped(new)
            apply(loaded.settings)
        except SettingsError as error:
            return Reloaded(problems=error.problems)
        self._loaded = loaded
        return reloaded

    def _swapped(self, new: Loaded) -> tuple[Loaded, Reloaded]:
        old = self._loaded
        differing = [
            setting
            for setting in USED
            if setting.field and getattr(new.settings, setting.field) != getattr(old.settings, setting.field)
        ]
        live = [setting.field for setting in differing if setting.live and setting.field]
        kept = {
            setting.field: old.sources[setting.field] for setting in differing if not setting.live and setting.field
        }
        loaded = replace(
            new,
            settings=replace(old.settings, **{name: getattr(new.settings, name) for name in live}),
            sources=MappingProxyType({**new.sources, **kept}),
        )
        return loaded, Reloaded(
            changed=[_change(setting, old, new) for setting in differing if setting.live],
            waiting=[_change(setting, old, new) for setting in differing if not setting.live and not setting.no_effect],
            notes=[note for note in new.notes if note not in old.notes],
        )


def _change(setting: Setting, old: Loaded, new: Loaded) -> SettingChange:
    name = setting.field or ""
    return SettingChange(
        name=setting.name,
        before=setting.show(getattr(old.settings, name)),
        after=setting.show(getattr(new.settings, name)),
        source=new.sources[name],
    )
