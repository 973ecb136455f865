"""Metrics as text for Prometheus, and as the variables of `/debug/vars`."""

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from vtorc.forms.frames import DURATION_BOUNDS, MetricForm
from vtorc.server.today.golang import number, snake_case
from vtorc.server.today.metric_table import METRICS, MetricKind, MetricTraits

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "vtorc_"
_NANOSECONDS = 10**9
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Families = Mapping[str, Sequence[MetricForm]]
"""Values by the name of their metric; all metrics of the catalogue are there."""


def families(metrics: Iterable[MetricForm], dropped: Collection[str] = ()) -> Families:
    """Return the values by metric; an untold metric is 0 if it has no labels, and else has no values.

    Metrics that are missing in the catalogue are left out, as their type is unknown, and so are the `dropped` ones.
    """
    found: dict[str, list[MetricForm]] = {name: [] for name in METRICS if name not in dropped}
    for metric in metrics:
        if metric.name in found:
            found[metric.name].append(metric)
    for name, values in found.items():
        traits = METRICS[name]
        if not values and not traits.labels:
            counts = [0] * (len(DURATION_BOUNDS) + 1) if traits.kind is MetricKind.DURATIONS else None
            values.append(MetricForm(name=name, labels={}, value=0, counts=counts))
    return found


def prometheus_text(metrics: Iterable[MetricForm], *, is_complete: bool = True, dropped: Collection[str] = ()) -> str:
    """Return the metrics that have values in the text format of Prometheus, ordered by name.

    Unless all of them `is_complete`, those that nothing told are left out. Prometheus would take their 0 for a restart,
    and count all that was counted before once more.
    """
    told = list(metrics)
    names = {metric.name for metric in told}
    lines: list[str] = []
    for name, values in sorted(families(told, dropped).items(), key=lambda item: snake_case(item[0])):
        if values and (is_complete or name in names):
            full, traits = PREFIX + snake_case(name), METRICS[name]
            lines += [f"# HELP {full} {traits.help}", f"# TYPE {full} {traits.kind.value}"]
            lines += [line for metric in values for line in _sample_lines(full, metric)]
    return "".join(f"{line}\n" for line in lines)


def _sample_lines(name: str, metric: MetricForm) -> list[str]:
    labels = {snake_case(label): value for label, value in sorted(metric.labels.items())}
    if metric.counts is None:
        return [f"{name}{_label_text(labels)} {_number_text(metric.value)}"]
    bounds = zip((*DURATION_BOUNDS, math.inf), metric.counts, strict=True)
    return [
        *(f"{name}_bucket{_label_text({**labels, 'le': _number_text(le)})} {count}" for le, count in bounds),
        f"{name}_sum{_label_text(labels)} {_number_text(metric.value)}",
        f"{name}_count{_label_text(labels)} {metric.counts[-1]}",
    ]


def _label_text(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _number_text(value: float) -> str:
    return "+Inf" if math.isinf(value) else str(number(value))


def expvar_text(metrics: Iterable[MetricForm], texts: Mapping[str, str], *, dropped: Collection[str] = ()) -> str:
    """Return all metrics and some texts as the JSON object of `/debug/vars`, ordered by name."""
    told = families(metrics, dropped)
    variables: dict[str, object] = {name: _expvar(METRICS[name], values) for name, values in told.items()}
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted({**variables, **texts}.items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _expvar(traits: MetricTraits, values: Sequence[MetricForm]) -> object:
    if traits.kind is MetricKind.DURATIONS:
        return _timings(traits, values)
    if not traits.labels:
        return number(values[0].value)
    return {_joined(traits, metric): number(metric.value) for metric in values}


def _timings(traits: MetricTraits, values: Sequence[MetricForm]) -> object:
    return {
        "TotalCount": sum(metric.counts[-1] for metric in values if metric.counts),
        "TotalTime": sum(_nanoseconds(metric.value) for metric in values),
        "Histograms": {_joined(traits, metric): _histogram(metric) for metric in values},
    }


def _histogram(metric: MetricForm) -> Mapping[str, int]:
    counts = metric.counts or [0] * (len(DURATION_BOUNDS) + 1)
    bounds = [*(str(_nanoseconds(bound)) for bound in DURATION_BOUNDS), "inf"]
    return {**dict(zip(bounds, counts, strict=True)), "Count": counts[-1], "Time": _nanoseconds(metric.value)}


def _joined(traits: MetricTraits, metric: MetricForm) -> str:
    """Return the key of a value: those of its labels joined by dots, without the dots in them if there are several."""
    values = [metric.labels[label] for label in traits.labels]
    return values[0] if len(values) == 1 else ".".join(value.replace(".", "_") for value in values)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _NANOSECONDS)
