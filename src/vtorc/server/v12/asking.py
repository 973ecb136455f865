"""How handlers ask vtorc for what acts, and wait for the record of a recovery that they began."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from vtorc.forms.frames import AnyFrame, ProblemForm, RecoveryFrame, ReplyFrame, ShardFrame
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.answers import V12Error
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Server, alias_of

ACTOR = "orchestrator API"
"""How vtorc records the operator: v12's dialect does not tell more."""

RECORD_WITHIN = 2.0
"""Seconds in which the record of a recovery comes after the recovery is shown no more as one in progress."""

NEWS_WITHIN = 2.0
"""Most seconds until vtorc tells what a recovery has changed."""

UNAUTHORIZED = "Unauthorized"
"""The message by which v12 refused operators without the right."""

Body = TypeVar("Body")


class _Begun(msgspec.Struct, frozen=True):
    """The answer to an execution."""

    recovery: RunningForm


async def begin_and_wait(call: Call, shard: str, kind: str, arguments: dict[str, object]) -> RecoveryForm:
    """Ask for what begins a recovery of a shard, and return its record once it ended; raises V12Error."""
    with _Records(call.memory, shard) as records:
        begun = decoded(await ask(call, kind, arguments), _Begun)
        try:
            async with asyncio.timeout(call.tools.patience):
                return await records.begun(begun.recovery.began)
        except TimeoutError:
            raise V12Error(
                f"the recovery of {shard} goes on after {call.tools.patience:g} s: follow it by"
                f" /api/audit-recovery/alias/{alias_of(shard)}"
            ) from None


async def news_of(call: Call, alias: str, expected: Callable[[Server], bool]) -> Server:
    """Return what is known of a tablet, as soon as it is as expected, or as it is after a while.

    vtorc tells of its shards a moment after the record of a recovery.
    """
    told = asyncio.Event()
    stop = call.memory.listen(lambda _: told.set())
    try:
        async with asyncio.timeout(NEWS_WITHIN):
            while not expected(call.tools.book.now.of_tablet(alias)):
                told.clear()
                await told.wait()
    except TimeoutError:
        pass
    finally:
        stop()
    return call.tools.book.now.of_tablet(alias)


def reason_of(call: Call) -> str:
    """Return the reason that vtorc records: the command, as v12's dialect asks for none."""
    return f"{call.path.partition('/')[0]} by the API of orchestrator"


async def ask(call: Call, kind: str, arguments: dict[str, object]) -> ReplyFrame:
    """Return vtorc's reply to a request."""
    return await call.tools.ask(kind, arguments, actor=ACTOR, origin=call.origin)


def checked(reply: ReplyFrame) -> ReplyFrame:
    """Return a reply that is no refusal; raises V12Error with what a refusal says."""
    if reply.status < 400:
        return reply
    problem = _as(reply, ProblemForm)
    sentence = ". ".join(filter(None, (problem.what, problem.why, problem.do)))
    if reply.status in (401, 403):
        raise V12Error(UNAUTHORIZED, details=sentence)
    raise V12Error(sentence)


def decoded(reply: ReplyFrame, kind: type[Body]) -> Body:
    """Return the body of a reply; raises V12Error for a refusal, and for a body that is none of that kind."""
    return _as(checked(reply), kind)


def _as(reply: ReplyFrame, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError as error:
        raise V12Error(f"vtorc's reply with status {reply.status} is no {kind.__name__.lstrip('_')}: {error}") from None


class _Records:
    """The recoveries of one shard that end while it is open."""

    def __init__(self, memory: ServerMemory, shard: str) -> None:
        self._memory = memory
        self._shard = shard
        self._ended: asyncio.Queue[RecoveryForm | RunningForm] = asyncio.Queue()
        self._shown: RunningForm | None = None
        self._stop: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._stop = self._memory.listen(self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stop is not None:
            self._stop()

    async def begun(self, at: str) -> RecoveryForm:
        """Return the one that began then, once it ended; raises V12Error if it went away without a record."""
        while (ended := await self._ended.get()).began != at:
            pass
        if isinstance(ended, RunningForm):
            raise V12Error(f"the recovery of {self._shard} was broken off, and left no record: see the log of vtorc")
        return ended

    def _hear(self, frame: AnyFrame) -> None:
        match frame:
            case RecoveryFrame(recovery=recovery) if recovery.shard == self._shard:
                self._ended.put_nowait(recovery)
            case ShardFrame(shard=shard) if shard.name == self._shard:
                self._see(shard.running)
            case _:
                pass

    def _see(self, running: RunningForm | None) -> None:
        """End the wait some time after a recovery has gone away: news of the shard may overtake its record."""
        if running is None and self._shown is not None:
            asyncio.get_running_loop().call_later(RECORD_WITHIN, self._ended.put_nowait, self._shown)
        self._shown = running
