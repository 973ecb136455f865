"""Does a piece of work under the shard lock, puts back what broke off, and tells how it ended."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import TabletAlias
from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockHeld, LockLost, TabletError, TopoError
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.topo.shard_lock import ShardLock

Ended = tuple[Outcome, str]
Work = Callable[[RecoverySession], Coroutine[Any, Any, Ended]]

T = TypeVar("T")

ASK_FOR = 1.0
"""Most seconds that the server gets to say whose the lock is before something is put back."""


@dataclass(frozen=True, slots=True)
class RecoveryPurpose:
    """What the work is for: the recovery, and the problem that called for it (None if a person did)."""

    recovery: Recovery
    code: Code | None
    alias: TabletAlias | None


@dataclass(frozen=True, slots=True)
class LockedRun:
    """Runs work on one shard under its lock."""

    tools: RecoveryTools
    watch: ShardWatch

    async def run(self, purpose: RecoveryPurpose, lock: ShardLock, work: Work) -> RecoveryRecord:
        """Take the lock, work, release; raises only CancelledError, with everything put back that could be."""
        began, started = self.tools.clock.wall(), self.tools.clock.now()
        session: RecoverySession | None = None
        try:
            async with lock:
                session = RecoverySession(self.tools, lock, began=started)
                outcome, sentence = await self._work(session, purpose, work)
        except LockHeld as error:
            outcome, sentence = Outcome.LOCK_HELD, f"{self.watch.shard}: waiting, because the shard is locked: {error}"
        except TopoError as error:
            outcome, sentence = Outcome.FAILED, f"{self.watch.shard}: the shard lock could not be taken: {error}"
        return RecoveryRecord(
            shard=self.watch.shard,
            recovery=purpose.recovery,
            code=purpose.code,
            alias=purpose.alias,
            began=began,
            duration=self.tools.clock.now() - started,
            outcome=outcome,
            sentence=sentence,
            rule=session.refused_by if session else None,
            steps=tuple(session.steps) if session else (),
            marks=dict(session.marks) if session else {},
            winner=session.winner if session else None,
            argument=session.argument if session else None,
            removed=session.removed if session else {},
            errant=session.errant if session else {},
            data_loss=session.data_loss if session else None,
        )

    async def _work(self, session: RecoverySession, purpose: RecoveryPurpose, work: Work) -> tuple[Outcome, str]:
        shard = self.watch.shard
        try:
            return await _while_held(session.lock, work(session))
        except asyncio.CancelledError:
            await self._break_off(session)
            raise
        except LockLost as error:
            await self._break_off(session)
            return Outcome.LOCK_LOST, f"{shard}: broke off, because the shard lock was lost: {error}"
        except RecoveryRefused as error:
            session.refused_by = error.rule
            await self._break_off(session)
            return Outcome.REFUSED, f"{shard}: {error}"
        except (RecoveryFailed, TabletError, TopoError, TimeoutError) as error:
            await self._break_off(session)
            return Outcome.FAILED, f"{shard}: {purpose.recovery.value} failed: {str(error) or 'no answer in time'}"

    async def _break_off(self, session: RecoverySession) -> None:
        """Put back what was changed; if the lock is lost, only once it is had again: else somebody is at work."""
        if not session.can_undo:
            return
        if not await _still_ours(session.lock):
            await self._break_off_without_lock(session)
            return
        with contextlib.suppress(LockLost):
            await _while_held(session.lock, session.roll_back())

    async def _break_off_without_lock(self, session: RecoverySession) -> None:
        try:
            async with self.tools.topo.try_lock_shard(self.watch.shard, "VTOrc Roll back"):
                if not await self._moved_on(session):
                    await session.roll_back()
        except TopoError:
            return

    async def _moved_on(self, session: RecoverySession) -> bool:
        """Whether the shard has another primary than the one that was acted on: then what we remember is not to be put
        back. What this vtorc has heard meanwhile is no measure: it may know the next primary already.
        """
        try:
            self.watch.update(await read_shard(self.tools.topo, self.tools.clock, self.watch.shard))
        except TopoError:
            return True
        present = self.watch.view().primary
        return session.primary != (present.record if present is not None else None)


async def _still_ours(lock: ShardLock) -> bool:
    """Whether nobody else can have the lock: the server says so, or does not answer while our lease lasts for certain.

    A primary that was made read-only must not stay so for as long as the topology server is away.
    """
    try:
        async with asyncio.timeout(ASK_FOR):
            await lock.check()
    except (TopoError, TimeoutError):
        return not lock.lost.is_set()
    return True


async def _while_held(lock: ShardLock, work: Coroutine[Any, Any, T]) -> T:
    """Work, and break off at once when the lock is lost.

    The lock is checked before each step without return, but a call may take 15 s, and one that arrives after somebody
    else took the lock could undo what that one did (found by the model in `sim.model`).
    """
    working = asyncio.create_task(work, name="work under the lock")
    losing = asyncio.create_task(lock.lost.wait(), name="watch the lock")
    try:
        await asyncio.wait((working, losing), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        losing.cancel()
        working.cancel()
        await asyncio.gather(working, losing, return_exceptions=True)
    raise LockLost("the lock was lost while a step was under way; the step was cancelled and may have been carried out")
