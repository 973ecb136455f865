"""Asks a mysqld itself for its status, over a connection of its own, and tells how far that came."""

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncmy import errors as driver

from vtorc.core.facts.direct_answer import ANSWERS_WITHIN, DirectAnswer, DirectOutcome
from vtorc.core.facts.status import TabletStatus
from vtorc.errors import TabletBadAnswer
from vtorc.mysql.cancellation import reraise_cancellation
from vtorc.mysql.held import (
    AUTH_PLUGIN,
    DRIVERS_OWN,
    SERVER_SHUTDOWN,
    MysqlCredentials,
    new_connection,
    reason_of,
    take_leave,
)
from vtorc.mysql.survey import Row, refuse_mariadb, survey

_NOT_CONNECTED = "Not connected"  # the driver's word until the kernel of the other host has accepted
_REFUSED = f"[Errno {errno.ECONNREFUSED}]"


async def ask(address: tuple[str, int], credentials: MysqlCredentials) -> DirectAnswer:
    """Ask the mysqld at this host and port for its status; a failure is an answer too, and no error is raised.

    It is over within about `ANSWERS_WITHIN`.
    """
    raw = new_connection(address, credentials, ANSWERS_WITHIN)
    deadline = asyncio.get_running_loop().time() + ANSWERS_WITHIN
    is_in = False
    try:
        with reraise_cancellation(), _quick_to_leave(raw):
            async with asyncio.timeout_at(deadline):
                await raw.connect()
                is_in = True
                status = await _status(raw)
        return DirectAnswer(outcome=DirectOutcome.ANSWERS, status=status)
    except TabletBadAnswer as error:
        is_mysql = "MariaDB" not in _version(raw)
        return DirectAnswer(outcome=DirectOutcome.ANSWERS if is_mysql else DirectOutcome.MARIADB, text=str(error))
    except Exception as error:  # also an unexpected error of the driver only means that there is no answer
        is_over = asyncio.get_running_loop().time() >= deadline
        return DirectAnswer(outcome=_outcome(raw, error, is_in=is_in, is_over=is_over), text=_text(error))


async def _status(raw: Any) -> TabletStatus:
    refuse_mariadb(_version(raw))

    async def fetch(sql: str) -> list[Row]:
        await raw.query(sql)
        result = raw._result
        names = [column.name for column in result.fields or ()]
        return [dict(zip(names, map(_as_text, row), strict=True)) for row in result.rows or ()]

    return await survey(fetch)


@contextmanager
def _quick_to_leave(raw: Any) -> Iterator[None]:
    """Close the connection at the end without waiting, and tell the server if it has let vtorc in."""
    try:
        yield
    finally:
        if raw._transport is not None:
            take_leave(raw._transport)
        raw.close()


def _outcome(raw: Any, error: Exception, *, is_in: bool, is_over: bool) -> DirectOutcome:
    number = error.args[0] if isinstance(error, driver.MySQLError) and error.args else 0
    if isinstance(number, int) and (number == AUTH_PLUGIN or (number >= 1000 and number not in DRIVERS_OWN)):
        if number == SERVER_SHUTDOWN:
            return DirectOutcome.REFUSED
        return DirectOutcome.ANSWERS if is_in else DirectOutcome.REFUSES_LOGIN
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    # The driver may turn the cancellation by our deadline into an error of its own.
    if is_over or isinstance(cause, TimeoutError):
        if raw.host_info == _NOT_CONNECTED:
            return DirectOutcome.UNREACHABLE
        return DirectOutcome.GREETS if _version(raw) else DirectOutcome.NO_GREETING
    return DirectOutcome.REFUSED if _REFUSED in str(cause) else DirectOutcome.UNREACHABLE


def _version(raw: Any) -> str:
    """Return the version in the server's greeting; empty before that came."""
    return str(getattr(raw, "server_version", ""))


def _text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWERS_WITHIN:g} s"
    if isinstance(error, driver.MySQLError) and len(error.args) > 1:
        return f"{error.args[-1]} (errno {error.args[0]})"
    return reason_of(error)


def _as_text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
