"""`/api/v1/events`: what changes, as server-sent events that end before a slow listener costs anything."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vtorc.forms.frames import ProblemForm
from vtorc.server.answers import problem_answer
from vtorc.server.memory import ServerMemory
from vtorc.server.slow_client import SlowClient
from vtorc.server.v1.changes import NAMES, Change, Changes, Wanted, event
from vtorc.server.v1.endpoints import PREFIX, Query, bad_input

MOST_LISTENERS = 128

HEARTBEAT_EVERY = 1.0
"""Seconds between two heartbeats."""

TOGETHER_EVERY = 0.1
"""Seconds between two moments at which changes are sent, to all listeners at once and as one piece. Beside a fleet of
3,000 shards, a hundred listeners that got each change by itself took all of a processor.
"""

TAKES_WITHIN = 5.0
"""Seconds that a listener may take for a write before it is dropped."""

KINDS = frozenset({*NAMES.values(), "heartbeat"})

_HEAD = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}


class EventsQuery(Query, frozen=True, kw_only=True):
    """Which events to send."""

    shard: str | None = None
    """All of this shard, as `keyspace/shard`, beside those of the whole fleet. None for all shards: each is told as its
    row in the list of shards, when that has changed."""
    kinds: str | None = None
    """The names of events with commas between them; None for all."""
    since: int | None = None
    """The revision to go on from; the header Last-Event-ID takes precedence. None for now."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """The request of a listener."""

    wanted: Wanted
    """The changes that it wants."""
    since: int | None
    """The revision to go on from; None for now."""

    @classmethod
    def of(cls, query: EventsQuery, last: str) -> Self:
        """Return what a query asks for, and the header Last-Event-ID; raises ValueError for what there is not."""
        kinds = KINDS if query.kinds is None else frozenset(query.kinds.split(","))
        if unknown := sorted(kinds - KINDS):
            raise ValueError(f"{unknown[0][:40]!r} is no kind of event, expected {', '.join(sorted(KINDS))}")
        if last and not (last.isascii() and last.isdigit()):
            raise ValueError(f"Last-Event-ID is {last[:40]!r}, expected the id of an event")
        return cls(Wanted(query.shard, kinds), int(last) if last else query.since)


class Events:
    """Sends the changes of a memory to its listeners."""

    def __init__(self, memory: ServerMemory, *, most: int = MOST_LISTENERS, takes_within: float = TAKES_WITHIN) -> None:
        self._memory = memory
        self._changes = Changes(memory)
        self._most = most
        self._takes_within = takes_within
        self.listeners = 0
        """How many listen at the moment."""

    def route(self) -> Route:
        """Return the route of the events."""
        return Route(f"{PREFIX}/events", self._answer, methods=["GET"])

    async def _answer(self, request: Request) -> Response:
        try:
            query = msgspec.convert(dict(request.query_params), EventsQuery, strict=False)
            subscription = Subscription.of(query, request.headers.get("last-event-id", ""))
        except ValueError as error:  # a ValidationError is one
            return problem_answer(bad_input("query", str(error), allowed=EventsQuery.__struct_fields__))
        if request.method == "HEAD":
            return Response(headers=_HEAD)
        if self.listeners >= self._most:
            return problem_answer(_too_many(self._most))
        return _EventStream(self, subscription)

    async def stream(self, send: Send, subscription: Subscription) -> None:
        """Send events until cancelled; raises SlowClient if the listener takes nothing for too long."""
        self.listeners += 1
        wanted = subscription.wanted
        try:
            await self._send(send, {"type": "http.response.start", "status": 200, "headers": Headers(_HEAD).raw})
            await self._go_on(send, wanted, await self._begin(send, wanted, subscription.since))
        except TimeoutError as error:
            self._memory.dropped_listeners += 1
            raise SlowClient from error
        finally:
            self.listeners -= 1

    async def _go_on(self, send: Send, wanted: Wanted, told: int) -> None:
        """Send what comes after a revision; a heartbeat is due from time to time, however much else there is."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            if loop.time() >= beat_at:
                beat_at = loop.time() + HEARTBEAT_EVERY
                if (beat := self._memory.heartbeat) is not None and "heartbeat" in wanted.kinds:
                    await self._send_event(send, event("heartbeat", told, msgspec.json.encode(beat)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat_at):
                    await self._changes.wait(told)
                    await asyncio.sleep(TOGETHER_EVERY - loop.time() % TOGETHER_EVERY)
            if not self._changes.knows(told):
                told = await self._begin(send, wanted, told)
            piece = self._changes.piece(wanted, told)
            told = piece.upto
            if piece.text:
                await self._send_event(send, piece.text)

    async def _begin(self, send: Send, wanted: Wanted, since: int | None) -> int:
        """Return the revision to go on from; a listener that lacks more than is known is told to begin anew."""
        now = self._memory.revision
        if since is not None and self._changes.knows(since):
            return since
        if since is not None:
            await self._send_event(send, event("reset", now, b"{}"))
        if (status := self._memory.status) is not None and "status" in wanted.kinds:
            await self._send_event(send, Change(now, status, now).event())
        return now

    async def _send_event(self, send: Send, text: bytes) -> None:
        await self._send(send, {"type": "http.response.body", "body": text, "more_body": True})

    async def _send(self, send: Send, message: Mapping[str, object]) -> None:
        async with asyncio.timeout(self._takes_within):
            await send(dict(message))


class _EventStream(Response):
    """The answer to one listener."""

    def __init__(self, events: Events, subscription: Subscription) -> None:
        super().__init__()
        self._events = events
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the listener is gone."""
        streaming = asyncio.create_task(self._events.stream(send, self._subscription), name="events")
        gone = asyncio.create_task(_disconnected(receive), name="end of a listener")
        try:
            done, _ = await asyncio.wait((streaming, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (streaming, gone):
                task.cancel()
            await asyncio.gather(streaming, gone, return_exceptions=True)
        if streaming in done:
            streaming.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_many(most: int) -> ProblemForm:
    return ProblemForm(
        title="too many listeners",
        status=503,
        what="no more listeners are taken",
        why=f"{most} listen already, and each costs vtorc's host some work",
        do="close other pages, or ask /api/v1/shards from time to time",
    )
