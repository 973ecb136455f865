"""Events: what changed since a revision, merged, and the end of listeners that take nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import structs
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message

from tests.unit.server.told import (
    LOST,
    NOW,
    OTHER,
    WELL,
    ask_app,
    heartbeat,
    lost,
    recovery,
    scope_of,
    status,
    told_memory,
    well,
)
from vtorc.forms.fleet import RowFrame, shard_row
from vtorc.forms.frames import GoneFrame, RecoveryFrame, SettingsFrame, ShardFrame
from vtorc.forms.shard import ShardForm
from vtorc.server.memory import ServerMemory
from vtorc.server.slow_client import SlowClient
from vtorc.server.v1.changes import MOST_AT_ONCE, MOST_KEYLESS
from vtorc.server.v1.events import Events

Event = tuple[str, int, Any]
"""The name of an event, its id, and its data."""


def lagging(revision: int, *, seconds: int | None = None) -> ShardForm:
    """Return the healthy shard with a replica that is behind, by default by as many seconds as the revision."""
    return structs.replace(well(revision=revision), largest_lag_seconds=revision if seconds is None else seconds)


class Listening:
    """One listener, which takes events one after the other."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.pieces: list[int] = []
        """The bytes of each part of the answer."""
        self.takes = asyncio.Event()
        self.takes.set()
        self.is_gone = asyncio.Event()
        self.ended: asyncio.Task[None]
        """The answer to it."""

    async def send(self, message: Message) -> None:
        """Take a message, unless the listener does not."""
        await self.takes.wait()
        if message["type"] == "http.response.body":
            self.pieces.append(len(message["body"]))
            for text in message["body"].split(b"\n\n")[:-1]:
                self._sent.put_nowait(text)

    async def receive(self) -> Message:
        """Return the end of the listener once it is gone."""
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def next(self, *, but: str = "heartbeat") -> Event:
        """Return the next event that is not called `but`."""
        async with asyncio.timeout(60):
            while True:
                lines = dict(line.split(": ", 1) for line in (await self._sent.get()).decode().split("\n"))
                if lines["event"] != but:
                    return lines["event"], int(lines["id"]), msgspec.json.decode(lines["data"])


