"""The HTTP side of one vtorc, put together: what it counts and tells, its server process, and the desk that answers."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from vtorc.control.facade import FleetFacade
from vtorc.control.fleet import Fleet
from vtorc.control.fleet_metrics import FleetMetrics
from vtorc.control.probe_metrics import ProbeMetrics
from vtorc.control.publisher import DaemonFacts, MetricsSource, Publisher
from vtorc.control.topo_metrics import TopoMetrics
from vtorc.desk.desk import Desk
from vtorc.recovery.session import RecoveryTools
from vtorc.server.beside import beside
from vtorc.server.listener import BoundListener
from vtorc.server.options import ServerRules
from vtorc.server.supervisor import ServerSupervisor


class HttpSide:
    """The HTTP side of a fleet; without listeners there is none, and nothing is counted."""

    def __init__(
        self,
        listeners: Sequence[BoundListener],
        rules: ServerRules,
        tools: RecoveryTools,
        *,
        fleet: Callable[[], Fleet],
        facts: Callable[[], DaemonFacts],
    ) -> None:
        """Serve on `listeners`; `fleet` returns the fleet, which is made with the observers, once it is there."""
        self._fleet = fleet
        self._server = ServerSupervisor(listeners, rules)
        self._publishers: list[Publisher] = []
        self._counters: list[FleetMetrics] = []
        if listeners:
            calls = TopoMetrics()
            tools.topo.hear_calls(calls.heard)
            self._counters.append(FleetMetrics(tools.clock))
            metrics: list[MetricsSource] = [
                *self._counters,
                ProbeMetrics(lambda: fleet().probes),
                calls,
                self._server,
            ]
            self._publishers.append(Publisher(self._server, tools.clock, facts, tools.bounds, metrics=metrics))

    @property
    def observers(self) -> list[FleetMetrics | Publisher]:
        """Those that have to hear of the fleet and of its topology."""
        return [*self._counters, *self._publishers]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve and answer until the end of the context; the server process ends with it."""
        fleet = self._fleet()
        for publisher in self._publishers:
            fleet.holds.listen(publisher.held)
        answer = Desk(FleetFacade(fleet)).answer
        runs = [
            run for each in self._publishers for run in (each.run, partial(self._server.run, each.snapshot, answer))
        ]
        async with beside(runs):
            yield
