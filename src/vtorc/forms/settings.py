"""The form of a setting: its value, where that comes from, and whether a reload changes it."""

from vtorc.config.catalogue import USED
from vtorc.config.load import SourceMap
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.forms.base import Form

SettingValue = bool | int | float | str | list[str]


class SettingForm(Form, frozen=True, kw_only=True):
    """One setting."""

    name: str
    """Its name: the flag without its dashes."""
    kind: str
    """The kind of value: "duration", "switch", "text", "list" and the like."""
    value: SettingValue | None
    """The value, a duration in seconds; None for a secret."""
    shown: str
    """The value as operators write it; of a secret only whether it is set."""
    source: str
    """Where it comes from: "flag -x", "environment X", 'key "X" of x.json' or "default"."""
    live: bool
    """Whether a reload changes it."""
    no_effect: str
    """Why it has no effect; empty if it takes effect."""
    doc: str
    """What it is for, in a sentence."""


class SettingsCheckForm(Form, frozen=True, kw_only=True):
    """Whether vtorc would start with some flags and files, and with which settings."""

    starts: bool
    """Whether it would start, as far as that depends on settings and on the files that they name."""
    problems: list[str]
    """Why it would not; empty if it would."""
    notes: list[str]
    """What has no effect, and what may not be meant."""
    files: list[str]
    """The settings files that were read; empty if the settings could not be read."""
    settings: list[SettingForm]
    """All settings; empty if they could not be read."""


class ReloadForm(Form, frozen=True, kw_only=True):
    """What came of reading the settings again."""

    done: bool
    """Whether they could be read; if not, the earlier ones stay."""
    sentences: list[str]
    """What has changed, or why nothing has, a sentence each."""


def setting_forms(settings: Settings, sources: SourceMap) -> tuple[SettingForm, ...]:
    """Return the forms of all settings, ordered by name."""
    used = ((setting, setting.field) for setting in sorted(USED, key=lambda setting: setting.name))
    return tuple(
        SettingForm(
            name=setting.name,
            kind=setting.kind.name,
            value=None if setting.secret else _plain(getattr(settings, field)),
            shown=setting.show(getattr(settings, field)),
            source=sources[field],
            live=setting.live,
            no_effect=setting.no_effect,
            doc=setting.doc,
        )
        for setting, field in used
        if field is not None
    )


class LiveSettingForms:
    """The forms of the running settings, built anew only after a reload."""

    def __init__(self, store: SettingsStore) -> None:
        """Read the settings from `store`, which holds another object after a reload."""
        self._store = store
        self._source = store.settings
        self._built = setting_forms(store.settings, store.sources)

    def __call__(self) -> tuple[SettingForm, ...]:
        """Return the forms of this moment."""
        if self._store.settings is not self._source:
            self._source = self._store.settings
            self._built = setting_forms(self._source, self._store.sources)
        return self._built


def _plain(value: object) -> SettingValue:
    if isinstance(value, bool | int | float | str):
        return value
    return [str(item) for item in value] if isinstance(value, tuple) else str(value)
