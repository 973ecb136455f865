"""Work under the shard lock call by call: how it ends, and what is put back when it breaks off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from tests.unit.core.builders import SHARD, alias, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, WALL, Rig, begun, unreachable, with_rig
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.errors import LockHeld, LockLost, TopoUnavailable
from vtorc.recovery import locked_run
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.locked_run import LOCK_CHECK_DEADLINE, LockedRun, LockedWorkResult
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.session import RecoverySession
from vtorc.sim.engine.loop import forever

TABLET = alias("zone1-101")
VIEW = shard(primary(), replica("zone1-101"))
OTHER = shard(replica("zone1-100"), primary("zone1-101", term=20), named="zone1-101", term=20)
NO_PRIMARY = shard(replica("zone1-100"), named=None)
BEGUN = begun(Recovery.RECOVER_DEAD_PRIMARY, code=Code.DEAD_PRIMARY, about=TABLET)
ROLL_BACK = "lock VTOrc Roll back"


class Watch:
    """The watch of one shard, which shows what was last read of it."""

    shard = SHARD

    def __init__(self) -> None:
        self.shown = VIEW

    def update(self, read: ShardView) -> None:
        """Show what was read."""
        self.shown = read

    def view(self) -> ShardView:
        """Return what is shown."""
        return self.shown


class Case:
    """One recovery under way: it expects the primary of VIEW, has changed one tablet, and then does its work."""

    def __init__(self, rig: Rig, work: Callable[[], Awaitable[LockedWorkResult]], *, changes: bool = True) -> None:
        self.rig, self.work, self.changes = rig, work, changes
        self.watch = Watch()
        self.undone: list[float] = []
        self.undo_takes = 0.0

    async def run(self) -> RecoveryRecord:
        """Run it under the lock of the rig."""
        return await LockedRun(self.rig.tools, cast(ShardWatch, self.watch)).run(BEGUN, self.rig.lock, self._work)

    async def _work(self, session: RecoverySession) -> LockedWorkResult:
        session.expect_primary(VIEW)
        session.winner = TABLET
        session.mark(OutageMark.STOPPED)
        if self.changes:
            session.on_abort("stop replication", TABLET, self._undo)
        return await self.work()

    async def _undo(self) -> None:
        await asyncio.sleep(self.undo_takes)
        self.undone.append(self.rig.tools.clock.now())


def failing(error: BaseException) -> Callable[[], Awaitable[LockedWorkResult]]:
    """Work that fails after a second."""

    async def work() -> LockedWorkResult:
        await asyncio.sleep(1.0)
        raise error

    return work


async def succeeding() -> LockedWorkResult:
    """Work that succeeds after a second."""
    await asyncio.sleep(1.0)
    return Outcome.SUCCEEDED, "it is done"


def hanging() -> Awaitable[LockedWorkResult]:
    """Work that never ends."""
    return forever()  # type: ignore[return-value]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Say what is read of the topology from now on."""

    def say(answer: object) -> None:
        async def read_shard(*_: object) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(locked_run, "read_shard", read_shard)

    return say


def test_work_that_succeeds_is_recorded_and_puts_nothing_back() -> None:
    """The record has purpose, times, outcome, and what the session collected."""

    async def main(rig: Rig) -> None:
        recovery = Case(rig, succeeding)
        record = await recovery.run()
        assert record == RecoveryRecord(
            shard=SHARD,
            recovery=Recovery.RECOVER_DEAD_PRIMARY,
            code=Code.DEAD_PRIMARY,
            alias=TABLET,
            began=WALL,
            duration=1.0,
            outcome=Outcome.SUCCEEDED,
            sentence="it is done",
            marks={"stopped": 0.0},
            winner=TABLET,
        )
        assert recovery.undone == []
        assert rig.held.calls == ["release"]
        assert len(asyncio.all_tasks()) == 1

    with_rig(main)


@pytest.mark.parametrize(
    ("error", "outcome", "sentence", "rule"),
    [
        (
            RecoveryRefused("not promoting", rule=Rule.NO_CANDIDATE),
            Outcome.REFUSED,
            "commerce/0: not promoting",
            Rule.NO_CANDIDATE,
        ),
        (RecoveryFailed("no disk"), Outcome.FAILED, "commerce/0: {recovery} failed: no disk", None),
        (unreachable("no route"), Outcome.FAILED, "commerce/0: {recovery} failed: no route", None),
        (TopoUnavailable("no topo"), Outcome.FAILED, "commerce/0: {recovery} failed: no topo", None),
        (TimeoutError(), Outcome.FAILED, "commerce/0: {recovery} failed: no answer in time", None),
        (
            LockLost("gone"),
            Outcome.LOCK_LOST,
            "commerce/0: the recovery was broken off, because the shard lock was lost: gone",
            None,
        ),
    ],
    ids=["refused", "failed", "tablet", "topology", "timeout", "lock lost"],
)
def test_work_that_breaks_off_is_put_back_under_the_lock(
    error: Exception, outcome: Outcome, sentence: str, rule: Rule | None
) -> None:
    """The lock is checked, the changes are put back, and then the lock is released."""

    async def main(rig: Rig) -> None:
        recovery = Case(rig, failing(error))
        record = await recovery.run()
        assert (record.outcome, record.rule) == (outcome, rule)
        assert record.sentence == sentence.format(recovery=Recovery.RECOVER_DEAD_PRIMARY.value)
        assert recovery.undone == [101.0]
        assert rig.held.calls == ["check", "release"]
        assert rig.topo.calls == []
        assert [step.name for step in record.steps] == ["undo: stop replication"]

    with_rig(main)


