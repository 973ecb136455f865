"""The form of a setting: its value, where that comes from, and whether a reload changes it."""

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
    """Its purpose, in a sentence."""


class SettingsCheckForm(Form, frozen=True, kw_only=True):
    """Whether vtorc would start with some flags and files, and with which settings."""

    starts: bool
    """Whether it would start, as far as that depends on settings and on the files that they name."""
    problems: list[str]
    """Why it would not; empty if it would."""
    notes: list[str]
    """Settings without effect, and values that may not be meant."""
    files: list[str]
    """The settings files that were read; empty if the settings could not be read."""
    settings: list[SettingForm]
    """All settings; empty if they could not be read."""


class ReloadForm(Form, frozen=True, kw_only=True):
    """The result of reading the settings again."""

    done: bool
    """Whether they could be read; if not, the earlier ones stay."""
    sentences: list[str]
    """The changes, or why there are none, a sentence each."""
