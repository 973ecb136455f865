"""The queue of probes as metrics, under the names that Vitess' vtorc has for its workers."""

from collections.abc import Callable, Iterator

from vtorc.discovery.probe_budget import CALLS, DIALS, ProbeBudget
from vtorc.forms.frames import MetricForm


class ProbeMetrics:
    """A source of metrics of the budget of probes."""

    def __init__(self, budget: Callable[[], ProbeBudget]) -> None:
        """`budget` returns the budget of the fleet, which is made after its observers."""
        self._budget = budget

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        budget = self._budget()
        yield MetricForm(name="DiscoveryWorkers", labels={}, value=CALLS + DIALS)
        yield MetricForm(name="DiscoveryWorkersActive", labels={}, value=budget.held)
        yield MetricForm(name="DiscoveriesQueueLength", labels={}, value=budget.waiting)
