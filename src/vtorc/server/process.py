"""The server process: hears vtorc through its channel, serves HTTP, and ends with vtorc."""

import asyncio
import gc
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import uvloop
from starlette.types import ASGIApp
from uvicorn import Config, Server

from vtorc.errors import ChannelError, ListenerTlsError
from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.frames import ALIVE, HeartbeatFrame, ReplyFrame, RequestFrame, decode_frame, encode
from vtorc.server.access.tls import tls_context
from vtorc.server.app import make_app
from vtorc.server.asking import Forward
from vtorc.server.channel import LENGTH_BYTES, LONGEST_FRAME, FrameCutter, frame_length, framed
from vtorc.server.connection import BoundedHttpProtocol
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ListenerOption, ServerOptions, ServerRules
from vtorc.server.requests import Requests

KEEP_ALIVE = 15
"""Seconds that an idle connection is kept."""

TELLS_WITHIN = 3.0
"""Seconds that vtorc gets to tell all before the server answers without."""

MOST_NEW = 50_000
"""Objects that are made and not ended before Python looks for garbage: about 8 MB. By its own rule it looks through all
that is known of all shards, again and again, in the middle of an answer."""

_CHUNK = 1 << 18


class _Server(Server):
    """A server that leaves signals alone: it ends when its channel does."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(options: ServerOptions) -> None:
    """Serve until vtorc ends."""
    gc.set_threshold(MOST_NEW)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a client's bad request is no concern of vtorc's log
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options))
    except ListenerTlsError as error:  # the files were right when vtorc started
        sys.exit(str(error))


async def _serve(options: ServerOptions) -> None:
    """Serve until the channel ends."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=options.channel))
    try:
        rules = await _hear_rules(reader)  # a spare server waits here until it is needed
    except (asyncio.IncompleteReadError, ConnectionError):
        return  # vtorc has ended already
    tls = tls_context(rules.tls) if rules.tls is not None else None
    # Milliseconds, so that revisions are higher than those of the process before: a browser may go on from one of them.
    memory = ServerMemory(revision=time.time_ns() // 1_000_000)
    requests = Requests(writer.write)
    hearing = asyncio.create_task(_hear(reader, writer, memory, requests), name="channel")
    await _wait_told(memory, hearing)
    servers = [
        asyncio.create_task(_serve_listener(option, rules, tls, memory, requests), name=option.listener.value)
        for option in options.listeners
    ]
    done, _ = await asyncio.wait([hearing, *servers], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    os._exit(0)  # vtorc has ended; there is nothing to put in order, and answers that are cut off now are no mistakes


async def _hear_rules(reader: asyncio.StreamReader) -> ServerRules:
    """Return the rules, which are the first that vtorc sends."""
    length = frame_length(await reader.readexactly(LENGTH_BYTES))
    return msgspec.json.decode(await reader.readexactly(length), type=ServerRules)


async def _wait_told(memory: ServerMemory, hearing: asyncio.Task[None]) -> None:
    """Return once vtorc has told all, so that the first clients get more than the answer that nothing is known yet.

    Connections wait in the kernel meanwhile. Hundreds of them held up the telling itself.
    """
    told = asyncio.Event()
    stop_listening = memory.listen(lambda frame: told.set() if memory.is_complete else None)
    waiting = asyncio.create_task(told.wait(), name="all is told")
    await asyncio.wait([hearing, waiting], timeout=TELLS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    stop_listening()


async def _hear(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, memory: ServerMemory, requests: Requests
) -> None:
    """Take what vtorc sends until it ends, and answer its heartbeats; raises ChannelError if that is no frame."""
    cutter = FrameCutter(LONGEST_FRAME)
    own = Caller(actor="", origin="", means=Means.UNKNOWN, role=Role.NONE)
    alive = framed(encode(RequestFrame(id=0, kind=ALIVE, arguments={}, caller=own)))
    while data := await _read(reader):
        for each in cutter.feed(data):
            try:
                frame = decode_frame(each)
            except msgspec.DecodeError as error:
                raise ChannelError(f"vtorc sent what is no frame: {error}") from error
            memory.take(frame, time.monotonic())
            if isinstance(frame, ReplyFrame):
                requests.take(frame)
            elif isinstance(frame, HeartbeatFrame):
                writer.write(alive)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return what vtorc has sent meanwhile; nothing once it has ended, with answers to its heartbeats not taken."""
    try:
        return await reader.read(_CHUNK)
    except ConnectionError:
        return b""


async def _serve_listener(
    option: ListenerOption, rules: ServerRules, tls: ssl.SSLContext | None, memory: ServerMemory, forward: Forward
) -> None:
    app = make_app(memory, forward, listener=option.listener, rules=rules)
    server = http_server(app, tls if option.listener.is_like_v12 else None)
    await server.serve(sockets=[socket.socket(fileno=option.socket)])


def http_server(app: ASGIApp, tls: ssl.SSLContext | None = None) -> Server:
    """Return a server of an application that logs nothing and leaves signals alone; `tls` None means clear text."""
    config = Config(
        app,
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `origin_of` says where a request comes from
        timeout_keep_alive=KEEP_ALIVE,
    )
    return _Server(config)


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=ServerOptions))