@asynccontextmanager
async def listening(app: ASGIApp, query: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[Listening]:
    """Listen to events."""
    listener = Listening()
    scope = scope_of("GET", "/api/v1/events", query, headers or {}, "127.0.0.1")

    async def serve() -> None:
        await app(scope, listener.receive, listener.send)

    listener.ended = asyncio.create_task(serve())
    try:
        yield listener
    finally:
        listener.is_gone.set()
        listener.takes.set()
        await asyncio.wait([listener.ended])


@pytest.fixture
def memory() -> ServerMemory:
    """A memory that was told all."""
    return told_memory()


@pytest.fixture
def events(memory: ServerMemory) -> Events:
    """The events of the memory; two may listen, and a write may take a tenth of a second."""
    return Events(memory, most=2, takes_within=0.1)


@pytest.fixture
def app(events: Events) -> Starlette:
    """An application with the events alone."""
    return Starlette(routes=[events.route()])


async def test_a_listener_hears_what_changes_from_now_on(memory: ServerMemory, app: ASGIApp) -> None:
    """It first gets the status, then each change with its revision; a shard is told as its row in the list."""
    async with listening(app) as listener:
        assert await listener.next() == ("status", memory.revision, msgspec.to_builtins(status()))
        memory.take(ShardFrame(shard=lagging(2)), NOW)
        row = msgspec.to_builtins(RowFrame(shard=shard_row(lagging(2))))
        assert await listener.next() == ("shard", memory.revision, row)
        memory.take(GoneFrame(shard=OTHER), NOW)
        assert await listener.next() == ("gone", memory.revision, {"frame": "gone", "shard": OTHER})


async def test_a_listener_that_returns_gets_what_it_missed(memory: ServerMemory, app: ASGIApp) -> None:
    """After Last-Event-ID come the changes since, of each shard only the newest, in order."""
    since = memory.revision
    for revision in (2, 3):
        memory.take(ShardFrame(shard=lagging(revision)), NOW)
    memory.take(RecoveryFrame(recovery=recovery(9)), NOW)
    memory.take(ShardFrame(shard=lagging(4)), NOW)
    async with listening(app, headers={"last-event-id": str(since)}) as listener:
        first, second = await listener.next(), await listener.next()
    assert (first[0], first[2]["recovery"]["id"]) == ("recovery", recovery(9).id)
    assert (second[0], second[1], second[2]["shard"]["revision"]) == ("shard", memory.revision, 4)


@pytest.mark.parametrize("last", ["1", "99999999"])
async def test_a_listener_that_missed_too_much_begins_anew(memory: ServerMemory, last: str) -> None:
    """An id that is too old, or of another process, gets a reset with the revision to begin from."""
    app = Starlette(routes=[Events(memory).route()])
    async with listening(app, headers={"last-event-id": last}) as listener:
        assert await listener.next() == ("reset", memory.revision, {})
        assert (await listener.next())[0] == "status"


async def test_a_listener_that_fell_behind_begins_anew(memory: ServerMemory, app: ASGIApp) -> None:
    """When more has changed than is kept, a listener gets a reset and goes on from there."""
    async with listening(app, "kinds=recovery,status") as listener:
        await listener.next()
        for number in range(MOST_KEYLESS + 100):
            memory.take(RecoveryFrame(recovery=recovery(number)), NOW)
        assert await listener.next() == ("reset", memory.revision, {})
        assert (await listener.next())[0] == "status"
        memory.take(RecoveryFrame(recovery=recovery(0)), NOW)
        assert await listener.next() == (
            "recovery",
            memory.revision,
            msgspec.to_builtins(RecoveryFrame(recovery=recovery(0))),
        )


async def test_a_listener_hears_only_what_it_asked_for(memory: ServerMemory, app: ASGIApp) -> None:
    """A filter of shard and kinds leaves out the rest, and the shard is told with all its tablets."""
    async with listening(app, f"shard={LOST}&kinds=shard,recovery&since={memory.revision}") as listener:
        memory.take(status(recoveries_allowed=False), NOW)
        memory.take(ShardFrame(shard=well(WELL)), NOW)
        told = ShardFrame(shard=lost())
        memory.take(told, NOW)
        assert await listener.next() == ("shard", memory.revision, msgspec.to_builtins(told))


async def test_positions_alone_are_news_only_for_listeners_to_their_shard(memory: ServerMemory, app: ASGIApp) -> None:
    """Of the whole fleet a shard is told when its row in the list has changed, also if positions moved after that."""
    since = f"kinds=shard&since={memory.revision}"
    async with listening(app, since) as fleet, listening(app, f"{since}&shard={WELL}") as one:
        memory.take(ShardFrame(shard=well(revision=2)), NOW)
        assert (await one.next())[2]["shard"]["revision"] == 2
        memory.take(ShardFrame(shard=lagging(3, seconds=3)), NOW)
        memory.take(ShardFrame(shard=lagging(4, seconds=3)), NOW)
        assert (await fleet.next())[2]["shard"]["revision"] == 4
        memory.take(GoneFrame(shard=WELL), NOW)
        memory.take(ShardFrame(shard=well(revision=5)), NOW)
        assert (await fleet.next())[2]["shard"]["revision"] == 5


async def test_many_changes_come_in_few_pieces_of_a_bounded_size(memory: ServerMemory, app: ASGIApp) -> None:
    """Changes are told together, and a slow listener is seen to take something."""
    since = memory.revision
    frames = [ShardFrame(shard=well(f"commerce/{number:04d}")) for number in range(300)]
    for frame in frames:
        memory.take(frame, NOW)
    async with listening(app, f"kinds=shard&since={since}") as listener:
        names = [(await listener.next())[2]["shard"]["name"] for _ in frames]
    assert names == [frame.shard.name for frame in frames]
    longest = max(len(msgspec.json.encode(RowFrame(shard=shard_row(frame.shard)))) for frame in frames) + 100
    assert max(listener.pieces) <= MOST_AT_ONCE + longest
    assert len(listener.pieces) <= 2 + sum(listener.pieces) // MOST_AT_ONCE


async def test_what_is_no_event_ends_no_stream(memory: ServerMemory, app: ASGIApp) -> None:
    """Settings that were changed by a reload are told to no listener."""
    async with listening(app) as listener:
        await listener.next()
        memory.take(SettingsFrame(settings=[]), NOW)
        memory.take(GoneFrame(shard=OTHER), NOW)
        assert (await listener.next())[0] == "gone"


async def test_heartbeats_come_whatever_else_there_is(memory: ServerMemory, app: ASGIApp) -> None:
    """Each listener gets vtorc's last sign of life at the start and from time to time."""
    memory.take(heartbeat(), NOW)
    async with listening(app, "kinds=heartbeat") as listener:
        for _ in range(2):
            name, _, data = await listener.next(but="")
            assert (name, data) == ("heartbeat", msgspec.to_builtins(heartbeat()))


async def test_a_listener_that_takes_nothing_is_dropped(memory: ServerMemory, events: Events, app: ASGIApp) -> None:
    """Its stream ends after a while, and its place is free."""
    async with listening(app) as listener:
        await listener.next()
        listener.takes.clear()
        memory.take(ShardFrame(shard=lagging(2)), NOW)
        with pytest.raises(SlowClient):
            async with asyncio.timeout(60):
                await listener.ended
        assert (events.listeners, memory.dropped_listeners) == (0, 1)


async def test_no_more_listen_than_may(app: ASGIApp) -> None:
    """A further listener gets a problem, and one that leaves makes room."""
    async with listening(app) as one:
        await one.next()
        async with listening(app) as other:
            await other.next()
            refused = await ask_app(app, "/api/v1/events")
            assert (refused.status, refused.json["title"]) == (503, "too many listeners")
        async with listening(app) as third:
            assert (await third.next())[0] == "status"


async def test_a_request_for_the_head_of_events_ends(events: Events, app: ASGIApp) -> None:
    """HEAD is answered with the headers alone, and does not listen."""
    answer = await ask_app(app, "/api/v1/events", method="HEAD")
    assert (answer.headers["content-type"], answer.body, events.listeners) == ("text/event-stream", b"", 0)
