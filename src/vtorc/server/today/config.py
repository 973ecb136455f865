"""`/api/config` of today's API: the settings, in the forms that Vitess' configuration library shows them."""

import re

from vtorc.forms.settings import SettingForm
from vtorc.server.today.golang import go_json, number

HIDDEN = "***"


def config_text(settings: dict[str, SettingForm]) -> str:
    """Return the settings as JSON; a secret only shows whether it is set."""
    return go_json({name: _value(setting) for name, setting in settings.items()}, indent="\t") + "\n"


def _value(setting: SettingForm) -> object:
    """Return the value of a setting: a default duration in nanoseconds, any other as it was most likely written."""
    if setting.value is None:
        return HIDDEN if setting.shown != '""' else ""
    if not isinstance(setting.value, float):
        return setting.value
    if setting.kind != "duration":
        return number(setting.value)
    if setting.source == "default":
        return round(setting.value * 1e9)
    return setting.shown if setting.source.startswith("flag") else _without_zeros(setting.shown)


def _without_zeros(duration: str) -> str:
    """Return a duration without the units at its end that are 0: `10h` of `10h0m0s`."""
    return re.sub(r"(?<=[hm])0[ms](0s)?$", "", duration)
