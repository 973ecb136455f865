"""Counters and sums of durations with labels, in the form that is sent to the HTTP server.

Prometheus takes the first value that it sees of a series for its begin, and not for a change. A counter is therefore 0
from the start, where its labels are known.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from vtorc.forms.frames import DURATION_BOUNDS, MetricForm


class LabelledCounter:
    """Counts events by their labels."""

    def __init__(self, name: str, labels: Sequence[str] = (), *, known: Iterable[tuple[str, ...]] = ()) -> None:
        """Begin with 0 for the values of labels that are `known`."""
        self._name = name
        self._labels = labels
        self._forms: dict[tuple[str, ...], MetricForm] = {}
        for values in known:
            self.count(*values, by=0)

    def count(self, *values: str, by: int = 1) -> None:
        """Count one more event, or several."""
        before = self._forms.get(values)
        self._forms[values] = MetricForm(
            name=self._name,
            labels=dict(zip(self._labels, values, strict=True)),
            value=by + (before.value if before is not None else 0),
        )

    def forget(self, *values: str) -> None:
        """Drop the count of these labels, as what they name is gone."""
        self._forms.pop(values, None)

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the counts, which are made when they change: a large fleet has thousands of them."""
        yield from self._forms.values()


class LabelledDurations:
    """Sums and counts durations by their labels and by how long they were."""

    def __init__(self, name: str, labels: Sequence[str] = (), *, known: Iterable[tuple[str, ...]] = ()) -> None:
        """Begin with none for the values of labels that are `known`."""
        self._name = name
        self._labels = labels
        self._sums: dict[tuple[str, ...], float] = {}
        self._counts: dict[tuple[str, ...], list[int]] = {}
        for values in known:
            self._begin(values)

    def observe(self, seconds: float, *values: str) -> None:
        """Take note of one duration."""
        self._begin(values)
        self._sums[values] += seconds
        self._counts[values][bisect_left(DURATION_BOUNDS, seconds)] += 1

    def _begin(self, values: tuple[str, ...]) -> None:
        self._sums.setdefault(values, 0.0)
        self._counts.setdefault(values, [0] * (len(DURATION_BOUNDS) + 1))

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the sums with their counts."""
        for values, total in self._sums.items():
            yield MetricForm(
                name=self._name,
                labels=dict(zip(self._labels, values, strict=True)),
                value=round(total, 6),
                counts=list(accumulate(self._counts[values])),
            )
