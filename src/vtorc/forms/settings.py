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
    """Where it comes from: "flag -x", "environment X", "file x.json" or "default"."""
    live: bool
    """Whether a reload changes it."""
    doc: str
    """What it is for, in a sentence."""


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
