"""A recovery that an operator cancels: what is put back, and from when on it is too late."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tests.unit.core.builders import alias, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, Rig, begun, with_rig
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.errors import RecoveryCancelled, RecoveryRefused
from vtorc.recovery.locked_run import LockedRun, LockedWorkResult
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.session import RecoverySession
from vtorc.sim.engine.loop import forever

TABLET, OTHER = alias("zone1-100"), alias("zone1-101")
BEGUN = begun(Recovery.PLANNED_REPARENT, about=TABLET)
WHY = "ann asked for that: too late at night"


class Watch:
    """The watch of one shard."""

    shard = BEGUN.shard

    def view(self) -> object:
        return shard(primary(), replica("zone1-101"))


class Case:
    """One recovery that has made the primary read-only, and then does what a test says."""

    def __init__(self, rig: Rig, work: Callable[[RecoverySession], Awaitable[None]]) -> None:
        self.rig, self.work = rig, work
        self.switch = CancelSwitch()
        self.undone: list[str] = []
        self.undo_takes = 0.0
        self.heard: list[StepRecord] = []
        run = LockedRun(rig.tools, cast(ShardWatch, Watch()), self.heard.append, self.switch)
        self.running = asyncio.create_task(run.run(BEGUN, rig.lock, self._work))

    async def _work(self, session: RecoverySession) -> LockedWorkResult:
        session.on_abort("demote primary", TABLET, self._undo)
        await self.work(session)
        return Outcome.SUCCEEDED, "it is done"

    async def _undo(self) -> None:
        self.undone.append("demote primary")
        await asyncio.sleep(self.undo_takes)

    async def cancelled_after(self, seconds: float) -> tuple[bool, RecoveryRecord]:
        """Cancel it after so long; returns whether it could be, and its record."""
        await asyncio.sleep(seconds)
        could = self.switch.cancel(WHY)
        return could, await self.running


async def hang(_: RecoverySession) -> None:
    await forever()


def test_a_cancelled_recovery_is_put_back_and_recorded() -> None:
    """Its record says which operator cancelled it, and why; the lock is released."""

    async def main(rig: Rig) -> None:
        case = Case(rig, hang)
        could, record = await case.cancelled_after(1.0)
        assert could
        assert record.outcome is Outcome.CANCELLED
        assert record.sentence == f"commerce/0: PlannedReparentShard was cancelled: {WHY}"
        assert case.undone == ["demote primary"]
        assert [step.name for step in record.steps] == ["undo: demote primary"]
        assert case.heard == list(record.steps)
        assert rig.held.calls[-1] == "release"
        assert not case.switch.cancel(WHY)

    with_rig(main)


def test_a_recovery_past_its_point_of_no_return_goes_on() -> None:
    """Replicas that are started towards the old primary would give it acknowledgements."""

    async def promote(session: RecoverySession) -> None:
        session.forget_undo()
        await asyncio.sleep(2.0)

    async def main(rig: Rig) -> None:
        case = Case(rig, promote)
        could, record = await case.cancelled_after(1.0)
        assert not could
        assert record.outcome is Outcome.SUCCEEDED
        assert case.undone == []

    with_rig(main)


def test_a_recovery_that_is_done_with_one_tablet_can_still_be_cancelled() -> None:
    """That tablet is left as it is, and what was changed on the others is put back."""

    async def go_on(session: RecoverySession) -> None:
        session.on_abort("stop replication", OTHER, unexpected)
        session.forget_undo(OTHER)
        await forever()

    async def unexpected() -> None:
        raise AssertionError("this tablet was done with")

    async def main(rig: Rig) -> None:
        case = Case(rig, go_on)
        could, record = await case.cancelled_after(1.0)
        assert could
        assert record.outcome is Outcome.CANCELLED
        assert [(step.name, step.target, step.result) for step in record.steps] == [
            ("undo: demote primary", TABLET, "done")
        ]

    with_rig(main)


def test_a_recovery_that_is_over_cannot_be_cancelled() -> None:
    """The operator is told so: its changes stay, though it had no point of no return."""

    async def end(_: RecoverySession) -> None:
        await asyncio.sleep(1.0)

    async def main(rig: Rig) -> None:
        case = Case(rig, end)
        assert (await case.running).outcome is Outcome.SUCCEEDED
        assert not case.switch.cancel(WHY)
        assert case.switch.why == ""
        assert case.undone == []

    with_rig(main)


def test_a_cancellation_in_the_very_moment_of_no_return_wins() -> None:
    """The recovery asks the switch in the same step in which it forgets the way back, and promotes nothing."""
    asked: list[str] = []

    async def main(rig: Rig) -> None:
        async def promote(session: RecoverySession) -> None:
            await asyncio.sleep(1.0)
            assert case.switch.cancel(WHY)
            session.forget_undo()
            asked.append("promote")

        case = Case(rig, promote)
        record = await case.running
        assert record.outcome is Outcome.CANCELLED
        assert case.undone == ["demote primary"]
        assert asked == []

    with_rig(main)


def test_a_recovery_cancelled_before_it_begins_takes_no_lock() -> None:
    """It ends as soon as it begins."""

    async def main(rig: Rig) -> None:
        case = Case(rig, hang)
        assert case.switch.cancel(WHY)
        record = await case.running
        assert record.outcome is Outcome.CANCELLED
        assert rig.held.calls == []
        assert case.undone == []

    with_rig(main)


def test_a_recovery_that_waits_for_the_lock_is_cancelled() -> None:
    """Another process may hold the lock for long."""

    async def main(rig: Rig) -> None:
        rig.topo.tell("lock a test", takes=NEVER)
        rig.lock = rig.topo.try_lock_shard(BEGUN.shard, "a test")
        case = Case(rig, hang)
        could, record = await case.cancelled_after(1.0)
        assert could
        assert record.outcome is Outcome.CANCELLED
        assert record.duration == pytest.approx(1.0)

    with_rig(main)


def test_a_rollback_is_not_cancelled() -> None:
    """A refused recovery that puts its changes back puts back all of them."""

    async def refuse(_: RecoverySession) -> None:
        raise RecoveryRefused("not promoting: too few are left", rule=Rule.NO_CANDIDATE)

    async def main(rig: Rig) -> None:
        case = Case(rig, refuse)
        case.undo_takes = 3.0
        could, record = await case.cancelled_after(1.0)
        assert not could
        assert record.outcome is Outcome.REFUSED
        assert [step.result for step in record.steps] == ["done"]

    with_rig(main)


def test_a_stop_of_vtorc_amid_a_cancellation_is_heeded() -> None:
    """The recovery then ends with CancelledError, as any that a stop breaks off."""

    async def main(rig: Rig) -> None:
        case = Case(rig, hang)
        case.undo_takes = NEVER
        await asyncio.sleep(1.0)
        assert case.switch.cancel(WHY)
        await asyncio.sleep(1.0)
        case.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await case.running

    with_rig(main)


def test_a_second_cancellation_changes_nothing() -> None:
    """The first operator's reason stays."""

    async def main(rig: Rig) -> None:
        case = Case(rig, hang)
        await asyncio.sleep(1.0)
        assert case.switch.cancel(WHY)
        assert case.switch.cancel("bob asked for that")
        assert WHY in (await case.running).sentence

    with_rig(main)


def test_a_switch_that_was_used_lets_nothing_begin_or_become_final() -> None:
    """A recovery that is given it later raises at once, and one that runs does not pass its point of no return."""
    switch = CancelSwitch()
    assert switch.cancel(WHY)
    for go_on in (switch.begin, switch.pass_point_of_no_return):
        with pytest.raises(RecoveryCancelled, match="too late at night"):
            go_on()
