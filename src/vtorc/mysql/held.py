"""A connection to a mysqld that nobody speaks on: it is there to break when the server ends."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import Any

from asyncmy import errors as driver
from asyncmy.connection import Connection

from vtorc.errors import MysqlError
from vtorc.mysql.cancellation import none_swallowed

CANNOT_CONNECT = 2002
"""Number of "nobody could be asked", against MySQL's own for "the server refused" (MySQL client error reference)."""

CONNECT_DEADLINE = 1.0
"""Seconds until a server that stays silent during connect or login is given up."""

SILENCE_LIMIT = 3.0
"""Seconds without a sign of life from the server's host (its kernel, not its mysqld) that break a held connection."""

_Connection: Any = Connection  # the driver declares no types here
_STAY = "SET SESSION wait_timeout = 31536000"  # a year, the most that mysqld takes
_QUIT = b"\x01\x00\x00\x00\x01"  # COM_QUIT: without it mysqld counts and logs an aborted client
_SCRAP = 256
_SERVER_LEAVING = 1053
_DRIVERS_OWN = range(2000, 3000)
_AUTH_PLUGIN = 2059

# Linux. The first probe follows one second of silence, then one each second; two may get lost.
_KEEPALIVE = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 1),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 1),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", int(1000 * SILENCE_LIMIT)),
)


@dataclass(frozen=True, slots=True)
class MysqlCredentials:
    """The account that vtorc logs in to every mysqld with."""

    user: str
    password: str = field(default="", repr=False)


class HeldConnection(asyncio.BufferedProtocol):
    """A session that waits for its own end; it costs a socket and some hundred bytes, and no CPU."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._scrap = memoryview(bytearray(_SCRAP))
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait_end(self) -> str:
        """Wait until the connection is gone, and return one clause saying how it ended."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """Take leave of the server and close the connection, without waiting for either."""
        if not self._transport.is_closing():
            self._transport.write(_QUIT)
            self._transport.close()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for what the server may say unasked, which nobody reads."""
        return self._scrap

    def buffer_updated(self, nbytes: int) -> None:
        """Nothing: only the end of the connection counts."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake who waits for the end."""
        if not self._ended.done():
            self._ended.set_result("the server closed it" if exc is None else _reason(exc))


async def hold(address: tuple[str, int], credentials: MysqlCredentials) -> HeldConnection:
    """Log in to the mysqld at this host and port, and keep the session open.

    Raises MysqlError within about `CONNECT_DEADLINE`: 2002 when nobody could be asked, MySQL's own number when the
    server refuses, 0 when the driver cannot speak with it.
    """
    host, port = address
    # The password as bytes, because the driver would write a text in latin1. Its own deadlines stand behind ours, which
    # it may swallow as it may a cancellation.
    raw = _Connection(
        host=host,
        port=port,
        user=credentials.user,
        password=credentials.password.encode(),
        autocommit=None,
        connect_timeout=CONNECT_DEADLINE,
        read_timeout=CONNECT_DEADLINE,
        program_name="vtorc",
    )
    try:
        with none_swallowed():
            async with asyncio.timeout(CONNECT_DEADLINE):
                await raw.connect()
                await raw.query(_STAY)
        return _take_over(raw)
    except asyncio.CancelledError:
        raw.close()
        raise
    except Exception as error:  # whatever the driver trips over, this connection is not worth more than its absence
        raw.close()
        raise _translated(error) from error


def keep_awake(sock: Any) -> None:
    """Have the kernel watch the peer's host: the socket breaks after `SILENCE_LIMIT` without a sign of life."""
    for level, option, value in _KEEPALIVE:
        with contextlib.suppress(AttributeError):  # not every system has every option
            sock.setsockopt(getattr(socket, level), getattr(socket, option), value)


def _take_over(raw: Any) -> HeldConnection:
    """Take the socket from the driver, whose connection keeps 256 KiB of buffer for as long as it lives."""
    if raw._stream_broken:
        raise ConnectionResetError("the server closed the connection right after the login")
    transport: asyncio.Transport = raw._transport
    keep_awake(transport.get_extra_info("socket"))
    held = HeldConnection(transport)
    transport.set_protocol(held)
    return held


def _translated(error: Exception) -> MysqlError:
    if isinstance(error, TimeoutError):
        return MysqlError(f"no answer within {CONNECT_DEADLINE:g} s", errno=CANNOT_CONNECT)
    if isinstance(error, OSError):
        return MysqlError(_reason(error), errno=CANNOT_CONNECT)
    if not isinstance(error, driver.MySQLError):
        return MysqlError(f"the driver failed with {type(error).__name__}: {error}", errno=0)
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[-1]) if error.args else type(error).__name__
    if number == _SERVER_LEAVING or (number in _DRIVERS_OWN and number != _AUTH_PLUGIN):
        return MysqlError(text, errno=CANNOT_CONNECT)
    return MysqlError(text, errno=number)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
