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
    """The effect of a reload: with `problems` nothing, else `changed` applies now, `waiting` from a restart."""

    problems: Sequence[str] = ()
    changed: Sequence[SettingChange] = ()
    waiting: Sequence[SettingChange] = ()
    notes: Sequence[str] = ()
    loaded: Loaded | None = None
    """The settings to adopt; None with problems."""

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

    def read_again(self) -> Reloaded:
        """Read all sources again, and change nothing; it takes as long as the files do, so tasks call it in a thread.

        A file that was read before and is gone is a problem: a mount that failed would have allowed the recoveries that
        the file forbids.
        """
        try:
            new = self._read()
        except SettingsError as error:
            return Reloaded(problems=error.problems)
        if gone := [file for file in self._loaded.files if file not in new.files]:
            return Reloaded(problems=[f"{file} is gone: put it back, or restart vtorc without it" for file in gone])
        return self._compared(new)

    def adopt(self, reloaded: Reloaded) -> None:
        """Replace all live settings at once; with problems nothing changes."""
        if reloaded.loaded is not None:
            self._loaded = reloaded.loaded

    def _compared(self, new: Loaded) -> Reloaded:
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
        return Reloaded(
            changed=[_change(setting, old, new) for setting in differing if setting.live],
            waiting=[_change(setting, old, new) for setting in differing if not setting.live and not setting.no_effect],
            notes=[note for note in new.notes if note not in old.notes],
            loaded=loaded,
        )


def _change(setting: Setting, old: Loaded, new: Loaded) -> SettingChange:
    name = setting.field or ""
    return SettingChange(
        name=setting.name,
        before=setting.show(getattr(old.settings, name)),
        after=setting.show(getattr(new.settings, name)),
        source=new.sources[name],
    )
