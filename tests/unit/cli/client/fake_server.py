"""An HTTP server that answers as a test says, for what a real vtorc cannot be made to do at will."""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseServer, ThreadingMixIn, UnixStreamServer

import msgspec

from vtorc.forms.frames import AnyFrame, encode


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer."""

    status: int = 200
    content_type: str = "application/json"
    pieces: Iterable[bytes] = ()
    is_cut: bool = False
    """Whether the connection breaks before the whole answer is sent."""


Answer = Callable[[str, str], Reply]
"""Returns the reply to a method and a target."""


def json_reply(form: object, status: int = 200) -> Reply:
    """Return a form as an answer."""
    kind = "application/problem+json" if status >= 400 else "application/json"
    return Reply(status=status, content_type=kind, pieces=[msgspec.json.encode(form)])


def list_reply(*items: object) -> Reply:
    """Return forms as a list."""
    return json_reply({"items": items, "revision": 1, "cursor": None})


def problem_reply(status: int, *, what: str = "w", why: str = "y", do: str = "d") -> Reply:
    """Return a refusal or an error."""
    return json_reply({"title": "t", "status": status, "what": what, "why": why, "do": do}, status)


def event(frame: AnyFrame, name: str) -> bytes:
    """Return a frame as an event."""
    return b"event: %s\nid: 1\ndata: %s\n\n" % (name.encode(), encode(frame))


def stream_reply(*events: bytes) -> Reply:
    """Return a stream that ends after these events."""
    return Reply(content_type="text/event-stream; charset=utf-8", pieces=events)


@dataclass
class FakeServer:
    """A server with its answers, and the requests that it got."""

    address: str
    answer: Answer
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and target of each request."""
    bodies: list[bytes] = field(default_factory=list)
    """The content of each request that has some."""


class _SocketServer(ThreadingMixIn, UnixStreamServer):
    """Serves on a Unix socket."""


@contextmanager
def fake_server(answer: Answer, *, path: Path | None = None, tls: ssl.SSLContext | None = None) -> Iterator[FakeServer]:
    """Answer while inside: on a free port, with TLS if a context is given, or on the Unix socket `path`."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            if length := int(self.headers.get("Content-Length", 0)):
                fake.bodies.append(self.rfile.read(length))
            fake.asked.append((self.command, self.path))
            reply = fake.answer(self.command, self.path)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            if reply.is_cut:
                self.send_header("Content-Length", "1000")
            self.end_headers()
            for piece in reply.pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        do_GET = do_POST = do_DELETE = _reply

        def log_message(self, *words: object) -> None:
            """Log nothing."""

    if path is not None:
        server: BaseServer = _SocketServer(str(path), Handler)
        fake = FakeServer(f"unix:{path}", answer)
    else:
        server = on_port = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        fake = FakeServer(f"{'http' if tls is None else 'https'}://127.0.0.1:{on_port.server_port}", answer)
        if tls is not None:
            on_port.socket = tls.wrap_socket(on_port.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
