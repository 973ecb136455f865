"""What the demo keeps of what vtorc tells it."""

import asyncio

import pytest

from tests.unit.demo.shards import SHARD, A, B, C, cut_off, failing, healthy, judge, primary, replica, written
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.demo.board import Board, Mark, Sentence
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement


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
    """What is decided, what is gone and what was done each give one sentence, whose mark tells the kind."""
    heard: list[Sentence] = []
    board = Board(tell=heard.append)
    judgement = _dead()
    assert judgement.action is not None
    board.decided(judgement.decisions[0])
    board.started(judgement.action)
    board.finished(_record(Outcome.SUCCEEDED))
    board.cleared(judgement.decisions[0])
    assert [each.mark for each in heard] == [Mark.REPAIR, Mark.GOOD, Mark.GOOD]
    assert heard[0].text.endswith("replacing the primary")
    assert heard[2].text == "commerce/0: DeadPrimary of zone1-0000000101 is gone"
    assert list(board.sentences) == heard
    assert str(heard[1]).endswith("● it succeeded")


async def test_a_sentence_cannot_drive_the_terminal() -> None:
    """Line breaks and escape sequences that a server put into an error do not reach the screen."""
    board = Board()
    board.say(Mark.FAILED, "no\n\x1b[2Jway")
    assert board.sentences[0].text == "no  [2Jway"


async def test_a_replacement_has_its_times() -> None:
    """The decision, the beginning and the marks of a replacement of the primary lie on one clock, in that order."""
    board = Board()
    judgement = _dead()
    assert judgement.action is not None
    board.decided(judgement.decisions[0])
    board.started(judgement.action)
    assert board.running is judgement.action
    board.finished(_record(Outcome.SUCCEEDED, promoted=0.2))
    (replacement,) = board.replacements
    assert replacement.succeeded
    assert replacement.decided_at <= replacement.started_at
    assert replacement.marked_at("promoted") == pytest.approx(replacement.started_at + 0.2)
    assert replacement.marked_at("acknowledged") is None
    assert board.running is None


async def test_a_second_try_counts_from_the_first_decision() -> None:
    """A replacement that failed and is tried again was decided when it was decided first; one that was over, anew."""
    board = Board()
    judgement = _dead()
    assert judgement.action is not None
    board.decided(judgement.decisions[0])
    for outcome in (Outcome.FAILED, Outcome.SUCCEEDED, Outcome.SUCCEEDED):
        board.started(judgement.action)
        board.finished(_record(outcome))
    first, second, third = board.replacements
    assert not first.succeeded
    assert second.decided_at == first.decided_at
    assert third.decided_at > first.decided_at


async def test_waiting_ends_with_the_change_that_was_waited_for() -> None:
    """Whoever waits is asked again after each change, and gets what was found."""
    board = Board()
    waiting = asyncio.create_task(board.wait_for(lambda: board.judgement))
    board.say(Mark.GOOD, "nothing of interest")
    judgement = healthy()
    board.judged(judgement)
    assert await waiting is judgement


async def test_what_the_primary_said_is_remembered_for_comparison() -> None:
    """Each new answer of the primary is kept once, with its time."""
    board = Board()
    board.judged(healthy())
    board.judged(healthy())
    board.judged(judge(primary(at=99.8, executed=written(70)), replica(B), replica(C)))
    assert [(sample.at, sample.executed.count()) for sample in board.samples] == [(99.0, 50), (99.8, 70)]
