"""Requests of the server to vtorc, each until its reply."""

import asyncio

import msgspec

from tests.unit.server.told import CALLER
from vtorc.forms.frames import REFUSED, ProblemForm, RefusalForm, ReplyFrame, RequestFrame, decode_request
from vtorc.server.channel import FrameCutter
from vtorc.server.requests import MOST_AT_A_TIME, REPORTS_AT_ONCE, Requests


class Sent:
    """Keeps the requests that were written."""

    def __init__(self) -> None:
        self._cutter = FrameCutter(1 << 20)
        self.requests: list[RequestFrame] = []

    def write(self, data: bytes) -> None:
        """Take bytes of the channel."""
        self.requests += [decode_request(frame) for frame in self._cutter.feed(data)]


def _reply(id_: int) -> ReplyFrame:
    return ReplyFrame(id=id_, status=200, body=msgspec.Raw(b"{}"))


async def test_each_request_gets_its_own_reply() -> None:
    """Replies may come in any order, and those that are not waited for are of no use."""
    sent = Sent()
    requests = Requests(sent.write)
    asking = [asyncio.create_task(requests(kind, {}, caller=CALLER, key="")) for kind in ("plan", "cancel")]
    await asyncio.sleep(0)  # each has its turn, and is sent
    assert [request.kind for request in sent.requests] == ["plan", "cancel"]
    for number in (99, *(request.id for request in reversed(sent.requests))):
        requests.take(_reply(number))
    assert [(await each).id for each in asking] == [request.id for request in sent.requests]


async def test_a_channel_that_is_closed_already_is_no_mistake() -> None:
    """vtorc was killed, and this process ends in a moment: the client's connection is cut off then."""

    def write(data: bytes) -> None:
        raise RuntimeError("the handler is closed")

    requests = Requests(write, patience=0.01)
    reply = await requests("plan", {}, caller=CALLER, key="")
    assert reply.status == 504
    requests.report("GET /api/v1/audit", CALLER, msgspec.json.decode(reply.body, type=ProblemForm))


async def test_a_request_without_a_reply_ends() -> None:
    """Without a reply in time the answer is 504, which leaves open whether it was carried out."""
    reply = await Requests(Sent().write, patience=0.01)("execute", {}, caller=CALLER, key="")
    assert reply.status == 504
    assert "may have been carried out" in msgspec.json.decode(reply.body, type=ProblemForm).why


async def test_no_more_requests_are_on_their_way_than_may() -> None:
    """A further request is refused at once, and not sent."""
    sent = Sent()
    requests = Requests(sent.write)
    asking = [asyncio.create_task(requests("plan", {}, caller=CALLER, key="")) for _ in range(MOST_AT_A_TIME)]
    await asyncio.sleep(0)  # each has its turn, and is sent
    assert (await requests("plan", {}, caller=CALLER, key="")).status == 503
    for request in sent.requests:
        requests.take(_reply(request.id))
    await asyncio.gather(*asking)
    assert len(sent.requests) == MOST_AT_A_TIME


async def test_refusals_that_come_too_fast_are_only_counted() -> None:
    """vtorc hears of some at once and of the others' number later, so that refusing costs it nothing."""
    sent, now = Sent(), 100.0
    requests = Requests(sent.write, clock=lambda: now)
    problem = ProblemForm(title="t", status=403, what="w", why="y", do="d")
    for _ in range(REPORTS_AT_ONCE + 7):
        requests.report("cancel", CALLER, problem)
    assert len(sent.requests) == REPORTS_AT_ONCE
    now += 1.0
    requests.report("cancel", CALLER, problem)
    assert {request.kind for request in sent.requests} == {REFUSED}
    told = msgspec.convert(sent.requests[-1].arguments, RefusalForm)
    assert (told.action, told.problem, told.unlisted) == ("cancel", problem, 7)
