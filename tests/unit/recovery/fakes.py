"""Tablet managers, a topology server and a lock that answer as a test tells them, in virtual time.

The simulator shows how whole recoveries go. Here a test holds one recovery to each single call that it makes.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar, cast

from tests.unit.core.builders import SHARD
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.candidates import StoppedTablet
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus
from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import LockLost, TabletUnreachable, TopoUnavailable
from vtorc.proto import topodata_pb2
from vtorc.recovery.record import BegunRecovery, StepRecord
from vtorc.recovery.session import Bounds, Deadlines, RecoverySession, RecoveryTools
from vtorc.sim.engine.loop import forever, run
from vtorc.tablet.api import HealthReport, StopMode, StoppedReplication, TabletManager
from vtorc.topo.server import TopoServer
from vtorc.topo.shard_lock import ShardLock

Answer = TypeVar("Answer")

NEVER = math.inf
"""Seconds that an answer takes which does not come."""

WALL = 1_700_000_000_000_000_000
"""The wall clock at the beginning, in nanoseconds since the Unix epoch."""


class LoopClock:
    """Virtual time; the wall clock goes along with it."""

    def now(self) -> float:
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        """Return nanoseconds since the Unix epoch."""
        return WALL + int(self.now() * 1e9)


class Replies:
    """What is answered to calls: by default at once, and with the default of the call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at: dict[str, float] = {}
        """When each call came first, in virtual seconds."""
        self._told: dict[str, list[object]] = {}
        self._takes: dict[str, float] = {}

    def tell(self, call: str, *replies: object, takes: float = 0.0) -> None:
        """Let `call` ("full_status zone1-101") answer each of these in turn, the last one ever after.

        An exception is raised. Each answer comes after `takes` seconds.
        """
        if replies:
            self._told[call] = list(replies)
        self._takes[call] = takes

    async def answer(self, call: str, *, details: Mapping[str, object] | None = None, default: object = None) -> object:
        """Note a call, and answer it as was told."""
        self.calls.append(" ".join([call, *(f"{name}={value}" for name, value in (details or {}).items())]))
        self.at.setdefault(call, asyncio.get_running_loop().time())
        takes = self._takes.get(call, 0.0)
        if takes == NEVER:
            await forever()
        if takes:
            await asyncio.sleep(takes)
        told = self._told.get(call)
        reply = default if told is None else told[0]
        if told is not None and len(told) > 1:
            del told[0]
        if isinstance(reply, BaseException):
            raise reply
        return reply() if callable(reply) else reply


