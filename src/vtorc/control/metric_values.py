"""Counters and sums of durations with labels, in the form that is sent to the HTTP server."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from vtorc.forms.frames import DURATION_BOUNDS, MetricForm


class LabelledCounter:
    """Counts events by their labels."""

    def __init__(self, name: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._labels = labels
        self._forms: dict[tuple[str, ...], MetricForm] = {}

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

    def __init__(self, name: str, labels: Sequence[str] = ()) -> None:
        self._name = name
        self._labels = labels
        self._sums: dict[tuple[str, ...], float] = {}
        self._counts: dict[tuple[str, ...], list[int]] = {}

    def observe(self, seconds: float, *values: str) -> None:
        """Take note of one duration."""
        self._sums[values] = self._sums.get(values, 0.0) + seconds
        counts = self._counts.setdefault(values, [0] * (len(DURATION_BOUNDS) + 1))
        counts[bisect_left(DURATION_BOUNDS, seconds)] += 1

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the sums with their counts."""
        for values, total in self._sums.items():
            yield MetricForm(
                name=self._name,
                labels=dict(zip(self._labels, values, strict=True)),
                value=round(total, 6),
                counts=list(accumulate(self._counts[values])),
            )
