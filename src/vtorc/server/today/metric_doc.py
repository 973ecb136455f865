"""The metrics as a page of Markdown: `python -m vtorc.server.today.metric_doc > docs/metrics.md`."""

import sys

from vtorc.server.today.exposition import PREFIX
from vtorc.server.today.golang import snake_case
from vtorc.server.today.metric_table import METRICS, MetricTraits

_HEAD = """\
# Metrics

<!-- Made by `python -m vtorc.server.today.metric_doc`; change `src/vtorc/server/today/metric_table.py` instead. -->

`/metrics` has the metrics for Prometheus, and `/debug/vars` the same under the names of Go's expvar.
Names, types and labels are those of Vitess' vtorc, whose dashboards and alerts go on to work.
Counters therefore have no `_total`.

A metric of Vitess' with labels is absent from `/metrics` until it has its first value; `/debug/vars` shows it as `{}`.
Those that only vtorc has begin with 0 where their labels are known: Prometheus would take a first value for no change.
One without labels is 0 where vtorc has no such thing as the queue or cache that Vitess counts.
A problem that is gone is told as 0 for as long as its tablet is known, and not for ever as by Vitess.
A histogram is in seconds; in `/debug/vars` it is in nanoseconds.

| Prometheus | expvar | type | labels | meaning |
| --- | --- | --- | --- | --- |
"""


def markdown_of_metrics() -> str:
    """Return the page."""
    return _HEAD + "".join(_line(name, traits) for name, traits in METRICS.items())


def _line(name: str, traits: MetricTraits) -> str:
    labels = ", ".join(f"`{snake_case(label)}`" for label in traits.labels)
    return f"| `{PREFIX}{snake_case(name)}` | `{name}` | {traits.kind.value} | {labels or '–'} | {traits.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(markdown_of_metrics())
