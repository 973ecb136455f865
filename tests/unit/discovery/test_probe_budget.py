"""The slots for questions to tablets: how many, in which order, and how they come back."""

import asyncio
from typing import Any

import pytest

from vtorc.discovery.probe_budget import CALLS, DIALS, HELD, Lane, ProbeBudget, ProbeSlot
from vtorc.sim.engine.loop import current_loop, run


class Questions:
    """Questions that take a slot of one budget, by name; `asked` has the names of those that got one."""

    def __init__(self, drag: float = 0.0) -> None:
        self.budget = ProbeBudget(current_loop().time, drag=lambda: drag)
        self.asked: list[str] = []
        self.slots: dict[str, ProbeSlot] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def ask(self, name: str, lane: Lane = Lane.CALM, *, dial: bool = False) -> None:
        """Ask as soon as there is a slot, and hold it."""
        slot = self.slots[name] = self.budget.new_slot()
        slot.move(lane)
        self.tasks[name] = asyncio.create_task(self._take(name, dial=dial), name=name)

    async def _take(self, name: str, *, dial: bool) -> None:
        await self.slots[name].take(dial=dial)
        self.asked.append(name)

    async def fill(self, *, dial: bool = False) -> list[ProbeSlot]:
        """Take all slots with questions of no name."""
        slots = [self.budget.new_slot() for _ in range(DIALS if dial else CALLS)]
        for slot in slots:
            await slot.take(dial=dial)
        return slots


async def settle() -> None:
    """Let all tasks go as far as they can at this instant."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_no_more_questions_are_under_way_than_there_are_slots() -> None:
    """Calls and dials have slots of their own, and the next question goes as soon as one is free."""

    async def main() -> None:
        questions = Questions()
        for number in range(CALLS + 1):
            questions.ask(f"call {number}")
        for number in range(DIALS + 1):
            questions.ask(f"dial {number}", dial=True)
        await settle()
        assert len(questions.asked) == CALLS + DIALS
        questions.slots["call 3"].free()
        await settle()
        assert questions.asked[CALLS + DIALS :] == [f"call {CALLS}"]
        questions.slots["dial 3"].free()
        await settle()
        assert questions.asked[CALLS + DIALS + 1 :] == [f"dial {DIALS}"]

    run(main())


def test_the_most_urgent_question_is_next_and_every_fourth_slot_goes_to_the_least_urgent() -> None:
    """Lost primaries come first and no lane starves; within a lane the first to come is the first to go."""

    async def main() -> list[str]:
        questions = Questions()
        held = await questions.fill()
        for number in range(3):
            questions.ask(f"calm {number}")
            questions.ask(f"suspected {number}", Lane.SUSPECTED)
            questions.ask(f"lost {number}", Lane.LOST_PRIMARY)
        await settle()
        for slot in held[:9]:
            slot.free()
            await settle()
        return questions.asked

    assert run(main()) == [
        *("lost 0", "lost 1", "lost 2", "calm 0"),
        *("suspected 0", "suspected 1", "suspected 2", "calm 1", "calm 2"),
    ]


def test_a_question_that_becomes_urgent_overtakes() -> None:
    """A question that waits is moved to the lane that its shard has by now, and leaves its old place."""

    async def main() -> list[str]:
        questions = Questions()
        held = await questions.fill()
        for number in range(3):
            questions.ask(f"calm {number}")
        await settle()
        questions.slots["calm 2"].move(Lane.LOST_PRIMARY)
        questions.slots["calm 2"].move(Lane.LOST_PRIMARY)
        for slot in held[:3]:
            slot.free()
            await settle()
        assert not any(slot.waits for slot in questions.slots.values())
        return questions.asked

    assert run(main()) == ["calm 2", "calm 0", "calm 1"]


def test_a_slot_that_was_free_is_no_turn_of_the_least_urgent_question() -> None:
    """Turns are counted among the questions that wait."""

    async def main() -> list[str]:
        questions = Questions()
        held = await questions.fill()
        for slot in held[:3]:
            slot.free()
            await slot.take(dial=False)
        for number in range(4):
            questions.ask(f"calm {number}")
            questions.ask(f"lost {number}", Lane.LOST_PRIMARY)
        await settle()
        for slot in held[:4]:
            slot.free()
            await settle()
        return questions.asked

    assert run(main()) == ["lost 0", "lost 1", "lost 2", "calm 0"]


def test_a_question_whose_urgency_stays_keeps_one_place() -> None:
    """A second place would stand there for the next question of its tablet, before those that came earlier."""

    async def main() -> list[str]:
        questions = Questions()
        held = await questions.fill()
        questions.ask("calm 0")
        for number in range(6):
            questions.ask(f"lost {number}", Lane.LOST_PRIMARY)
        await settle()
        questions.slots["calm 0"].move(Lane.CALM)
        for slot in held[:4]:
            slot.free()
            await settle()
        assert questions.asked[3:] == ["calm 0"]
        questions.ask("calm 1")
        await settle()
        questions.slots["calm 0"].free()
        again = asyncio.create_task(questions.slots["calm 0"].take(dial=False))
        for slot in held[4:7]:
            await settle()
            slot.free()
        await settle()
        assert not again.done()
        held[7].free()
        await again
        return questions.asked[4:]

    assert run(main()) == ["lost 3", "lost 4", "lost 5", "calm 1"]


def test_questions_that_wait_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost cell has a thousand questions wait, and its slots are looked at once when the first may be taken back."""

    async def main() -> None:
        questions = Questions()
        await questions.fill()
        set_: list[float] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(delay: float, *rest: Any) -> asyncio.TimerHandle:
            set_.append(delay)
            return call_later(delay, *rest)

        monkeypatch.setattr(loop, "call_later", noted)
        for number in range(5):
            questions.ask(f"calm {number}")
        await settle()
        assert set_ == [HELD]

    run(main())


def test_a_question_without_an_answer_frees_its_slot_soon() -> None:
    """Slots of tablets that are silent are taken back, the longest held first, and are not given back twice."""

    async def main() -> None:
        questions = Questions()
        held = await questions.fill(dial=True)
        questions.ask("waits", dial=True)
        await asyncio.sleep(HELD / 2)
        assert questions.asked == []
        await asyncio.sleep(HELD)
        assert questions.asked == ["waits"]
        for slot in held:
            slot.free()
            slot.free()
        for number in range(DIALS):
            questions.ask(f"then {number}", dial=True)
        await settle()
        assert len(questions.asked) == DIALS

    run(main())


def test_slots_are_held_longer_while_the_loop_is_late() -> None:
    """An answer takes longer to be read then: taking the slot back would put more to read before a late loop."""

    async def main() -> None:
        questions = Questions(drag=0.1)
        await questions.fill()
        questions.ask("waits")
        await asyncio.sleep(3.0)
        assert questions.asked == []
        await asyncio.sleep(0.1)
        assert questions.asked == ["waits"]

    run(main())


def test_a_question_that_is_given_up_takes_no_slot() -> None:
    """Neither one that is cancelled while it waits nor one that was just granted its slot keeps it."""

    async def main() -> None:
        questions = Questions()
        held = await questions.fill()
        for name in ("given up", "granted", "last"):
            questions.ask(name)
        await settle()
        questions.tasks["given up"].cancel()
        held[0].free()  # goes to "granted", which does not run before it is cancelled
        questions.tasks["granted"].cancel()
        await settle()
        assert questions.asked == ["last"]

    run(main())