def test_the_record_of_a_refusal_has_what_the_election_found() -> None:
    """Operators read there which tablets were ruled out, which hold errant transactions, and what is waited for."""

    async def refuse(session: RecoverySession) -> LockedWorkResult:
        session.removed = {TABLET: "lags"}
        session.errant = {TABLET: gtids("101:1")}
        session.waits_for = {TABLET: gtids("100:1-60")}
        raise RecoveryRefused("not promoting", rule=Rule.APPLIER_BEHIND)

    async def main(rig: Rig) -> None:
        recovery = Case(rig, succeeding)
        recovery._work = refuse  # type: ignore[method-assign]
        record = await recovery.run()
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.APPLIER_BEHIND)
        assert record.removed == {TABLET: "lags"}
        assert record.errant == {TABLET: gtids("101:1")}
        assert record.waits_for == {TABLET: gtids("100:1-60")}

    with_rig(main)


def test_a_recovery_that_changed_nothing_checks_no_lock() -> None:
    """There is nothing to be put back."""

    async def main(rig: Rig) -> None:
        record = await Case(rig, failing(RecoveryFailed("no disk")), changes=False).run()
        assert record.outcome is Outcome.FAILED
        assert rig.held.calls == ["release"]

    with_rig(main)


def test_a_cancelled_recovery_is_put_back_first() -> None:
    """The cancellation goes on once that is done."""

    async def main(rig: Rig) -> None:
        recovery = Case(rig, hanging)
        running = asyncio.create_task(recovery.run())
        await asyncio.sleep(2.0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert recovery.undone == [102.0]
        assert rig.held.calls == ["check", "release"]

    with_rig(main)


def test_a_mistake_of_our_own_is_put_back_and_not_hidden() -> None:
    """The changes are put back under the lock, which is released, and the unexpected error is raised."""

    async def main(rig: Rig) -> None:
        recovery = Case(rig, failing(ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError):
            await recovery.run()
        assert recovery.undone == [101.0]
        assert rig.held.calls == ["check", "release"]

    with_rig(main)


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (LockHeld("shard", "vtorc-2"), Outcome.LOCK_HELD, "commerce/0: waiting, because another process holds"),
        (TopoUnavailable("no topo"), Outcome.FAILED, "commerce/0: the shard lock could not be taken: no topo"),
    ],
)
def test_no_work_is_done_without_the_lock(error: Exception, outcome: Outcome, text: str) -> None:
    """A lock of another process is no failure of this one."""

    async def main(rig: Rig) -> None:
        async def refuse() -> None:
            raise error

        rig.lock._take = refuse  # type: ignore[assignment]
        record = await Case(rig, failing(AssertionError("worked without the lock"))).run()
        assert record.outcome is outcome
        assert record.sentence.startswith(text)

    with_rig(main)


# The lock is lost


def test_a_step_under_way_is_cancelled_as_soon_as_the_lock_is_lost(reads: Callable[[object], None]) -> None:
    """What it changed is put back under a new lock, if the shard's primary is still the same."""

    async def main(rig: Rig) -> None:
        reads(VIEW)
        rig.held.tell("check", LockLost("gone"))
        recovery = Case(rig, hanging)
        asyncio.get_running_loop().call_later(3.0, rig.held.lost.set)
        record = await recovery.run()
        assert record.outcome is Outcome.LOCK_LOST
        assert "may have taken effect" in record.sentence
        assert rig.topo.calls == [ROLL_BACK]
        assert recovery.undone == [103.0]
        assert len(asyncio.all_tasks()) == 1

    with_rig(main)


def test_what_is_broken_off_has_ended_before_anything_is_put_back(reads: Callable[[object], None]) -> None:
    """A call that is still under way would meet the one that puts its change back."""

    async def slow_to_end() -> LockedWorkResult:
        try:
            return await hanging()
        finally:
            await asyncio.sleep(0.5)

    async def main(rig: Rig) -> None:
        reads(VIEW)
        rig.held.tell("check", LockLost("gone"))
        recovery = Case(rig, slow_to_end)
        asyncio.get_running_loop().call_later(3.0, rig.held.lost.set)
        assert (await recovery.run()).outcome is Outcome.LOCK_LOST
        assert recovery.undone == [103.5]

    with_rig(main)


