"""A vtorc process in a simulated world: the real control code with simulated time, topology and tablets."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from vtorc.control.breaker import HOLD_NOTHING
from vtorc.control.budget import BudgetLimits
from vtorc.control.facade import FleetFacade
from vtorc.control.fleet import Fleet, FleetSettings
from vtorc.control.hold_book import HoldBook, HoldNews
from vtorc.control.observer import Announcement, failure_sentence
from vtorc.control.scope import Scope
from vtorc.control.shard_loop import DecisionSettings
from vtorc.control.sharing import ShardSharing
from vtorc.core.decision.decisions import Decision
from vtorc.core.facts.ids import ShardId
from vtorc.discovery.lateness import OnTimeClock
from vtorc.discovery.memory_keeper import MemoryKeeper
from vtorc.discovery.probe_pace import ProbePace
from vtorc.recovery.commands import Commands
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds, Deadlines, RecoveryTools
from vtorc.sim.checks.budget_order import BudgetOrder
from vtorc.sim.checks.held import HoldsHonoured
from vtorc.sim.cluster.direct_mysql import SimDirectMysql
from vtorc.sim.cluster.hold_disk import HoldDisk
from vtorc.sim.cluster.memory_disk import MemoryDisk
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.engine.process import Host, Life, Process
from vtorc.sim.engine.trace import PROCESS, Trace
from vtorc.topo.server import TopoServer

_RESTART_AFTER = 5.0
"""Seconds that a supervisor needs to start a dead vtorc again, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VtorcSettings:
    """The settings of one vtorc; times in seconds."""

    rules: DecisionSettings = field(default_factory=DecisionSettings)
    pace: ProbePace = field(default_factory=ProbePace)
    deadlines: Deadlines = field(default_factory=Deadlines)
    refresh_every: float = 15.0
    same_cell_only: bool = False
    tolerable_lag: float = 0.0
    budget: BudgetLimits = field(default_factory=BudgetLimits)
    hold_above: int = HOLD_NOTHING
    shares: bool = False
    """Whether the vtorcs share the shards out among them."""
    asks_mysql: bool = False
    """Whether the vtorcs hold connections to the mysqlds, and ask those of silent tablets."""


@dataclass(frozen=True, slots=True)
class SimClock:
    """The clock of a host: virtual time, and a wall clock that may be wrong.

    A process reads it before and after almost everything that it does, so each reading may find it standing still.
    """

    host: Host
    pauses: "Pauses | None" = None
    """When the process stands still; None if it never does."""

    def now(self) -> float:
        """Return virtual seconds."""
        if self.pauses is not None and self.pauses.planned:
            self.pauses.may_begin()
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        """Return nanoseconds since the Unix epoch by this host's clock."""
        return self.host.wall()


