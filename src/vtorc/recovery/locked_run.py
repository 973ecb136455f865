"""Runs a recovery under the shard lock, rolls back what broke off, and returns the record of how it ended."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vtorc.discovery.topology import read_shard
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockHeld, LockLost, TabletError, TopoError
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.errors import RecoveryCancelled, RecoveryFailed, RecoveryRefused
from vtorc.recovery.record import BegunRecovery, Outcome, RecoveryRecord
from vtorc.recovery.session import RecoverySession, RecoveryTools, StepListener, hear_nothing
from vtorc.tablet.sending import checked_before_sending
from vtorc.topo.shard_lock import ShardLock

LockedWorkResult = tuple[Outcome, str]
LockedWork = Callable[[RecoverySession], Coroutine[Any, Any, LockedWorkResult]]

T = TypeVar("T")

LOCK_CHECK_DEADLINE = 1.0
"""Most seconds that the topology server gets to confirm the lock before a rollback."""


@dataclass(frozen=True, slots=True)
class LockedRun:
    """Runs recoveries on one shard under its lock."""

    tools: RecoveryTools
    watch: ShardWatch
    heard: StepListener = hear_nothing
    """Hears of each step as it ends."""
    switch: CancelSwitch = field(default_factory=CancelSwitch)
    """The switch by which an operator cancels the recovery."""

    async def run(self, begun: BegunRecovery, lock: ShardLock, work: LockedWork) -> RecoveryRecord:
        """Take the lock, work, release; raises only CancelledError and mistakes of vtorc's own, after the rollback.

        A recovery that its switch cancelled returns its record like any other.
        """
        session = RecoverySession(self.tools, lock, began=self.tools.clock.real(), heard=self.heard, switch=self.switch)
        try:
            self.switch.begin()
            async with lock:
                outcome, sentence = await self._work(session, begun, work)
        except asyncio.CancelledError:
            if not self.switch.absorbs_cancellation():
                raise
            outcome, sentence = self._cancelled(begun)
        except RecoveryCancelled:
            outcome, sentence = self._cancelled(begun)
        except LockHeld as error:
            outcome = Outcome.LOCK_HELD
            sentence = f"{self.watch.shard}: waiting, because another process holds the shard lock: {error}"
        except TopoError as error:
            outcome, sentence = Outcome.FAILED, f"{self.watch.shard}: the shard lock could not be taken: {error}"
        finally:
            self.switch.end()
        return RecoveryRecord(
            shard=begun.shard,
            recovery=begun.recovery,
            code=begun.code,
            alias=begun.alias,
            began=begun.began,
            duration=session.elapsed(),
            outcome=outcome,
            sentence=sentence,
            rule=session.refused_by,
            waits_for=session.waits_for,
            steps=tuple(session.steps),
            marks=dict(session.marks),
            winner=session.winner,
            argument=session.argument,
            removed=session.removed,
            errant=session.errant,
            data_loss=session.data_loss,
            asked=begun.asked,
        )

    def _cancelled(self, begun: BegunRecovery) -> LockedWorkResult:
        return Outcome.CANCELLED, f"{begun.shard}: {begun.recovery.value} was cancelled: {self.switch.why}"

    async def _work(self, session: RecoverySession, begun: BegunRecovery, work: LockedWork) -> LockedWorkResult:
        shard = self.watch.shard
        try:
            return await _while_held(session.lock, work(session))
        except (asyncio.CancelledError, RecoveryCancelled):
            await self._roll_back(session)
            raise
        except LockLost as error:
            await self._roll_back(session)
            return Outcome.LOCK_LOST, f"{shard}: the recovery was broken off, because the shard lock was lost: {error}"
        except RecoveryRefused as error:
            session.refused_by = error.rule
            await self._roll_back(session)
            return Outcome.REFUSED, f"{shard}: {error}"
        except (RecoveryFailed, TabletError, TopoError, TimeoutError) as error:
            await self._roll_back(session)
            return Outcome.FAILED, f"{shard}: {begun.recovery.value} failed: {str(error) or 'no answer in time'}"
        except Exception:
            # A mistake of vtorc's own. A demoted primary would stay read-only, and stopped replicas stopped.
            await self._roll_back(session)
            raise

    async def _roll_back(self, session: RecoverySession) -> None:
        """Put back what was changed.

        If the lock is lost, it is taken again first: otherwise another vtorc may be at work.
        """
        self.switch.make_too_late()
        if not session.can_undo:
            return
        if not await _is_still_held(session.lock):
            await self._roll_back_under_new_lock(session)
            return
        with contextlib.suppress(LockLost):
            await _while_held(session.lock, session.roll_back())

    async def _roll_back_under_new_lock(self, session: RecoverySession) -> None:
        try:
            async with self.tools.topo.try_lock_shard(self.watch.shard, "VTOrc Roll back") as lock:
                if not await self._has_other_primary(session):
                    await _while_held(lock, session.roll_back())
        except TopoError:
            return

    async def _has_other_primary(self, session: RecoverySession) -> bool:
        """Return whether the shard's primary is another than the recovery acted on; then nothing may be put back.

        The records are read again for that. The present view is no measure: it may show the next primary already.
        """
        try:
            self.watch.update(await read_shard(self.tools.topo, self.tools.clock, self.watch.shard))
        except TopoError:
            return True
        primary = self.watch.view().primary
        return session.expected_primary != (primary.record if primary is not None else None)


async def _is_still_held(lock: ShardLock) -> bool:
    """Return whether no other process can hold the lock.

    That is so if the topology server confirms it, or does not answer while our lease certainly lasts. A primary that
    was made read-only must not stay so for as long as the topology server is away.
    """
    try:
        async with asyncio.timeout(LOCK_CHECK_DEADLINE):
            await lock.check()
    except (TopoError, TimeoutError):
        with contextlib.suppress(LockLost):
            # A process that stood still is here before the timers of its lock.
            lock.check_clock()
            return True
        return False
    return True


async def _while_held(lock: ShardLock, work: Coroutine[Any, Any, T]) -> T:
    """Await the work, and cancel it as soon as the lock is lost; no call is sent once the lease has ended by our clock.

    The lock is checked before each step without return, but a call may take 15 s. A call that arrives after another
    vtorc took the lock could undo the work of that vtorc. The model in `sim.model` found that.
    """
    with checked_before_sending(lock.check_clock):
        working = asyncio.create_task(work, name="work under the lock")
    lock_lost = asyncio.create_task(lock.lost.wait(), name="watch the lock")
    try:
        await asyncio.wait((working, lock_lost), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        lock_lost.cancel()
        working.cancel()
        await asyncio.gather(working, lock_lost, return_exceptions=True)
    raise LockLost("the lock was lost during a step, which was cancelled and may have taken effect")
