"""An idle connection to a mysqld, held only because it breaks when the server ends."""

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from typing import Any

from asyncmy import errors as driver
from asyncmy.connection import Connection
from asyncmy.converters import conversions

from vtorc.errors import MysqlError
from vtorc.mysql.cancellation import reraise_cancellation

CANNOT_CONNECT = 2002
"""Error number of "no server could be reached"; the others are MySQL's refusals (MySQL client error reference)."""

CONNECT_DEADLINE = 1.0
"""Seconds that connect and login may take together."""

SERVER_SHUTDOWN = 1053
"""Error number of a server that is shutting down (MySQL server error reference)."""

AUTH_PLUGIN = 2059
"""Error number of a login by a plugin that the driver lacks, which is a refusal all the same."""

DRIVERS_OWN = range(2000, 3000)
"""Error numbers of the driver itself; but for `AUTH_PLUGIN` they mean that no server was reached, or one was lost."""

SILENCE_LIMIT = 3.0
"""Seconds without a packet from the server's host (its kernel, not its mysqld) after which the connection breaks."""

_Connection: Any = Connection  # the driver declares no types here
# Without decoders the driver returns values as the text that the server sent.
_NO_DECODERS = {key: value for key, value in conversions.items() if not isinstance(key, int)}
_LONGEST_WAIT_TIMEOUT = "SET SESSION wait_timeout = 31536000"  # a year, the maximum of mysqld
_QUIT = b"\x01\x00\x00\x00\x01"  # COM_QUIT: without it mysqld counts and logs an aborted client
_BUFFER_SIZE = 256  # bytes, of which none are read

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
    """The account with which vtorc logs in to every mysqld."""

    user: str
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """TLS with each server; None for a login in clear text, in which the password is hashed."""


class HeldConnection(asyncio.BufferedProtocol):
    """A session that only waits for its end; it costs a socket and some hundred bytes, and no CPU."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait_end(self) -> str:
        """Wait until the connection has ended, and return the reason in one clause."""
        return await asyncio.shield(self._ended)

    def close(self) -> None:
        """Send COM_QUIT and close the connection, without waiting for either."""
        take_leave(self._transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for packets that the server sends by itself; they are not read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Do nothing: only the end of the connection counts."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the tasks in `wait_end`."""
        if not self._ended.done():
            self._ended.set_result("the server closed it" if exc is None else reason_of(exc))


async def hold(address: tuple[str, int], credentials: MysqlCredentials) -> HeldConnection:
    """Log in to the mysqld at this host and port, and keep the session open.

    Raises MysqlError within about `CONNECT_DEADLINE`. Its number is MySQL's own when the server refuses. It is 2002
    when no server could be reached, and 0 when the driver does not understand the server.
    """
    raw = new_connection(address, credentials, CONNECT_DEADLINE)
    try:
        with reraise_cancellation():
            async with asyncio.timeout(CONNECT_DEADLINE):
                await raw.connect()
                await raw.query(_LONGEST_WAIT_TIMEOUT)
        return _take_over(raw)
    except asyncio.CancelledError:
        raw.close()
        raise
    except Exception as error:  # also an unexpected error of the driver only means that there is no connection
        raw.close()
        raise _translated(error) from error


def new_connection(address: tuple[str, int], credentials: MysqlCredentials, seconds: float) -> Any:
    """Return a connection of the driver that is not made yet, with `seconds` for each step of it."""
    host, port = address
    # The password is passed as bytes, because the driver encodes a text as latin1. The driver's own timeouts back up
    # our deadline, which the driver may swallow like any cancellation.
    return _Connection(
        host=host,
        port=port,
        user=credentials.user,
        password=credentials.password.encode(),
        autocommit=None,
        connect_timeout=seconds,
        read_timeout=seconds,
        program_name="vtorc",
        ssl=credentials.tls,
        conv=_NO_DECODERS,
    )


def take_leave(transport: asyncio.Transport) -> None:
    """Send COM_QUIT and close a session's connection, without waiting for either."""
    if not transport.is_closing():
        transport.write(_QUIT)
        transport.close()


def keep_awake(sock: Any) -> None:
    """Let the kernel probe the peer's host: the socket breaks after `SILENCE_LIMIT` without a packet from it."""
    for level, option, value in _KEEPALIVE:
        with contextlib.suppress(AttributeError):  # some systems lack some of the options
            sock.setsockopt(getattr(socket, level), getattr(socket, option), value)


def _take_over(raw: Any) -> HeldConnection:
    """Take the socket from the driver's connection object, which would keep 256 KiB of buffers."""
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
        return MysqlError(reason_of(error), errno=CANNOT_CONNECT)
    if not isinstance(error, driver.MySQLError):
        return MysqlError(f"the driver failed with {type(error).__name__}: {error}", errno=0)
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[-1]) if error.args else type(error).__name__
    if number == SERVER_SHUTDOWN or (number in DRIVERS_OWN and number != AUTH_PLUGIN):
        return MysqlError(text, errno=CANNOT_CONNECT)
    return MysqlError(text, errno=number)


def reason_of(error: Exception) -> str:
    """Return an error of a connection in one clause."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
