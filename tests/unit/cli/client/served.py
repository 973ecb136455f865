"""The real server with a memory that a test fills, on a free port."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
from uvicorn import Config, Server

from tests.unit.server.told import Forwarding
from vtorc.forms.base import Form
from vtorc.forms.frames import AnyFrame, HeartbeatFrame, MetricsFrame, ProblemForm, ReplyFrame
from vtorc.server.app import make_app
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules

AT = "2025-11-30T00:00:00.000Z"


@dataclass
class Desk:
    """Answers the requests that act as a test says, in place of vtorc itself."""

    memory: ServerMemory
    replies: dict[str, Form] = field(default_factory=dict)
    """The answer to each kind of request; 404 for others."""
    then: dict[str, list[AnyFrame]] = field(default_factory=dict)
    """The frames that vtorc sends when it answers a kind of request."""
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    """Kind and arguments of each request."""

    async def __call__(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Return the reply."""
        self.asked.append((kind, arguments))
        for frame in self.then.get(kind, []):
            self.memory.take(frame, time.monotonic())
        body = self.replies.get(kind)
        if body is None:
            body = ProblemForm(title="t", status=404, what=f"no {kind}", why="it is unknown", do="ask for another")
        status = body.status if isinstance(body, ProblemForm) else 202 if kind == "execute" else 200
        return ReplyFrame(id=1, status=status, body=msgspec.Raw(msgspec.json.encode(body)))


@dataclass
class ServedVtorc:
    """The server, and what stands behind it."""

    address: str
    desk: Desk


@contextmanager
def served(frames: Iterable[AnyFrame], rules: ServerRules | None = None) -> Iterator[ServedVtorc]:
    """Serve what these frames tell while inside, by default to all that ask."""
    memory = ServerMemory(revision=1)
    for frame in [*frames, HeartbeatFrame(at=AT, late_seconds=0), MetricsFrame(metrics=[])]:
        memory.take(frame, time.monotonic())
    desk = Desk(memory)
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config(
        make_app(memory, Forwarding(desk), rules=rules), lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()  # connections wait in the socket until the server takes them
    try:
        yield ServedVtorc(f"http://127.0.0.1:{listener.getsockname()[1]}", desk)
    finally:
        server.should_exit = True
        thread.join()
