"""What one connection may hold: time, headers and room."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config, Server

from vtorc.server import connection
from vtorc.server.connection import MOST_HEADERS, MOST_WAITING, BoundedHttpProtocol

Handler = Callable[[Request], Awaitable[Response]]

LONG = 32 << 20
"""Bytes of an answer that fits no buffer of a connection."""


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def _long(request: Request) -> PlainTextResponse:
    return PlainTextResponse("x" * LONG)


@asynccontextmanager
async def served(
    protocol: type[BoundedHttpProtocol] = BoundedHttpProtocol, *, held: Handler | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serve an application over the bounded protocol, `/held` by the handler `held`; gives the address."""
    sock = socket.create_server(("127.0.0.1", 0))
    routes = [
        Route("/", _echo, methods=["GET", "POST"]),
        Route("/long", _long),
        Route("/held", held or _echo, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes)
    config = Config(
        app,
        http=protocol,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=30,
    )
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield sock.getsockname()
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


def watched() -> tuple[type[BoundedHttpProtocol], list[BoundedHttpProtocol], asyncio.Event]:
    """Return the protocol, its connections, and an event that is set once one of them has ended."""
    made: list[BoundedHttpProtocol] = []
    lost = asyncio.Event()

    class Watched(BoundedHttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            made.append(self)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    return Watched, made, lost


async def told(address: tuple[str, int], *parts: bytes) -> bytes:
    """Send the parts of a request and return all that comes until the server closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("begun", "answered"),
    [
        pytest.param(b"", 0, id="nothing"),
        pytest.param(b"\r\n", 0, id="blank line"),
        pytest.param(b"GET / HT", 0, id="half a line"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\nname: va", 0, id="half a header"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", 0, id="half a body"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT", 1, id="half of a second"),
    ],
)
async def test_a_request_that_does_not_end_ends_the_connection(
    begun: bytes, answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that stops amid a request, or never begins one, is not waited for."""
    monkeypatch.setattr(connection, "REQUEST_WITHIN", 0.2)
    async with served() as address:
        answer = await told(address, begun)
    assert answer.count(b"200 OK") == answered


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * MOST_HEADERS + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * MOST_HEADERS + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"many: x\r\n" * (MOST_HEADERS // 9) + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nendless: " + b"x" * 2 * MOST_HEADERS,
    ],
    ids=["path", "header", "headers", "without an end"],
)
async def test_headers_that_are_too_long_are_refused(request_: bytes) -> None:
    """The answer is 431, and the connection is closed."""
    async with served() as address:
        answer = await told(address, request_[:100], request_[100:])
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


async def test_a_body_does_not_count_as_headers() -> None:
    """A long body with short headers is taken, also in the same packet."""
    body = b"x" * (3 * MOST_HEADERS)
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with served() as address:
        assert (await told(address, head + body)).endswith(b"%d bytes" % len(body))


async def test_one_connection_takes_many_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of one request does not count for the next, nor do its headers."""
    request = b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * (MOST_HEADERS // 2) + b"\r\n\r\n"
    last = request.replace(b"host: x", b"host: x\r\nconnection: close")
    async with served() as address:
        answer = await told(address, request, request, request, last)
    assert answer.count(b"200 OK") == 4


async def test_a_blank_line_after_an_answer_keeps_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a blank line in place of a further request is not waited for."""
    monkeypatch.setattr(connection, "REQUEST_WITHIN", 0.2)
    async with served() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"bytes")
        writer.write(b"\r\n")
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("end", [b"", b"connection: close\r\n"], ids=["kept", "closed"])
async def test_a_client_that_takes_nothing_is_cut_off(end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads no answer holds its connection for a while only, though the answer is still to be sent."""
    monkeypatch.setattr(connection, "TAKES_WITHIN", 0.2)
    protocol, _, lost = watched()
    async with served(protocol) as address:
        with socket.create_connection(address) as client:
            client.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n" + end + b"\r\n")
            async with asyncio.timeout(60):
                await lost.wait()


async def test_the_end_of_a_connection_ends_all_of_its_requests() -> None:
    """A request that is being answered hears that its client is gone, also if others came behind it."""
    protocol, made, lost = watched()
    asked: asyncio.Future[Request] = asyncio.get_running_loop().create_future()
    told_gone: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def held(request: Request) -> Response:
        asked.set_result(request)
        await lost.wait()
        told_gone.set_result(await request.is_disconnected())
        return PlainTextResponse("late")

    async with served(protocol, held=held) as address, asyncio.timeout(60):
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await asked
        made[0].transport.abort()
        assert await told_gone
        writer.close()


async def test_a_client_takes_no_more_than_some_answers_at_once() -> None:
    """Of many requests that are sent at once the first ones are answered, and then the connection ends."""
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with served() as address:
        answer = await told(address, request * 1000)
    assert answer.count(b"200 OK") == MOST_WAITING + 1
    assert answer.lower().count(b"connection: close") == 1


async def test_a_new_connection_takes_the_place_of_an_idle_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that hold connections keep no other client out; one that is being answered keeps its own."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(connection, "LEAST_IDLE", 0.0)
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def held(request: Request) -> Response:
        is_held.set()
        await may_end.wait()
        return PlainTextResponse("held")

    async with served(held=held) as address, asyncio.timeout(60):
        busy, slow, idle = [await asyncio.open_connection(*address) for _ in range(3)]
        busy[1].write(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        slow[1].write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
        idle[1].write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await idle[0].readuntil(b"bytes")
        await is_held.wait()
        for _ in range(2):
            new = await asyncio.open_connection(*address)
            new[1].write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await new[0].readuntil(b"bytes")).startswith(b"HTTP/1.1 200 OK")
        for reader, _ in (slow, idle):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        may_end.set()
        assert (await busy[0].readuntil(b"held")).startswith(b"HTTP/1.1 200 OK")
        for _, writer in (busy, slow, idle):
            writer.close()


async def test_a_further_connection_is_closed_if_all_have_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """While each connection waits for its answer, or has only begun, a further one gets none."""
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(connection, "LEAST_IDLE", 3600.0)
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def held(request: Request) -> Response:
        is_held.set()
        await may_end.wait()
        return PlainTextResponse("held")

    async with served(held=held) as address, asyncio.timeout(60):
        (reader, busy), (_, new) = [await asyncio.open_connection(*address) for _ in range(2)]
        busy.write(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
        await is_held.wait()
        assert await told(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n") == b""
        may_end.set()
        assert (await reader.readuntil(b"held")).startswith(b"HTTP/1.1 200 OK")
        busy.close()
        new.close()


async def test_a_client_gets_the_answer_that_comes_before_the_end_of_its_request() -> None:
    """The rest of the request is not taken, and the connection ends."""

    async def held(request: Request) -> Response:
        return PlainTextResponse("too long", status_code=413)

    async with served(held=held) as address, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /held HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % LONG + b"x" * (LONG - 1))
        assert (await reader.read()).endswith(b"too long")
        with pytest.raises(ConnectionError):
            await writer.drain()
        writer.close()