class Pauses:
    """Lets a process stand still between two of its instructions, as often and as long as `plan` says."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._left = 0
        self._plan: Callable[[], tuple[int, float]] | None = None
        self._seconds = 0.0
        self._stands = False

    @property
    def planned(self) -> bool:
        """Whether the process stands still again and again."""
        return self._plan is not None

    def begin(self, plan: Callable[[], tuple[int, float]]) -> None:
        """Stand still from now on; `plan` gives the readings of the clock until the next pause, and its seconds."""
        self._plan = plan
        self._left, self._seconds = plan()

    def end(self) -> None:
        """Stand still no more, once the pause under way is over."""
        self._plan = None

    def may_begin(self) -> None:
        """Stand still, if it is time; only the process itself can."""
        if self._plan is None or self._stands or PROCESS.get() != str(self._process) or not self._process.running:
            return
        self._left -= 1
        if self._left > 0:
            return
        self._stands = True
        current_loop().let_others_run(self._seconds, but=str(self._process))
        self._stands = False
        if self._plan is not None:
            self.begin(self._plan)


class SimVtorc:
    """One vtorc; its supervisor starts it again whenever it ends."""

    def __init__(
        self,
        host: Host,
        *,
        open_topo: Callable[[Life], TopoServer],
        open_tablets: Callable[[Life], SimTabletManager],
        open_mysql: Callable[[Life], SimDirectMysql],
        settings: VtorcSettings,
        trace: Trace,
        generator: random.Random,
        broken: Callable[[str], None],
        escalated: Callable[[ShardId, bool], None],
        turns: BudgetOrder,
        violate: Callable[[str, str], None],
    ) -> None:
        self.host = host
        self._violate = violate
        self.turns = turns
        self.process = Process(host, "vtorc")
        self.disk = MemoryDisk()
        self.holds = HoldDisk()
        self.pauses = Pauses(self.process)
        self.fleet: Fleet | None = None
        self.tools: RecoveryTools | None = None
        self._lives = 0
        self.records: list[RecoveryRecord] = []
        self._open_topo = open_topo
        self._open_tablets = open_tablets
        self._open_mysql = open_mysql
        self._settings = settings
        self._trace = trace
        self._random = generator
        self._broken = broken
        self._escalated = escalated

    @property
    def facade(self) -> FleetFacade | None:
        """The fleet as others use it; None while the daemon is down."""
        return FleetFacade(self.fleet) if self.fleet is not None else None

    def decisions(self, shard: ShardId) -> tuple[Decision, ...]:
        """Return the latest decision about each problem of a shard; none while the daemon is down."""
        return self.facade.decisions(shard) if self.facade is not None else ()

    def commands(self, shard: ShardId) -> Commands | None:
        """Return the commands on a shard, which its loop hears nothing of; None if the daemon does not watch it."""
        return self.facade.on_shard(shard, Commands) if self.facade is not None else None

    def start(self) -> None:
        """Start the daemon."""
        life = self.process.start()
        life.at_end.append(self._ended)
        settings = self._settings
        bounds = Bounds(
            deadlines=settings.deadlines,
            same_cell_only=settings.same_cell_only,
            tolerable_lag=settings.tolerable_lag,
        )
        tools = self.tools = RecoveryTools(
            topo=self._open_topo(life),
            tablets=self._open_tablets(life),
            clock=OnTimeClock(SimClock(self.host, self.pauses)),
            bounds=lambda: bounds,
        )
        fleet_settings = FleetSettings(
            scope=Scope(),
            decisions=settings.rules,
            pace=settings.pace,
            refresh_every=settings.refresh_every,
            budget=settings.budget,
            hold_above=settings.hold_above,
        )
        holds = HoldBook(self.holds.opened_by(life), tools.clock, list(self.holds.holds.values()))
        honoured = HoldsHonoured(self.host.name, holds.on, self._violate)
        observer = TraceObserver(
            self.host.name, self._trace, life, self.records, self._escalated, self.turns, honoured, self._broken
        )
        self._lives += 1
        name = self.host.name
        fleet = self.fleet = Fleet(
            tools,
            lambda: fleet_settings,
            observer,
            sentinel=self._open_mysql(life) if settings.asks_mysql else None,
            keeper=MemoryKeeper(self.disk.opened_by(life), self.disk.read()),
            holds=holds,
            sharing=ShardSharing(tools.topo, tools.clock, name, life=str(self._lives)) if settings.shares else None,
        )
        holds.listen(observer.held)
        self.turns.begin(fleet.budget)
        self._trace.note(self.host.name, "vtorc starts")
        life.spawn(self._run(fleet), name="fleet")

    async def _run(self, fleet: Fleet) -> None:
        try:
            await fleet.run()
        except Exception as error:
            self._broken(f"vtorc on {self.host.name} broke: {_innermost(error)!r}")
        self.process.crash()

    def _ended(self) -> None:
        self.fleet = None
        self._trace.note(self.host.name, "vtorc ends")
        delay = _RESTART_AFTER * self._random.uniform(0.5, 1.5)
        asyncio.get_running_loop().call_later(delay, self._restart, self.process.life)

    def _restart(self, ended: Life) -> None:
        if self.host.up and self.process.life is ended and not ended.alive:
            self.start()


class TraceObserver:
    """Writes the decisions and recoveries of a vtorc into the trace, until its process ends."""

    def __init__(
        self,
        name: str,
        trace: Trace,
        life: Life,
        records: list[RecoveryRecord],
        escalated: Callable[[ShardId, bool], None],
        turns: BudgetOrder,
        honoured: HoldsHonoured,
        broken: Callable[[str], None],
    ) -> None:
        self._name = name
        self._honoured = honoured
        self._broken = broken
        self._turns = turns
        self._trace = trace
        self._life = life
        self._records = records
        self._escalated = escalated

    def judged(self, judgement: Judgement) -> None:
        """Ignore judgements, which are too frequent for a trace."""

    def decided(self, decision: Decision) -> None:
        """Write the decision's sentence."""
        if decision.escalated:
            self._escalated(decision.finding.shard, decision.has_stood)
        self._note(f"decides [{decision.rule}] {decision.sentence}")

    def cleared(self, decision: Decision) -> None:
        """Write the finding that is gone."""
        self._note(f"cleared {decision.finding.code.value} on {decision.finding.alias}")

    def started(self, begun: BegunRecovery) -> None:
        """Write the recovery that begins."""
        if self._life.alive:
            self._turns.started(begun)
            self._honoured.started(begun)
        self._note(f"begins {begun.recovery.value} for {begun.called_by}")

    def stepped(self, shard: ShardId, step: StepRecord) -> None:
        """Ignore steps, which are written together once their recovery has ended."""

    def finished(self, record: RecoveryRecord) -> None:
        """Write the steps of a recovery and its outcome."""
        if not self._life.alive:
            return
        self._records.append(record)
        self._turns.finished(record)
        self._honoured.finished(record)
        for step in record.steps:
            on = f" on {step.target}" if step.target is not None else ""
            self._note(f"  +{step.started:.3f} s {step.name}{on}: {step.result} ({step.duration:.3f} s)")
        self._note(f"ends {record.recovery.value} ({record.outcome.value}): {record.sentence}")

    def interrupted(self, begun: BegunRecovery) -> None:
        """Write the recovery that is broken off."""
        if self._life.alive:
            self._turns.interrupted(begun)
        self._note(f"breaks off {begun.recovery.value}")

    def announced(self, announcement: Announcement) -> None:
        """Write the announcement."""
        if self._life.alive:
            self._turns.announced(announcement)
        self._note(f"announces: {announcement.sentence}")

    def held(self, news: HoldNews) -> None:
        """Write the change of the holds in force."""
        self._note(f"hears of a hold: {news.sentence}")

    def failed(self, shard: ShardId, error: Exception, rest: float) -> None:
        """End the run with a violation: control code raises nothing unexpected."""
        if self._life.alive:
            self._broken(f"vtorc on {self._name} broke: {failure_sentence(shard, error, rest)}")

    def _note(self, text: str) -> None:
        if self._life.alive:
            self._trace.note(self._name, text)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