@pytest.mark.parametrize(
    "read",
    [OTHER, shard(replica("zone1-100"), named=None), TopoUnavailable("no topo")],
    ids=["other", "none", "unread"],
)
def test_nothing_is_put_back_under_another_primary(reads: Callable[[object], None], read: object) -> None:
    """Nor if the records cannot be read: another vtorc may have promoted another tablet by then."""

    async def main(rig: Rig) -> None:
        reads(read)
        rig.held.tell("check", LockLost("gone"))
        recovery = Case(rig, hanging)
        rig.held.lost.set()
        await recovery.run()
        assert rig.topo.calls == [ROLL_BACK]
        assert recovery.undone == []

    with_rig(main)


def test_nothing_is_put_back_while_another_process_holds_the_lock(reads: Callable[[object], None]) -> None:
    """That process sees to the shard now."""

    async def main(rig: Rig) -> None:
        reads(VIEW)
        rig.topo.tell(ROLL_BACK, LockHeld("shard", "vtorc-2"))
        rig.held.tell("check", LockLost("gone"))
        recovery = Case(rig, hanging)
        rig.held.lost.set()
        assert (await recovery.run()).outcome is Outcome.LOCK_LOST
        assert recovery.undone == []

    with_rig(main)


@pytest.mark.parametrize("reply", [TopoUnavailable("no topo"), None], ids=["refused", "hangs"])
def test_a_topology_server_that_is_away_does_not_delay_a_rollback_while_the_lease_lasts(reply: object) -> None:
    """A primary that was made read-only must not stay so for as long as that; it is asked for a second at most."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", reply, takes=0.0 if reply else NEVER)
        recovery = Case(rig, failing(RecoveryFailed("no disk")))
        await recovery.run()
        assert recovery.undone == [pytest.approx(101.0 + (0.0 if reply else LOCK_CHECK_DEADLINE))]
        assert rig.topo.calls == []

    with_rig(main)


def test_a_vtorc_that_stood_still_puts_back_under_a_new_lock(reads: Callable[[object], None]) -> None:
    """Its lease has ended by the clock, though the task that keeps the lock has not come to see that."""

    async def main(rig: Rig) -> None:
        reads(VIEW)
        rig.held.runs_out = LockLost("ended")
        rig.held.tell("check", LockLost("no server confirmed it"))
        recovery = Case(rig, failing(RecoveryFailed("no disk")))
        assert (await recovery.run()).outcome is Outcome.FAILED
        assert rig.topo.calls == [ROLL_BACK]
        assert recovery.undone == [101.0]

    with_rig(main)


def test_a_rollback_ends_when_the_lock_is_lost() -> None:
    """A call that arrives later could undo the work of another vtorc."""

    async def main(rig: Rig) -> None:
        recovery = Case(rig, failing(RecoveryFailed("no disk")))
        recovery.undo_takes = 5.0
        asyncio.get_running_loop().call_later(3.0, rig.held.lost.set)
        record = await recovery.run()
        assert record.outcome is Outcome.FAILED
        assert recovery.undone == []
        assert record.duration == pytest.approx(3.0)

    with_rig(main)


def test_work_that_is_done_as_the_lock_is_lost_counts() -> None:
    """Its result is not thrown away."""

    async def main(rig: Rig) -> None:
        asyncio.get_running_loop().call_later(1.0, rig.held.lost.set)
        assert (await Case(rig, succeeding).run()).outcome is Outcome.SUCCEEDED

    with_rig(main)


def test_the_wait_for_the_lock_belongs_to_the_recovery() -> None:
    """It is part of an outage."""

    async def main(rig: Rig) -> None:
        take = rig.lock._take

        async def slow() -> object:
            await asyncio.sleep(4.0)
            return await take()

        rig.lock._take = slow  # type: ignore[assignment]
        assert (await Case(rig, succeeding).run()).duration == pytest.approx(5.0)

    with_rig(main)


def test_a_record_without_a_primary_expects_none(reads: Callable[[object], None]) -> None:
    """A recovery of a shard that had no primary is put back if it has none still."""

    async def main(rig: Rig) -> None:
        reads(NO_PRIMARY)
        rig.held.tell("check", LockLost("gone"))

        async def work(session: RecoverySession) -> LockedWorkResult:
            session.expect_primary(NO_PRIMARY)
            session.on_abort("stop replication", TABLET, recovery._undo)
            return await hanging()

        recovery = Case(rig, hanging)
        recovery._work = work  # type: ignore[method-assign]
        rig.held.lost.set()
        await recovery.run()
        assert recovery.undone == [100.0]

    with_rig(main)
