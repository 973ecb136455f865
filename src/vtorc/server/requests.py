"""The server's requests to vtorc that are on their way, each until its reply comes."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import msgspec

from vtorc.forms.access import Caller
from vtorc.forms.frames import REFUSED, ProblemForm, RefusalForm, ReplyFrame, RequestFrame, encode
from vtorc.server.channel import framed

PATIENCE = 30.0
"""Seconds until a request counts as not answered."""

MOST_AT_A_TIME = 64
"""Requests on their way at a time."""

REPORTS_AT_ONCE = 30
"""Refusals that vtorc is told of without a pause."""

REPORTS_A_SECOND = 2.0
"""Refusals that it is told of in the long run."""


class Requests:
    """A `Forward` over the channel."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send through `write`, which returns at once, and wait for a reply for `patience` seconds."""
        self._write = write
        self._patience = patience
        self._clock = clock
        self._reports = float(REPORTS_AT_ONCE)
        self._reported_at = clock()
        self._unlisted = 0
        self._number = 0
        self._waiting: dict[int, asyncio.Future[ReplyFrame]] = {}

    async def __call__(self, kind: str, arguments: dict[str, object], *, caller: Caller, key: str) -> ReplyFrame:
        """Return vtorc's reply; 503 if too many requests are on their way, 504 if none comes in time."""
        self._number += 1
        number = self._number
        if len(self._waiting) >= MOST_AT_A_TIME:
            return problem_reply(_too_many(), id_=number)
        request = RequestFrame(id=number, kind=kind, arguments=arguments, caller=caller, key=key)
        reply: asyncio.Future[ReplyFrame] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            self._send(request)
            async with asyncio.timeout(self._patience):
                return await reply
        except TimeoutError:
            return problem_reply(_no_reply(self._patience), id_=number)
        finally:
            del self._waiting[number]

    def report(self, action: str, caller: Caller, problem: ProblemForm) -> None:
        """Tell vtorc that a request was refused; those that come too fast are only counted, to cost vtorc nothing."""
        now = self._clock()
        self._reports = min(REPORTS_AT_ONCE, self._reports + REPORTS_A_SECOND * (now - self._reported_at))
        self._reported_at = now
        if self._reports < 1:
            self._unlisted += 1
            return
        self._reports -= 1
        self._number += 1
        told = RefusalForm(action=action, problem=problem, unlisted=self._unlisted)
        arguments = msgspec.to_builtins(told)
        self._unlisted = 0
        self._send(RequestFrame(id=self._number, kind=REFUSED, arguments=arguments, caller=caller))

    def take(self, reply: ReplyFrame) -> None:
        """Take a reply; one that is not waited for any more is of no use."""
        waiting = self._waiting.get(reply.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)

    def _send(self, request: RequestFrame) -> None:
        with contextlib.suppress(RuntimeError, OSError):  # vtorc has ended, and this process ends in a moment
            self._write(framed(encode(request)))


def problem_reply(problem: ProblemForm, *, id_: int = 0) -> ReplyFrame:
    """Return a reply of the server's own."""
    return ReplyFrame(id=id_, status=problem.status, body=msgspec.Raw(msgspec.json.encode(problem)))


def _too_many() -> ProblemForm:
    return ProblemForm(
        title="too many requests",
        status=503,
        what="the request was not sent to vtorc",
        why=f"{MOST_AT_A_TIME} requests wait for an answer already",
        do="send it again in a second",
    )


def _no_reply(patience: float) -> ProblemForm:
    return ProblemForm(
        title="no answer",
        status=504,
        what=f"vtorc did not answer within {patience:g} s",
        why="it is stopped or very busy; the request may have been carried out all the same",
        do="look at the shard before you send it again",
    )
