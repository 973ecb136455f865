"""The demo's observer keeps what vtorc reports."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.core.builders import hold
from tests.unit.demo.shards import SHARD, A, B, C, cut_off, failing, healthy, judge, primary, replica, written
from vtorc.control.hold_book import HoldChange, HoldNews
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.holds import Effect
from vtorc.demo.demo_observer import DemoObserver, Mark, Sentence
from vtorc.recovery.outage_marks import OutageMark
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement, begun_with


def _dead() -> Judgement:
    return judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C)))


def _record(outcome: Outcome, **marks: float) -> RecoveryRecord:
    return RecoveryRecord(
        shard=SHARD,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        code=Code.DEAD_PRIMARY,
        alias=A,
        began=0,
        duration=0.3,
        outcome=outcome,
        sentence=f"it {outcome.value}",
        marks=marks,
    )


async def test_every_sentence_is_kept_and_passed_on_with_a_mark() -> None:
    """A decision, the end of a problem and the end of a recovery each give one sentence, with a mark for its kind."""
    heard: list[Sentence] = []
    observer = DemoObserver(on_sentence=heard.append)
    judgement = _dead()
    assert judgement.action is not None
    observer.decided(judgement.decisions[0])
    observer.started(begun_with(judgement.action, began=0))
    observer.finished(_record(Outcome.SUCCEEDED))
    observer.cleared(judgement.decisions[0])
    assert [each.mark for each in heard] == [Mark.REPAIR, Mark.GOOD, Mark.GOOD]
    assert heard[0].text.endswith("replacing the primary")
    assert heard[2].text == "commerce/0: DeadPrimary of zone1-0000000101 is gone"
    assert list(observer.sentences) == heard
    assert str(heard[1]).endswith("● it succeeded")


async def test_a_sentence_cannot_drive_the_terminal() -> None:
    """Line breaks and escape sequences in a server's error do not reach the screen."""
    observer = DemoObserver()
    observer.say(Mark.FAILED, "no\n\x1b[2Jway")
    assert observer.sentences[0].text == "no  [2Jway"


async def test_a_replacement_has_its_times() -> None:
    """The decision, the start and the marks of a replacement of the primary have times on one clock, in that order."""
    observer = DemoObserver()
    judgement = _dead()
    assert judgement.action is not None
    observer.decided(judgement.decisions[0])
    observer.started(begun_with(judgement.action, began=0))
    assert observer.running == begun_with(judgement.action, began=0)
    observer.finished(_record(Outcome.SUCCEEDED, promoted=0.2))
    (replacement,) = observer.replacements
    assert replacement.succeeded
    assert replacement.decided_at <= replacement.started_at
    assert replacement.marked_at(OutageMark.PROMOTED) == pytest.approx(replacement.started_at + 0.2)
    assert replacement.marked_at(OutageMark.ACKNOWLEDGED) is None
    assert observer.running is None


@pytest.mark.parametrize("recovery", [Recovery.PLANNED_REPARENT, Recovery.EMERGENCY_REPARENT])
async def test_a_move_is_kept_with_its_times(recovery: Recovery) -> None:
    """A move that an operator asks for has the moments of its record too, and counts as decided when it begins."""
    observer = DemoObserver()
    judgement = _dead()
    assert judgement.action is not None
    moved = replace(_record(Outcome.SUCCEEDED, demoted=0.1), recovery=recovery, code=None)
    observer.started(replace(begun_with(judgement.action, began=0), recovery=recovery))
    observer.finished(moved)
    (replacement,) = observer.replacements
    assert replacement.decided_at == replacement.started_at
    assert replacement.marked_at(OutageMark.DEMOTED) == pytest.approx(replacement.started_at + 0.1)


async def test_a_second_try_counts_from_the_first_decision() -> None:
    """A replacement that is tried again after a failure keeps the time of its first decision; one after a success gets
    its own.
    """
    observer = DemoObserver()
    judgement = _dead()
    assert judgement.action is not None
    observer.decided(judgement.decisions[0])
    for outcome in (Outcome.FAILED, Outcome.SUCCEEDED, Outcome.SUCCEEDED):
        observer.started(begun_with(judgement.action, began=0))
        observer.finished(_record(outcome))
    first, second, third = observer.replacements
    assert not first.succeeded
    assert second.decided_at == first.decided_at
    assert third.decided_at > first.decided_at


async def test_waiting_ends_with_the_change_that_was_waited_for() -> None:
    """A waiting task calls its condition after each change, and returns the condition's result."""
    observer = DemoObserver()
    waiting = asyncio.create_task(observer.wait_for(lambda: observer.judgement))
    observer.say(Mark.GOOD, "nothing of interest")
    judgement = healthy()
    observer.judged(judgement)
    assert await waiting is judgement


async def test_what_the_primary_said_is_remembered_for_comparison() -> None:
    """Each new status of the primary is kept once, with its time."""
    observer = DemoObserver()
    observer.judged(healthy())
    observer.judged(healthy())
    observer.judged(judge(primary(at=99.8, executed=written(70)), replica(B), replica(C)))
    assert [(sample.at, sample.executed.count()) for sample in observer.samples] == [(99.0, 50), (99.8, 70)]


def test_a_hold_is_shown_when_it_begins_and_ends() -> None:
    """The one that is lifted is good news, as vtorc acts again."""
    observer = DemoObserver()
    for change in (HoldChange.ADDED, HoldChange.EXPIRED):
        observer.held(HoldNews(hold(Effect.NO_REPAIR), change))
    assert [sentence.mark for sentence in observer.sentences] == [Mark.NO_ACTION, Mark.GOOD]
    assert all("hold 3 of ann" in sentence.text for sentence in observer.sentences)
