"""One recovery under way: its lock, its steps, what to undo when it breaks off, and what it leaves for the record."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vtorc.core.election.choice import Refusal, SafetyArgument
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.errors import TabletError
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.record import StepRecord
from vtorc.tablet.api import TabletManager
from vtorc.topo.server import TopoServer
from vtorc.topo.shard_lock import ShardLock

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Longest times, in seconds, that a recovery gives to its parts.

    `call` bounds one call to a tablet, `guard` the asking whether the lock is still ours, `refresh` the reading of the
    shard after the lock was taken, `stop` the stopping of replication, `grace` what slow tablets get once enough
    others have stopped, `catch_up` the wait for relay logs (`--wait-replicas-timeout`), `undo` all of a roll-back.
    """

    call: float = 15.0
    guard: float = 5.0
    refresh: float = 1.0
    stop: float = 5.0
    grace: float = 0.5
    catch_up: float = 30.0
    undo: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far a recovery may go: how long its parts may take, and whether the primary may move to another cell."""

    deadlines: Deadlines = field(default_factory=Deadlines)
    same_cell_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryTools:
    """What every recovery works with; `bounds` are read anew each time, so that a reload takes effect."""

    topo: TopoServer
    tablets: TabletManager
    clock: Clock
    bounds: Callable[[], Bounds] = Bounds

    @property
    def deadlines(self) -> Deadlines:
        """The longest times, as they are now."""
        return self.bounds().deadlines

    @property
    def same_cell_only(self) -> bool:
        """Whether the primary stays in its cell."""
        return self.bounds().same_cell_only


class RecoverySession:
    """The mutable side of one recovery; one owner, never shared between recoveries."""

    def __init__(self, tools: RecoveryTools, lock: ShardLock, *, began: float) -> None:
        self.tools = tools
        self.lock = lock
        self.began = began  # before the lock was asked for: waiting for it is part of an outage
        self.steps: list[StepRecord] = []
        self.marks: dict[str, float] = {}
        self.winner: TabletAlias | None = None
        self.argument: SafetyArgument | None = None
        self.removed: Mapping[TabletAlias, str] = {}
        self.errant: Mapping[TabletAlias, GtidSet] = {}
        self.data_loss: DataLossEstimate | None = None
        self.refused_by: Rule | None = None
        self.unstoppable: dict[TabletAlias, str] = {}  # what tablets said that were reached and did not stop
        self.primary: TabletRecord | None = None  # whom the view that is acted on shows as primary
        self._undo: list[tuple[str, TabletAlias, Callable[[], Awaitable[None]]]] = []

    @property
    def tablets(self) -> TabletManager:
        """The tablets of the cluster."""
        return self.tools.tablets

    def elapsed(self) -> float:
        """Seconds since the recovery began."""
        return self.tools.clock.now() - self.began

    def mark(self, name: str) -> None:
        """Remember this moment under a name."""
        self.marks[name] = self.elapsed()

    def acts_on(self, view: ShardView) -> None:
        """Remember whose shard this is: who finds another primary there later puts nothing back."""
        self.primary = view.primary.record if view.primary is not None else None

    async def guard(self) -> None:
        """Make sure that the lock is still ours, before a step that cannot be undone; raises LockLost."""
        await self.step("check lock", None, self.lock.check(), deadline=self.tools.deadlines.guard)

    async def step(
        self, name: str, target: TabletAlias | None, work: Coroutine[Any, Any, T], *, deadline: float | None = None
    ) -> T:
        """Do one step and record it, whatever becomes of it; a step on a tablet that fails raises TabletError or
        TimeoutError.
        """
        started = self.elapsed()
        result = "done"
        try:
            async with asyncio.timeout(deadline if deadline is not None else self.tools.deadlines.call):
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
            self.steps.append(
                StepRecord(name=name, target=target, started=started, duration=self.elapsed() - started, result=result)
            )

    async def try_step(
        self, name: str, target: TabletAlias | None, work: Coroutine[Any, Any, T], *, deadline: float | None = None
    ) -> T | None:
        """Do a step that may fail without stopping the recovery; the record tells. Returns None if it failed."""
        try:
            return await self.step(name, target, work, deadline=deadline)
        except (TabletError, TimeoutError):
            return None

    def on_abort(self, name: str, target: TabletAlias, undo: Callable[[], Awaitable[None]]) -> None:
        """Remember how to put back what was just changed."""
        self._undo.append((name, target, undo))

    def forget_undo(self) -> None:
        """From here on there is no way back."""
        self._undo.clear()

    @property
    def can_undo(self) -> bool:
        """Whether anything is to be put back."""
        return bool(self._undo)

    async def roll_back(self) -> None:
        """Put back what was changed, newest first per tablet, all tablets at once."""
        undo, self._undo = self._undo, []
        by_tablet: dict[TabletAlias, list[tuple[str, Callable[[], Awaitable[None]]]]] = {}
        for name, target, action in reversed(undo):
            by_tablet.setdefault(target, []).append((name, action))

        async def one(target: TabletAlias, actions: list[tuple[str, Callable[[], Awaitable[None]]]]) -> None:
            for name, action in actions:
                await self.try_step(f"undo: {name}", target, _as_coroutine(action()))

        try:
            async with asyncio.timeout(self.tools.deadlines.undo), asyncio.TaskGroup() as group:
                for target, actions in sorted(by_tablet.items()):
                    group.create_task(one(target, actions), name=f"undo {target}")
        except TimeoutError:
            return

    def refuse(self, refusal: Refusal) -> RecoveryRefused:
        """Take the refusal into the record and return the error to raise."""
        self.removed = refusal.removed
        self.errant = refusal.errant
        said = (f"; {alias} did not stop: {text}" for alias, text in sorted(self.unstoppable.items()))
        return RecoveryRefused("".join((refusal.sentence, *said)), rule=refusal.rule)

    def fail(self, sentence: str) -> RecoveryFailed:
        """Return the error to raise when a step that the recovery cannot do without has failed."""
        return RecoveryFailed(sentence)


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work
