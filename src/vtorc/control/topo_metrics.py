"""The calls to topology servers as metrics, under the names that Vitess' vtorc has for them."""

from collections.abc import Iterator

from vtorc.control.metric_values import LabelledCounter, LabelledDurations
from vtorc.forms.frames import MetricForm

_OF_CALL = ("Operation", "Cell")


class TopoMetrics:
    """Counts the calls that it is told of, and is a source of metrics."""

    def __init__(self) -> None:
        self._seconds = LabelledDurations("TopologyConnOperations", _OF_CALL)
        self._errors = LabelledCounter("TopologyConnErrors", _OF_CALL)

    def heard(self, operation: str, cell: str, seconds: float, failed: bool) -> None:
        """Count a call. As in Vitess, a record that does not exist is a failure, and failures have no duration."""
        if failed:
            self._errors.count(operation, cell)
        else:
            self._seconds.observe(seconds, operation, cell)

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        yield from self._seconds.metrics()
        yield from self._errors.metrics()
