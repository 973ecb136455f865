"""How answers of Consul's agents are read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from vtorc.errors import TopoError
from vtorc.topo.consul_access import ConsulAccess
from vtorc.topo.consul_client import ConsulClient


@contextlib.asynccontextmanager
async def agent(body: bytes) -> AsyncIterator[ConsulClient]:
    """Serve each request this body with status 200, and yield a client of that server."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        access = ConsulAccess(environ={})
        client = ConsulClient([f"127.0.0.1:{port}"], timeout=5.0, access=access, cell="zone1")
        try:
            yield client
        finally:
            await client.close()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b"", id="empty"),
    ],
)
async def test_refuses_an_answer_that_is_no_json(body: bytes) -> None:
    """A server that answers without JSON, is told as another program than a Consul agent."""
    async with agent(body) as client:
        with pytest.raises(TopoError, match="which is not JSON: is it a Consul agent"):
            await client.call("read", "GET", "kv/vitess/global/cells/zone1/CellInfo")
