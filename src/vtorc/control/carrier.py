"""Carries out one recovery of a shard: tells of its begin and its steps, and breaks it off for an urgent one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from vtorc.control.observer import Observer
from vtorc.core.decision.decisions import Action
from vtorc.core.detection.recoveries import Recovery, Urgency
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.record import BegunRecovery, RecoveryRecord, StepRecord


class RecoveryCarrier:
    """Carries out the recoveries of one shard, one after the other."""

    def __init__(
        self,
        watch: ShardWatch,
        observer: Observer,
        next_action: Callable[[], Action | None],
        rejudge_every: Callable[[], float],
    ) -> None:
        """Ask `next_action` what the shard needs by now, at every change and after `rejudge_every` seconds."""
        self._watch = watch
        self._observer = observer
        self._next_action = next_action
        self._rejudge_every = rejudge_every
        self._observer_error: Exception | None = None
        self.under_way: BegunRecovery | None = None
        """The recovery in progress; None while there is none."""

    async def carry_out(
        self, begun: BegunRecovery, work: Coroutine[Any, Any, RecoveryRecord], switch: CancelSwitch | None = None
    ) -> RecoveryRecord | None:
        """Do the work of a recovery, and tell of its begin; returns None if it was broken off, which is told, too.

        `switch` cancels the command of an operator; None for a recovery of vtorc's own. A mistake of vtorc's own is
        raised once the recovery was broken off: it would else go on, and no task would wait for it.
        """
        self.under_way = begun
        running = asyncio.create_task(work, name=f"{begun.recovery.value} {self._watch.shard}")
        try:
            self._observer.started(begun)
            await self._until_done_or_outranked(running, begun.recovery, switch)
            record = await running
        except asyncio.CancelledError:
            await self._break_off(running, begun)
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise
            return None
        except Exception:
            await self._break_off(running, begun)
            raise
        finally:
            self.under_way = None
        return record

    async def _break_off(self, running: asyncio.Task[RecoveryRecord], begun: BegunRecovery) -> None:
        """End a recovery that has not ended yet, which puts back what it changed, and tell of that."""
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self._observer.interrupted(begun)

    def tell_step(self, step: StepRecord) -> None:
        """Tell the observer of a step; a mistake of the observer must not break off a recovery."""
        try:
            self._observer.stepped(self._watch.shard, step)
        except Exception as error:
            self._observer_error = error

    def raise_mistake(self) -> None:
        """Raise what the observer raised during a recovery, once that is over."""
        if self._observer_error is not None:
            raise self._observer_error

    async def _until_done_or_outranked(
        self, running: asyncio.Task[RecoveryRecord], recovery: Recovery, switch: CancelSwitch | None
    ) -> None:
        """Wait for a recovery, and cancel a repair if the primary is lost meanwhile: the primary comes first.

        A test whether the primary is lost is not cancelled: the replica that it stops for a moment would be evidence
        against the primary. The command of an operator is cancelled as long as that is safe, for such a test, too:
        both need the primary.
        """
        if not recovery.traits.may_be_outranked:
            await asyncio.wait((running,))
            return
        while not running.done():
            changed = asyncio.create_task(self._watch.wait_changed(self._rejudge_every()))
            try:
                await asyncio.wait((running, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            urgent = None if running.done() else self._next_action()
            if urgent is None:
                continue
            if switch is not None and urgent.recovery.traits.urgency is Urgency.LOST_PRIMARY:
                switch.cancel(urgent.decisions[0].sentence)
                return
            if urgent.recovery.replaces_primary:
                running.cancel()
                return