class FakeTablets(Replies, TabletManager):
    """Tablet managers that note each call."""

    async def full_status(self, tablet: TabletRecord) -> TabletStatus:
        return await self._reading("full_status", tablet, TabletStatus)

    async def ping(self, tablet: TabletRecord) -> None:
        await self.answer(f"ping {tablet.alias}")

    async def replication_status(self, tablet: TabletRecord) -> ReplicationStatus | None:
        return await self._reading("replication_status", tablet, ReplicationStatus)

    async def primary_position(self, tablet: TabletRecord) -> GtidSet:
        return await self._reading("primary_position", tablet, GtidSet)

    async def wait_for_position(self, tablet: TabletRecord, position: GtidSet) -> None:
        await self.answer(f"wait_for_position {tablet.alias}", details={"position": short(position)})

    async def stop_replication(self, tablet: TabletRecord) -> None:
        await self.answer(f"stop_replication {tablet.alias}")

    async def stop_replication_and_get_status(self, tablet: TabletRecord, mode: StopMode) -> StoppedReplication | None:
        return await self._reading(
            "stop_replication_and_get_status", tablet, StoppedReplication, details={"mode": mode.name}
        )

    async def wall_clock(self, tablet: TabletRecord) -> int:
        return await self._reading("wall_clock", tablet, int)

    async def stop_io_thread(self, tablet: TabletRecord) -> None:
        await self.answer(f"stop_io_thread {tablet.alias}")

    async def start_replication(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        await self.answer(f"start_replication {tablet.alias}", details={"semi_sync": semi_sync})

    async def set_replication_source(
        self,
        tablet: TabletRecord,
        source: TabletAlias,
        *,
        semi_sync: bool,
        force_start: bool,
        wait_position: GtidSet | None = None,
        time_created_ns: int = 0,
        heartbeat_interval: float = 0.0,
    ) -> None:
        details: dict[str, object] = {"source": source, "semi_sync": semi_sync, "force_start": force_start}
        if wait_position is not None:
            details["wait"] = short(wait_position)
        if time_created_ns:
            details["created"] = time_created_ns
        if heartbeat_interval:
            details["heartbeat"] = heartbeat_interval
        await self.answer(f"set_replication_source {tablet.alias}", details=details)

    async def reset_replication_parameters(self, tablet: TabletRecord) -> None:
        await self.answer(f"reset_replication_parameters {tablet.alias}")

    async def promote_replica(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        await self.answer(f"promote_replica {tablet.alias}", details={"semi_sync": semi_sync})
        return EMPTY_GTID_SET

    async def init_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> GtidSet:
        await self.answer(f"init_primary {tablet.alias}", details={"semi_sync": semi_sync})
        return EMPTY_GTID_SET

    async def demote_primary(self, tablet: TabletRecord, *, force: bool) -> GtidSet:
        return await self._reading("demote_primary", tablet, GtidSet, details={"force": force})

    async def undo_demote_primary(self, tablet: TabletRecord, *, semi_sync: bool) -> None:
        await self.answer(f"undo_demote_primary {tablet.alias}", details={"semi_sync": semi_sync})

    async def set_read_only(self, tablet: TabletRecord) -> None:
        await self.answer(f"set_read_only {tablet.alias}")

    async def change_type(self, tablet: TabletRecord, type_: TabletType, *, semi_sync: bool) -> None:
        await self.answer(f"change_type {tablet.alias}", details={"type": type_.name, "semi_sync": semi_sync})

    async def flush_binary_logs(self, tablet: TabletRecord) -> None:
        await self.answer(f"flush_binary_logs {tablet.alias}")

    async def populate_reparent_journal(
        self, tablet: TabletRecord, *, time_created_ns: int, action: str, primary: TabletAlias, position: GtidSet
    ) -> None:
        details = {"created": time_created_ns - WALL, "action": action, "primary": primary, "position": short(position)}
        await self.answer(f"populate_reparent_journal {tablet.alias}", details=details)

    async def global_status(self, tablet: TabletRecord, names: Sequence[str]) -> Mapping[str, str]:
        return await self._reading("global_status", tablet, dict)

    async def stream_health(self, tablet: TabletRecord) -> AsyncIterator[HealthReport]:
        await forever()
        yield await self._reading("stream_health", tablet, HealthReport)

    async def close(self) -> None:
        return

    async def _reading(
        self, call: str, tablet: TabletRecord, kind: type[Answer], *, details: Mapping[str, object] | None = None
    ) -> Answer:
        """Answer what the test tells; a tablet of which it tells nothing does not answer."""
        silent = TabletUnreachable(f"{call} {tablet.alias} was told nothing", reason="timeout")
        answer = await self.answer(f"{call} {tablet.alias}", details=details, default=silent)
        assert answer is None or isinstance(answer, kind)
        return cast(Answer, answer)


class FakeTopo(Replies, TopoServer):
    """A topology server that notes each call."""

    def __init__(self) -> None:
        Replies.__init__(self)
        self.record = topodata_pb2.Tablet(type=topodata_pb2.PRIMARY)
        """The record that `update_tablet` changes."""
        self.updated: list[tuple[TabletAlias, bool]] = []
        """The tablets with a record that was to be updated, and whether it was changed."""

    async def tablet(self, alias: TabletAlias) -> TabletRecord:
        return cast(TabletRecord, await self.answer(f"tablet {alias}", default=TopoUnavailable("no answer")))

    async def update_tablet(
        self, alias: TabletAlias, change: Callable[[topodata_pb2.Tablet], bool | None]
    ) -> topodata_pb2.Tablet:
        await self.answer(f"update_tablet {alias}")
        self.updated.append((alias, change(self.record) is not False))
        return self.record

    def try_lock_shard(self, shard: ShardId, action: str) -> ShardLock:
        return ShardLock(shard, lambda: self._take(action))

    async def _take(self, action: str) -> "FakeLock":
        await self.answer(f"lock {action}")
        return FakeLock()


class FakeLock(Replies):
    """The lock of a shard, held until `lost` is set; `check` answers as was told."""

    key = "a lock"

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()
        self.runs_out: LockLost | None = None
        """What `check_clock` raises; None while the lock has time left."""

    async def check(self) -> None:
        """Confirm the lock, or fail as was told."""
        await self.answer("check")

    def check_clock(self) -> None:
        """Hold, unless a test has let the lock run out or be lost."""
        if self.lost.is_set():
            raise LockLost("lost")
        if self.runs_out is not None:
            raise self.runs_out

    async def release(self) -> None:
        """Release the lock."""
        await self.answer("release")


class Rig:
    """One recovery session with its tools, all of them told what to answer."""

    def __init__(self) -> None:
        self.tablets = FakeTablets()
        self.topo = FakeTopo()
        self.held = FakeLock()
        self.bounds = Bounds()
        self.tools = RecoveryTools(
            topo=self.topo, tablets=self.tablets, clock=OnTimeClock(LoopClock()), bounds=lambda: self.bounds
        )
        self.seen: list[Mapping[TabletAlias, StoppedTablet]] = []
        """The stopped tablets of each election, where a test holds the elections itself."""
        self.lock = ShardLock(SHARD, self._take)
        self.session = RecoverySession(self.tools, self.lock, began=self.tools.clock.now())

    async def _take(self) -> FakeLock:
        return self.held

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of the recovery."""
        return self.bounds.deadlines

    @property
    def calls(self) -> list[str]:
        """All calls to tablets, in order."""
        return self.tablets.calls

    @property
    def steps(self) -> list[str]:
        """The steps in the record, each with its target; one that failed has an exclamation mark."""
        return [step_text(step) for step in self.session.steps]

    def step(self, name: str) -> StepRecord:
        """Return the only step of that name."""
        (found,) = (step for step in self.session.steps if step.name == name)
        return found


def step_text(step: StepRecord) -> str:
    """Return name and target of a step, with an exclamation mark if it failed."""
    target = f" {step.target}" if step.target is not None else ""
    return f"{step.name}{target}" + ("" if step.result == "done" else " !")


def with_rig(main: Callable[[Rig], Awaitable[None]], *, start: float = 100.0) -> None:
    """Run a test with a session whose lock is not taken; it begins `start` seconds after the clock did."""

    async def work() -> None:
        await asyncio.sleep(start)
        await main(Rig())

    run(work(), seed=1)


def in_session(main: Callable[[Rig], Awaitable[None]], *, start: float = 100.0) -> None:
    """Run a test with a session that holds its lock."""

    async def work(rig: Rig) -> None:
        async with rig.lock:
            await main(rig)

    with_rig(work, start=start)


def begun(
    recovery: Recovery, *, code: Code | None = None, about: TabletAlias | None = None, shard: ShardId = SHARD
) -> BegunRecovery:
    """A recovery that begins with the clock of the tests."""
    return BegunRecovery(shard=shard, recovery=recovery, code=code, alias=about, began=WALL, sentence="it is needed")


def short(position: GtidSet) -> str:
    """Return a position as `gtids` takes it: servers by the numbers of their tablets."""
    texts = (part.strip() for part in str(position).split(",") if part.strip())
    return ",".join(f"{int(text[:8])}{text[36:]}" for text in texts)


def unreachable(text: str = "no answer") -> TabletUnreachable:
    """An answer that does not come: the call may have been carried out."""
    return TabletUnreachable(text, reason="timeout")
