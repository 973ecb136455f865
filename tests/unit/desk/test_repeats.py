"""A request that is sent again under its key."""

import asyncio

import msgspec
import pytest

from tests.unit.desk.requests import caller
from vtorc.desk.problems import DeskRefusal
from vtorc.desk.repeats import KEPT, LASTS, Repeats
from vtorc.forms.access import Caller
from vtorc.forms.frames import ReplyFrame, RequestFrame

ANN = caller("ann")


class Working:
    """Counts how often work was done, under a clock that a test moves."""

    def __init__(self, status: int = 202) -> None:
        self.time = 100.0
        self.done = 0
        self.status = status
        self.gate = asyncio.Event()
        self.gate.set()
        self.repeats = Repeats(lambda: self.time)

    async def ask(self, key: str, *, by: Caller = ANN, id_: int = 1, plan: str = "1") -> ReplyFrame:
        """Ask for one execution."""
        request = RequestFrame(id=id_, kind="execute", arguments={"plan": plan}, caller=by, key=key)

        async def work() -> ReplyFrame:
            await self.gate.wait()
            self.done += 1
            return ReplyFrame(id=id_, status=self.status, body=msgspec.Raw(b'{"n":%d}' % self.done))

        return await self.repeats.answer(request, work)


async def test_the_same_key_is_carried_out_once() -> None:
    """The second answer is the first one, under the number of its own request."""
    working = Working()
    first, second = await working.ask("k"), await working.ask("k", id_=2)
    assert working.done == 1
    assert (second.id, second.status, bytes(second.body)) == (2, first.status, bytes(first.body))


async def test_a_request_that_is_under_way_is_waited_for() -> None:
    """A client that gave up and sent it again gets the answer of the first one."""
    working = Working()
    working.gate.clear()
    first, second = asyncio.create_task(working.ask("k")), asyncio.create_task(working.ask("k", id_=2))
    await asyncio.sleep(0)
    working.gate.set()
    assert bytes((await first).body) == bytes((await second).body)
    assert working.done == 1


async def test_each_operator_has_keys_of_its_own() -> None:
    """A key that another operator used is a new one; without a key nothing is kept."""
    working = Working()
    await working.ask("k")
    await working.ask("k", by=caller("bob"))
    await working.ask("")
    await working.ask("")
    assert working.done == 4


async def test_a_key_of_another_request_is_refused() -> None:
    """The client has made a mistake, and would take the wrong answer for its own."""
    working = Working()
    await working.ask("k")
    with pytest.raises(DeskRefusal) as caught:
        await working.ask("k", plan="2")
    assert (caught.value.form.status, working.done) == (422, 1)


async def test_a_refusal_is_not_kept() -> None:
    """It has changed nothing, and the next try may be taken."""
    working = Working(status=409)
    await working.ask("k")
    working.status = 202
    assert (await working.ask("k")).status == 202


async def test_an_answer_is_kept_for_a_while() -> None:
    """Later the same key is a new request, and never more answers are kept than a bound says."""
    working = Working()
    await working.ask("k")
    working.time += LASTS
    await working.ask("k")
    assert working.done == 2
    for number in range(KEPT + 1):
        await working.ask(f"k{number}")
    await working.ask("k")
    assert working.done == 2 + KEPT + 1 + 1
