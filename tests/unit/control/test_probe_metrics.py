"""The queue of probes as metrics."""

import asyncio

from vtorc.control.probe_metrics import ProbeMetrics
from vtorc.discovery.probe_budget import CALLS, DIALS, Lane, ProbeBudget
from vtorc.sim.engine.loop import current_loop, run


def test_the_queue_of_probes_is_told_with_those_on_their_way() -> None:
    """A question that moved to another lane and back waits once."""

    async def main() -> None:
        budget = ProbeBudget(current_loop().time)
        metrics = ProbeMetrics(lambda: budget)
        taken = [budget.new_slot() for _ in range(CALLS)]
        for slot in taken:
            await slot.take(dial=False)
        late = budget.new_slot()
        waiting = asyncio.create_task(late.take(dial=False), name="late")
        await asyncio.sleep(0)
        late.move(Lane.SUSPECTED)
        late.move(Lane.CALM)
        assert _values(metrics) == [CALLS + DIALS, CALLS, 1]
        taken[0].free()
        await waiting
        taken[1].free()
        assert _values(metrics) == [CALLS + DIALS, CALLS - 1, 0]

    run(main())


def _values(metrics: ProbeMetrics) -> list[float]:
    """Return the slots, those that are taken, and the questions that wait."""
    told = {metric.name: metric.value for metric in metrics.metrics()}
    return [told[name] for name in ("DiscoveryWorkers", "DiscoveryWorkersActive", "DiscoveriesQueueLength")]
