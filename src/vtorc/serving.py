"""The HTTP side of one vtorc, put together: what it counts and tells, its server process, and the desk that answers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from vtorc.control.facade import FleetFacade
from vtorc.control.fleet import Fleet
from vtorc.control.fleet_metrics import FleetMetrics
from vtorc.control.note_book import NoteBook, PassingNotes
from vtorc.control.observer import AuditObserver, AuditObservers
from vtorc.control.probe_metrics import ProbeMetrics
from vtorc.control.publisher import DaemonFacts, MetricsSource, Publisher
from vtorc.control.token_book import TokenBook
from vtorc.control.topo_metrics import TopoMetrics
from vtorc.desk.desk import ACTS_A_MINUTE, Desk
from vtorc.forms.settings import ReloadForm
from vtorc.recovery.session import RecoveryTools
from vtorc.server.beside import beside
from vtorc.server.listener import BoundListener
from vtorc.server.options import ServerRules
from vtorc.server.supervisor import ServerSupervisor


class HttpSide:
    """The HTTP side of a fleet; it exists, and counts, only with listeners."""

    def __init__(
        self,
        listeners: Sequence[BoundListener],
        rules: ServerRules,
        tools: RecoveryTools,
        *,
        fleet: Callable[[], Fleet],
        facts: Callable[[], DaemonFacts],
        audit: Sequence[AuditObserver],
        tokens: TokenBook | None = None,
        acts_a_minute: Callable[[], int] = lambda: ACTS_A_MINUTE,
        notes: NoteBook | None = None,
        reload: Callable[[], Awaitable[ReloadForm]] | None = None,
        metrics: Sequence[MetricsSource] = (),
    ) -> None:
        """Serve on `listeners`; `fleet` returns the fleet, which is made with the observers, once it is there.

        `audit` hears what operators ask for. The desk keeps `notes` and bearer `tokens`; without them they last as long
        as the process. It calls `reload` to have the settings read again; None if there are none to read.
        `acts_a_minute` is as in `Desk`. `metrics` are counted beside those of the fleet.
        """
        self._notes = notes if notes is not None else NoteBook(PassingNotes(), tools.clock)
        self._reload = reload
        self._fleet = fleet
        self._audit = audit
        self._tokens = tokens if tokens is not None else TokenBook()
        self._acts_a_minute = acts_a_minute
        self._server = ServerSupervisor(listeners, rules, lambda: any(each.is_busy() for each in self.publishers))
        self.publishers: list[Publisher] = []
        """Those that tell the server; empty without listeners."""
        self._counters: list[FleetMetrics] = []
        if listeners:
            calls = TopoMetrics()
            tools.topo.hear_calls(calls.heard)
            self._counters.append(FleetMetrics(tools.clock))
            counted: list[MetricsSource] = [
                *self._counters,
                ProbeMetrics(lambda: fleet().probes),
                calls,
                self._server,
                *metrics,
            ]
            self.publishers.append(Publisher(self._server, tools.clock, facts, tools.bounds, metrics=counted))

        for publisher in self.publishers:
            self._notes.listen(publisher.noted)
            self._tokens.listen(publisher.tokens_changed)

    @property
    def observers(self) -> list[FleetMetrics | Publisher]:
        """Those that have to hear of the fleet and of its topology."""
        return [*self._counters, *self.publishers]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve and answer until the end of the context; the server process ends with it."""
        fleet = self._fleet()
        for publisher in self.publishers:
            fleet.holds.listen(publisher.held)
        desk = Desk(
            FleetFacade(fleet),
            audit=AuditObservers([*self._audit, *self.publishers]),
            tokens=self._tokens,
            notes=self._notes,
            reload=self._reload,
            acts_a_minute=self._acts_a_minute,
        )
        runs = [
            run
            for each in self.publishers
            for run in (each.run, partial(self._server.run, each.snapshot, desk.answer), desk.auditor.run)
        ]
        async with beside(runs):
            yield
