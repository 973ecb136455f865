"""One recovery under way: its lock, its steps, what a rollback puts back, and what the record takes from it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vtorc.core.election.choice import Refusal
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import LockLost, TabletError
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.hooks import NoHooks, PreHooks
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import StepRecord
from vtorc.tablet.api import TabletManager
from vtorc.topo.server import TopoServer
from vtorc.topo.shard_lock import ShardLock

T = TypeVar("T")

DEMOTION_PATIENCE = 1.5
"""Seconds that a demotion gets to end before it is broken off: MySQL takes up to one to switch semi-sync off."""

StepListener = Callable[[StepRecord], None]
"""Hears of each step as it ends; returns at once and raises nothing."""


def hear_nothing(_: StepRecord) -> None:
    """Ignore a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Most seconds that a recovery gives to each of its parts."""

    call: float = 15.0
    """One call to a tablet."""
    check_lock: float = 5.0
    """One check whether the lock is still ours."""
    refresh: float = 1.0
    """Asking all tablets again after the lock was taken."""
    stop: float = 5.0
    """Stopping replication on all tablets."""
    grace: float = 0.5
    """The wait for slow tablets once enough others have stopped or applied."""
    catch_up: float = 30.0
    """A wait until relay logs are applied (`--wait-replicas-timeout`)."""
    undo: float = 10.0
    """A whole rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far a recovery may go."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    same_cell_only: bool = False
    """Whether the new primary must be in the cell of the old one."""
    tolerable_lag: float = 0.0
    """Most seconds that a replica which a planned reparent chooses by itself may be behind; 0 for any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryTools:
    """The tools of every recovery."""

    topo: TopoServer
    tablets: TabletManager
    clock: OnTimeClock
    bounds: Callable[[], Bounds] = Bounds
    """Called each time that a bound is needed, so that a reload of the settings takes effect."""
    hooks: PreHooks = field(default_factory=NoHooks)
    """The operator's commands that may refuse a recovery."""

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of the present settings."""
        return self.bounds().deadlines

    @property
    def same_cell_only(self) -> bool:
        """Whether the new primary must be in the cell of the old one."""
        return self.bounds().same_cell_only

    @property
    def tolerable_lag(self) -> float:
        """Most seconds that a replica which a planned reparent chooses by itself may be behind; 0 for any."""
        return self.bounds().tolerable_lag


class RecoverySession:
    """The mutable state of one recovery; no two recoveries share one."""

    def __init__(
        self,
        tools: RecoveryTools,
        lock: ShardLock,
        *,
        began: float,
        heard: StepListener = hear_nothing,
        switch: CancelSwitch | None = None,
    ) -> None:
        """Tell `heard` of each step; `switch` lets an operator cancel the recovery, and with None it cannot be."""
        self.tools = tools
        self.lock = lock
        self.began = began  # before the lock was requested: the wait for it is part of an outage
        self.steps: list[StepRecord] = []
        self.marks: dict[str, float] = {}
        self.winner: TabletAlias | None = None
        self.argument: SafetyArgument | None = None
        self.removed: Mapping[TabletAlias, str] = {}
        self.errant: Mapping[TabletAlias, GtidSet] = {}
        self.data_loss: DataLossEstimate | None = None
        self.refused_by: Rule | None = None
        self.waits_for: Mapping[TabletAlias, GtidSet] = {}  # what tablets have to apply before another try can succeed
        self.stop_errors: dict[TabletAlias, str] = {}  # of tablets that were reached and did not stop
        self.expected_primary: TabletRecord | None = None  # of the view that is acted on
        self._heard = heard
        self._switch = switch if switch is not None else CancelSwitch()
        self._undo: list[tuple[str, TabletAlias, Callable[[], Awaitable[None]]]] = []

    @property
    def tablets(self) -> TabletManager:
        """The tablet managers of the cluster."""
        return self.tools.tablets

    def elapsed(self) -> float:
        """Return the seconds since the recovery began; a late vtorc does not stop them, as servers go on meanwhile."""
        return self.tools.clock.real() - self.began

    def mark(self, mark: OutageMark) -> None:
        """Record that the recovery has come to a moment."""
        self.marks[mark.value] = self.elapsed()

    def expect_primary(self, view: ShardView) -> None:
        """Remember the primary of the view that is acted on; a rollback that finds another one puts nothing back."""
        self.expected_primary = view.primary.record if view.primary is not None else None

    async def check_lock(self) -> None:
        """Confirm that the lock is still ours, before a step that cannot be undone; raises LockLost."""
        await self.step("check lock", None, self.lock.check(), deadline=self.tools.deadlines.check_lock)

    async def step(
        self, name: str, target: TabletAlias | None, work: Coroutine[Any, Any, T], *, deadline: float | None = None
    ) -> T:
        """Do one step and record how it ended.

        A step on a tablet that fails raises TabletError or TimeoutError.
        """
        started = self.elapsed()
        result = "done"
        try:
            async with self.tools.clock.timeout(deadline if deadline is not None else self.tools.deadlines.call):
                return await work
        except TimeoutError:
            result = "no answer in time"
            raise
        except asyncio.CancelledError:
            result = "cancelled"
            raise
        except Exception as error:
            result = str(error)
            raise
        finally:
            duration = self.elapsed() - started
            self.note_step(StepRecord(name=name, target=target, started=started, duration=duration, result=result))

    async def demote(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        """Demote a tablet as a step; returns its last position, and raises TabletError or TimeoutError.

        A cancellation leaves it DEMOTION_PATIENCE seconds from its begin. A vttablet that is broken off takes writes
        again while MySQL still switches semi-sync off, so that they wait for no acknowledgement.
        """
        patient_until = self.elapsed() + DEMOTION_PATIENCE
        demoting = asyncio.create_task(
            self.step("demote primary", tablet.alias, self.tablets.demote_primary(tablet, force=force)),
            name=f"demote {tablet.alias}",
        )
        try:
            return await asyncio.shield(demoting)
        except asyncio.CancelledError:
            await asyncio.wait((demoting,), timeout=max(0.0, patient_until - self.elapsed()))
            raise
        finally:
            demoting.cancel()
            await asyncio.gather(demoting, return_exceptions=True)

    def note_step(self, step: StepRecord) -> None:
        """Add a step that has ended to the record, and tell of it."""
        self.steps.append(step)
        self._heard(step)

    async def try_step(
        self, name: str, target: TabletAlias | None, work: Coroutine[Any, Any, T], *, deadline: float | None = None
    ) -> T | None:
        """Do a step that the recovery can do without; returns None if it failed, which the record shows."""
        try:
            return await self.step(name, target, work, deadline=deadline)
        except (TabletError, TimeoutError):
            return None

    def on_abort(self, name: str, target: TabletAlias, undo: Callable[[], Awaitable[None]]) -> None:
        """Remember how a rollback puts back what a step on `target` changes."""
        self._undo.append((name, target, undo))

    def forget_undo(self, target: TabletAlias | None = None) -> None:
        """Forget what a rollback would put back: on one tablet, as it is done with, or on all of them.

        Once a promotion is asked for there is no way back at all. Raises RecoveryCancelled if an operator was faster.
        """
        if target is None:
            self._switch.pass_point_of_no_return()
        self._undo = [] if target is None else [undo for undo in self._undo if undo[1] != target]

    @property
    def can_undo(self) -> bool:
        """Whether a rollback has anything to put back."""
        return bool(self._undo)

    async def roll_back(self) -> None:
        """Put back what was changed: on all tablets at once, on each tablet the newest change first."""
        undo, self._undo = self._undo, []
        by_tablet: dict[TabletAlias, list[tuple[str, Callable[[], Awaitable[None]]]]] = {}
        for name, target, action in reversed(undo):
            by_tablet.setdefault(target, []).append((name, action))

        async def undo_on(target: TabletAlias, actions: list[tuple[str, Callable[[], Awaitable[None]]]]) -> None:
            for name, action in actions:
                try:
                    await self.try_step(f"undo: {name}", target, _as_coroutine(action()))
                except LockLost:
                    return

        try:
            async with asyncio.timeout(self.tools.deadlines.undo), asyncio.TaskGroup() as group:
                for target, actions in sorted(by_tablet.items()):
                    group.create_task(undo_on(target, actions), name=f"undo {target}")
        except TimeoutError:
            return

    def refuse(self, refusal: Refusal) -> RecoveryRefused:
        """Copy the refusal into the record and return the error to raise."""
        self.removed = refusal.removed
        self.errant = refusal.errant
        stop_errors = (f"; {alias} did not stop: {text}" for alias, text in sorted(self.stop_errors.items()))
        return RecoveryRefused("".join((refusal.sentence, *stop_errors)), rule=refusal.rule)

    def tablet_in(self, view: ShardView, alias: TabletAlias) -> TabletView:
        """Return a tablet of the view that is acted on; raises RecoveryFailed if the shard has it no more."""
        tablet = view.tablet(alias)
        if tablet is None:
            raise self.fail(f"{alias} has left the shard")
        return tablet

    def fail(self, sentence: str) -> RecoveryFailed:
        """Return the error to raise when a necessary step has failed."""
        return RecoveryFailed(sentence)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work
