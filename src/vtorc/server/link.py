"""vtorc's end of the channel to one server process: it never waits for the server, and is never in its way."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import structlog

from vtorc.errors import ChannelError
from vtorc.forms.frames import ALIVE, AnyFrame, ProblemForm, ReplyFrame, RequestFrame, decode_request, encode
from vtorc.server.channel import LONGEST_REQUEST, FrameCutter, framed
from vtorc.server.outbox import Outbox
from vtorc.server.requests import problem_reply

Answer = Callable[[RequestFrame], Awaitable[ReplyFrame]]
"""Answers a request of an operator."""

MOST_SECONDS = 0.001
"""Seconds after which the next frame waits. The loops of the shards run beside it, and a frame of a snapshot is made
only when it is sent.
"""

REST = 0.002
"""Seconds that it waits then. A new server is told thousands of shards. A failover beside that took twice as long while
each round of the event loop told some of them.
"""

AT_ONCE = 1 << 15
"""Bytes from which on frames are sent. Of small ones the kernel keeps few, and each time that its room is used up costs
a change between the processes.
"""

MOST_REQUESTS = 64
"""Requests that are answered at a time; further ones are refused at once."""

_CHUNK = 1 << 16

_log = structlog.get_logger(__name__)


class Link:
    """Sends frames to one server process, and answers its requests."""

    def __init__(
        self, sock: socket.socket, snapshot: Iterator[AnyFrame], is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        """Use the non-blocking socket `sock`, which `close` closes, and begin with a snapshot of all that is known.

        The snapshot waits while vtorc `is_busy`, and goes on with the next frame after that.
        """
        self._sock = sock
        self._outbox = Outbox(snapshot, is_busy)
        self._buffer = memoryview(b"")
        self._loop = asyncio.get_running_loop()
        self._is_scheduled = False
        self._waits_for_room = False
        self._is_closed = False
        self._answering: set[asyncio.Task[None]] = set()
        self.signs_of_life = 0
        """How many of vtorc's heartbeats the server has answered."""
        self._schedule()

    @property
    def waiting(self) -> int:
        """How many frames wait to be sent."""
        return len(self._outbox)

    @property
    def dropped(self) -> int:
        """How many frames were dropped because too many waited."""
        return self._outbox.dropped

    def send(self, frame: AnyFrame) -> None:
        """Send a frame in one of the next rounds of the event loop, or when the server has room for it."""
        if not self._is_closed:
            self._outbox.put(frame)
            self._schedule()

    async def answer_requests(self, answer: Answer) -> None:
        """Answer the requests of the server until it ends; returns then."""
        cutter = FrameCutter(LONGEST_REQUEST)
        try:
            while data := await self._loop.sock_recv(self._sock, _CHUNK):
                for frame in cutter.feed(data):
                    self._take_request(decode_request(frame), answer)
        except OSError:
            pass  # the process ended, which its supervisor notices
        except (ChannelError, msgspec.DecodeError) as error:
            _log.error(f"the HTTP server sent what is no request, so it is restarted: {error}")

    def close(self) -> None:
        """Send no more; the server ends when it notices."""
        if self._is_closed:
            return
        self._is_closed = True
        for task in self._answering:
            task.cancel()
        if self._waits_for_room:
            self._loop.remove_writer(self._sock)
        self._sock.close()

    def _take_request(self, request: RequestFrame, answer: Answer) -> None:
        if request.kind == ALIVE:
            self.signs_of_life += 1
            return
        if len(self._answering) >= MOST_REQUESTS:
            self.send(problem_reply(_too_many(), id_=request.id))
            return
        task = self._loop.create_task(self._answer(request, answer), name=f"answer {request.kind}")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, request: RequestFrame, answer: Answer) -> None:
        try:
            reply = await answer(request)
        except Exception as error:
            _log.exception(f"a request to {request.kind} failed by a mistake of vtorc's own")
            reply = problem_reply(_own_mistake(error), id_=request.id)
        self.send(reply)

    def _schedule(self, rest: float = 0.0) -> None:
        if not (self._is_scheduled or self._waits_for_room or self._is_closed):
            self._is_scheduled = True
            self._loop.call_later(rest, self._take_turn)

    def _take_turn(self) -> None:
        self._is_scheduled = False
        if self._is_closed:
            return
        try:
            ends = self._loop.time() + MOST_SECONDS
            while self._loop.time() < ends:
                if not self._send_some():
                    return
        except BlockingIOError:
            self._await_room()
        except OSError:
            self.close()  # the process ended, which its supervisor notices
        except Exception:
            _log.exception("the HTTP server is restarted: vtorc made a mistake in what it sends")
            self.close()
        else:
            self._await_room(is_over=True)
            self._schedule(REST)

    def _send_some(self) -> bool:
        """Send what is left of earlier frames, or the next ones; returns whether there were any."""
        if not self._buffer:
            frames: list[bytes] = []
            size = 0
            while size < AT_ONCE and (frame := self._outbox.take()) is not None:
                frames.append(framed(encode(frame)))
                size += len(frames[-1])
            if not frames:
                self._await_room(is_over=True)
                return False
            self._buffer = memoryview(b"".join(frames))
        self._buffer = self._buffer[self._sock.send(self._buffer) :]
        return True

    def _await_room(self, *, is_over: bool = False) -> None:
        if self._waits_for_room and is_over:
            self._loop.remove_writer(self._sock)
        elif not self._waits_for_room and not is_over:
            self._loop.add_writer(self._sock, self._take_turn)
        self._waits_for_room = not is_over


def _too_many() -> ProblemForm:
    return ProblemForm(
        title="too many requests",
        status=503,
        what="the request was not taken",
        why=f"vtorc answers {MOST_REQUESTS} requests at a time, and has as many",
        do="send it again in a second",
    )


def _own_mistake(error: Exception) -> ProblemForm:
    return ProblemForm(
        title="mistake of vtorc",
        status=500,
        what=f"vtorc itself failed to answer ({type(error).__name__})",
        why="a mistake in vtorc",
        do="report it with the traceback in vtorc's log; look at the shard before you try again",
    )
