"""The steps of a recovery: their deadlines, their record, and the order of a rollback."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.core.builders import alias, gtids, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, Rig, in_session, unreachable
from vtorc.core.election.choice import Refusal
from vtorc.core.facts.rules import Rule
from vtorc.errors import LockLost, TabletCallFailed
from vtorc.recovery.errors import RecoveryFailed
from vtorc.sim.engine.loop import forever

TABLET, OTHER = alias("zone1-101"), alias("zone1-102")


async def answer_after(seconds: float, answer: str = "answer") -> str:
    """Answer after a while."""
    await (forever() if seconds == NEVER else asyncio.sleep(seconds))
    return answer


def test_a_step_is_recorded_with_its_times_and_result() -> None:
    """The record has name, target, beginning since the recovery began, and duration."""

    async def main(rig: Rig) -> None:
        await asyncio.sleep(2.0)
        assert await rig.session.step("ask", TABLET, answer_after(3.0)) == "answer"
        (step,) = rig.session.steps
        assert (step.name, step.target, step.result) == ("ask", TABLET, "done")
        assert [step.started, step.duration] == pytest.approx([2.0, 3.0])
        assert rig.session.elapsed() == pytest.approx(5.0)

    in_session(main)


@pytest.mark.parametrize(("deadline", "limit"), [(None, 15.0), (1.0, 1.0), (20.0, 20.0)])
def test_a_step_ends_at_its_deadline(deadline: float | None, limit: float) -> None:
    """Without a deadline of its own a step gets that of one call."""

    async def main(rig: Rig) -> None:
        with pytest.raises(TimeoutError):
            await rig.session.step("ask", TABLET, forever(), deadline=deadline)
        assert rig.session.steps[0].duration == pytest.approx(limit)
        assert rig.session.steps[0].result == "no answer in time"

    in_session(main)


@pytest.mark.parametrize("deadline", [None, 0.5])
def test_a_step_that_can_be_done_without_gives_none(deadline: float | None) -> None:
    """A failure and a missing answer are in the record, and do not end the recovery."""

    async def main(rig: Rig) -> None:
        fails = rig.tablets.answer("ask", default=unreachable("no route"))
        assert await rig.session.try_step("ask", TABLET, fails) is None
        assert await rig.session.try_step("wait", OTHER, answer_after(NEVER), deadline=deadline) is None
        assert await rig.session.try_step("read", OTHER, answer_after(0.1), deadline=deadline) == "answer"
        assert [each.result for each in rig.session.steps] == ["no route", "no answer in time", "done"]
        assert rig.session.steps[1].duration == pytest.approx(deadline or 15.0)
        assert [each.target for each in rig.session.steps] == [TABLET, OTHER, OTHER]

    in_session(main)


def test_an_error_that_is_no_tablets_ends_the_recovery() -> None:
    """Only errors of tablets and missing answers can be done without."""

    async def main(rig: Rig) -> None:
        with pytest.raises(LockLost):
            await rig.session.try_step("ask", TABLET, rig.tablets.answer("ask", default=LockLost("gone")))

    in_session(main)


def test_a_cancelled_step_is_recorded() -> None:
    """A call that was cancelled may have been carried out."""

    async def main(rig: Rig) -> None:
        task = asyncio.create_task(rig.session.step("ask", TABLET, forever()))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert rig.session.steps[0].result == "cancelled"
        assert rig.session.steps[0].duration == pytest.approx(1.0)

    in_session(main)


def test_the_check_of_the_lock_has_a_deadline() -> None:
    """A topology server that hangs does not hold up a recovery for longer than that."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", takes=NEVER)
        with pytest.raises(TimeoutError):
            await rig.session.check_lock()
        (step,) = rig.session.steps
        assert (step.name, step.target) == ("check lock", None)
        assert step.duration == pytest.approx(rig.deadlines.check_lock)

    in_session(main)


# Rollback


def noting(
    done: list[str], name: str, takes: float = 0.0, error: Exception | None = None
) -> Callable[[], Awaitable[None]]:
    """An undo that takes a while and may fail."""

    async def undo() -> None:
        await asyncio.sleep(takes)
        done.append(name)
        if error is not None:
            raise error

    return undo


def test_a_rollback_undoes_the_newest_change_of_a_tablet_first_and_all_tablets_at_once() -> None:
    """A failed undo does not keep the others from being done, and nothing is undone twice."""

    async def main(rig: Rig) -> None:
        done: list[str] = []
        rig.session.on_abort("stop", TABLET, noting(done, "first", takes=1.0))
        rig.session.on_abort("stop", OTHER, noting(done, "other", takes=1.5))
        rig.session.on_abort("demote", TABLET, noting(done, "second", takes=1.0, error=unreachable("no route")))
        assert rig.session.can_undo
        await rig.session.roll_back()
        assert done == ["second", "other", "first"]
        assert rig.steps == [f"undo: demote {TABLET} !", f"undo: stop {OTHER}", f"undo: stop {TABLET}"]
        assert rig.session.elapsed() == pytest.approx(2.0)
        assert not rig.session.can_undo
        await rig.session.roll_back()
        assert len(done) == 3

    in_session(main)


def test_a_rollback_ends_at_its_deadline() -> None:
    """A tablet that hangs does not keep the shard locked."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, undo=3.0))
        rig.session.on_abort("stop", TABLET, forever)
        await rig.session.roll_back()
        assert rig.session.elapsed() == pytest.approx(3.0)

    in_session(main)


def test_what_was_forgotten_is_not_undone() -> None:
    """From a promotion on there is no way back."""

    async def main(rig: Rig) -> None:
        done: list[str] = []
        rig.session.on_abort("stop", TABLET, noting(done, "first"))
        rig.session.forget_undo()
        assert not rig.session.can_undo
        await rig.session.roll_back()
        assert done == []

    in_session(main)


# What the record takes


def test_a_refusal_is_recorded_with_what_kept_tablets_from_stopping() -> None:
    """The sentence names the tablets that were reached and did not stop, ordered by name."""

    async def main(rig: Rig) -> None:
        rig.session.stop_errors = {OTHER: "second", TABLET: "first"}
        errant = {OTHER: gtids("102:1")}
        error = rig.session.refuse(
            Refusal(rule=Rule.NO_CANDIDATE, sentence="no tablet", removed={TABLET: "lags"}, errant=errant)
        )
        assert str(error) == f"no tablet; {TABLET} did not stop: first; {OTHER} did not stop: second"
        assert error.rule is Rule.NO_CANDIDATE
        assert rig.session.removed == {TABLET: "lags"}
        assert rig.session.errant == errant
        assert isinstance(rig.session.fail("sentence"), RecoveryFailed)
        assert str(rig.session.fail("sentence")) == "sentence"

    in_session(main)


def test_the_primary_that_is_acted_on_is_remembered() -> None:
    """A rollback that finds another primary puts nothing back; a shard without one expects none."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica("zone1-101"))
        rig.session.expect_primary(view)
        assert view.primary is not None
        assert rig.session.expected_primary == view.primary.record
        rig.session.expect_primary(shard(replica("zone1-101")))
        assert rig.session.expected_primary is None

    in_session(main)


def test_an_unexpected_error_is_recorded_in_its_words() -> None:
    """The record has the text of the error."""

    async def main(rig: Rig) -> None:
        with pytest.raises(TabletCallFailed):
            await rig.session.step("ask", TABLET, rig.tablets.answer("ask", default=TabletCallFailed("syntax error")))
        assert rig.session.steps[0].result == "syntax error"

    in_session(main)
