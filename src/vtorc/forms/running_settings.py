"""Makes the forms of the settings that are in force."""

from vtorc.config.catalogue import USED
from vtorc.config.load import SourceMap
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.forms.settings import SettingForm, SettingValue


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
