"""Answers a request that is sent again under the same key (Idempotency-Key) with the first answer."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from msgspec import structs

from vtorc.desk.problems import DeskRefusal
from vtorc.forms.frames import ReplyFrame, RequestFrame

LASTS = 600.0
"""Seconds for which an answer is kept."""

KEPT = 1000
"""How many answers are kept; then the oldest is forgotten."""

Work = Callable[[], Awaitable[ReplyFrame]]

_Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _First:
    """The first request of a key."""

    request: bytes
    """The request."""
    reply: "asyncio.Future[ReplyFrame]"
    """Its answer, once there is one."""
    at: float
    """When it came, in seconds on the clock."""


class Repeats:
    """Keeps the answers to requests with keys; a refusal is not kept, because it has changed nothing."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._first: OrderedDict[_Name, _First] = OrderedDict()

    async def answer(self, request: RequestFrame, work: Work) -> ReplyFrame:
        """Return the answer of `work`, or the earlier one of the same key; raises DeskRefusal for a key of another."""
        if not request.key:
            return await work()
        name = (request.caller.means.value, request.actor, request.key)
        asked = msgspec.json.encode([request.kind, request.arguments], order="sorted")
        self._forget_old()
        if (first := self._first.get(name)) is not None:
            if first.request != asked:
                raise DeskRefusal.argument("Idempotency-Key", request.key, "a key that no other request had")
            return structs.replace(await asyncio.shield(first.reply), id=request.id)
        reply: asyncio.Future[ReplyFrame] = asyncio.get_running_loop().create_future()
        self._first[name] = _First(asked, reply, self._now())
        try:
            found = await work()
        except BaseException:
            del self._first[name]
            reply.cancel()
            raise
        reply.set_result(found)
        if found.status >= 400:
            self._first.pop(name, None)
        return found

    def _forget_old(self) -> None:
        while self._first:
            name, first = next(iter(self._first.items()))
            if len(self._first) <= KEPT and self._now() - first.at < LASTS:
                return
            del self._first[name]
