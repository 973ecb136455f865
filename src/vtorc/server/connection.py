"""One connection of a client, with limits on what it may hold: time, headers, and the number of connections."""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from vtorc.server.access.certificate import CERTIFICATE, Certificate, peer_certificate
from vtorc.server.slow_client import CUT_OFF

MOST_CONNECTIONS = 640
"""Connections of one listener. A further one takes the place of the one that has been without a whole request longest;
if all have one, it is closed. So clients that only hold connections keep no other out.
"""

LEAST_IDLE = 1.0
"""Seconds without a whole request after which a connection may lose its place."""

REFUSES_FOR = 2.0
"""Seconds that a client gets to take an answer that came before the end of its request."""

MOST_WAITING = 8
"""Requests that wait on one connection for the answer to an earlier one; the connection ends after the last of them."""

MOST_HEADERS = 16 << 10
"""Bytes of the request line and the headers of a request."""

REQUEST_WITHIN = 10.0
"""Seconds from the first byte of a request, or from the connection, to the last byte of the request."""

TAKES_WITHIN = 15.0
"""Seconds in which a client takes a part of what waits for it; one that takes nothing is cut off."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. By itself it takes headers of any length. It waits for ever for the rest of a
    request, and for a client to take its answer.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._is_in_headers = True
        self._is_refused = False
        self._certificate: Certificate | None = None
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._untaken = 0
        self._next_look: asyncio.TimerHandle | None = None
        self._is_ending = False
        self.without_request_since = self.loop.time()
        """When it was made, or its last request was there, in seconds on the loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; close at once if there are too many connections."""
        has_room = self._make_room()
        super().connection_made(transport)
        if not has_room:
            transport.abort()
            return
        self._certificate = peer_certificate(transport.get_extra_info("peercert"))
        self._await_request()
        self._cut_off_if_stuck()

    @property
    def lacks_request(self) -> bool:
        """Whether it waits for a request, or for the rest of one."""
        return not self._is_ending and (
            self._deadline is not None or self.cycle is None or bool(self.cycle.response_complete)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more, and let all requests know that their client is gone: uvicorn tells the last one only."""
        self._stop_waiting()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        if self._next_look is not None:
            self._next_look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take more of a request, unless its headers are too long."""
        if self._is_refused:
            return
        self._await_request()
        if self._is_in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._is_in_headers and self._header_bytes > MOST_HEADERS:
            self._refuse()

    def on_message_begin(self) -> None:
        """Note that a request begins."""
        if self._is_refused:
            return
        super().on_message_begin()
        self.scope["state"].update({CERTIFICATE: self._certificate, CUT_OFF: self.transport.abort})
        self._is_in_headers = True
        self._await_request()

    def on_headers_complete(self) -> None:
        """Hand the request on, unless its headers are too long, or too many wait before it."""
        self._is_in_headers = False
        self._header_bytes = 0
        if self._is_refused:
            return
        if len(self.pipeline) >= MOST_WAITING:
            self._take_no_more()
            return
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MOST_HEADERS:
            self._refuse()
            return
        super().on_headers_complete()
        while self._unanswered and self._unanswered[0].response_complete:
            self._unanswered.popleft()
        self._unanswered.append(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there."""
        self._stop_waiting()
        self._is_in_headers = True
        self.without_request_since = self.loop.time()
        if not self._is_refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; end the connection if the client still sends the one that was answered."""
        is_whole = not self.cycle.more_body or self.pipeline or not self.cycle.response_complete
        super().on_response_complete()
        if not is_whole and not self.transport.is_closing():
            self._end_unread()

    def _await_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_WITHIN, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _cut_off_if_stuck(self) -> None:
        """End the connection if its client took nothing since the last look, else look again after a while.

        To close it is not enough: a transport waits with that until the client has taken the rest.
        """
        untaken = self.transport.get_write_buffer_size()
        if untaken and untaken == self._untaken:
            self.transport.abort()
            return
        self._untaken = untaken
        self._next_look = self.loop.call_later(TAKES_WITHIN, self._cut_off_if_stuck)

    def _make_room(self) -> bool:
        """Return whether there is room for one more connection, for which an idle one may have to end."""
        if len(self.connections) < MOST_CONNECTIONS:
            return True
        others = (other for other in self.connections if isinstance(other, BoundedHttpProtocol))
        idle = [other for other in others if other.lacks_request]
        longest = min(idle, key=lambda other: other.without_request_since, default=None)
        if longest is None or self.loop.time() - longest.without_request_since < LEAST_IDLE:
            return False
        longest._is_ending = True
        longest.transport.abort()
        return True

    def _end_unread(self) -> None:
        """End the connection without taking the rest of a request, which may be as long as the client likes.

        To close it at once would reset it, and the client might lose the answer that tells why.
        """
        self._is_refused = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(REFUSES_FOR, self.transport.abort)

    def _take_no_more(self) -> None:
        """Take no more requests, and end the connection after the answer to the last one that waits."""
        self._is_refused = True
        self._stop_waiting()
        last, _ = self.pipeline[0]
        last.keep_alive = False

    def _refuse(self) -> None:
        self._is_refused = True
        text = f"the headers of a request may have {MOST_HEADERS} bytes\n".encode()
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
        self.transport.write(STATUS_LINE[431] + head + text)
        self.transport.close()
