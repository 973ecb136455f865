"""Metrics that the settings leave out or add up: `--stats-drop-variables`, `--stats-combine-dimensions`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from vtorc.forms.frames import MetricForm
from vtorc.forms.settings import SettingForm

ALL = "all"
"""The value of a label over which values are added up, as in Vitess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsFilter:
    """The names of metrics to leave out, and of labels to add up over, as `/debug/vars` has them."""

    dropped: frozenset[str] = frozenset()
    """Metrics that are not told."""
    combined: frozenset[str] = frozenset()
    """Labels whose values are all told as `all`."""

    @classmethod
    def of(cls, settings: Mapping[str, SettingForm]) -> "StatsFilter":
        """Read it from the settings that were told; nothing is left out until then."""
        dropped, combined = settings.get("stats-drop-variables"), settings.get("stats-combine-dimensions")
        return cls(dropped=_words(dropped), combined=_words(combined))

    def apply(self, metrics: Iterable[MetricForm]) -> Iterable[MetricForm]:
        """Return the metrics that are left, with the values of combined labels added up."""
        left = (metric for metric in metrics if metric.name not in self.dropped)
        return left if not self.combined else self._added_up(left)

    def _added_up(self, metrics: Iterable[MetricForm]) -> Iterable[MetricForm]:
        found: dict[tuple[str, tuple[tuple[str, str], ...]], MetricForm] = {}
        for metric in metrics:
            labels = {name: ALL if name in self.combined else value for name, value in metric.labels.items()}
            key = metric.name, tuple(sorted(labels.items()))
            told = msgspec.structs.replace(metric, labels=labels)
            found[key] = told if key not in found else _sum(found[key], told)
        return found.values()


def _sum(first: MetricForm, second: MetricForm) -> MetricForm:
    counts = None
    if first.counts is not None and second.counts is not None:
        counts = [one + other for one, other in zip(first.counts, second.counts, strict=True)]
    return msgspec.structs.replace(first, value=first.value + second.value, counts=counts)


def _words(setting: SettingForm | None) -> frozenset[str]:
    return frozenset(setting.value if setting is not None and isinstance(setting.value, list) else ())
