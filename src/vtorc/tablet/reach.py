"""A test, by the operating system's own error numbers, whether a process listens at an address.

Every failure to connect is UNAVAILABLE with a free text in gRPC. But a refused connection shows that the host is up and
the process is not. After a missing answer the host may be dead, or vtorc may be cut off. The kernel tells the two
apart, with error numbers that mean the same everywhere.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from vtorc.errors import TabletUnreachable
from vtorc.tablet.lookup import look_up

Timeout = Callable[[float], AbstractAsyncContextManager[object]]
"""Makes a deadline of so many seconds, as `asyncio.timeout` does; of another clock, if the process may be late."""


async def reach(host: str, port: int, *, timeout: float, deadline: Timeout = asyncio.timeout) -> None:
    """Open a TCP connection and close it again.

    A host with several addresses is reachable if one of them accepts; it refuses if one refuses and none is silent.
    `timeout` is in seconds. Raises TabletUnreachable with reason "refused", "unreachable" or "timeout".
    """
    name = f"{host} port {port}"
    addresses: list[Any] = []
    try:
        async with deadline(timeout):
            addresses = await _look_up(host, port)
            failures = await _connect_to_any(addresses)
    except TimeoutError:
        if not addresses:
            raise TabletUnreachable(
                f"{name}: looking up the name took longer than {timeout:g} s: check the name server",
                reason="unreachable",
            ) from None
        raise TabletUnreachable(f"{name}: no answer within {timeout:g} s", reason="timeout") from None
    if failures is not None:
        raise _unreachable(name, failures)


async def _look_up(host: str, port: int) -> list[Any]:
    try:
        return await look_up(host, port)
    except (OSError, UnicodeError) as error:
        raise TabletUnreachable(f"{host}: the name cannot be looked up: {error}", reason="unreachable") from error


async def _connect_to_any(addresses: list[Any]) -> list[OSError] | None:
    """Connect to all addresses at once; None as soon as one accepts, else the failure of each."""
    attempts = [asyncio.create_task(_connect(address)) for address in addresses]
    try:
        failures: list[OSError] = []
        for attempt in asyncio.as_completed(attempts):
            failure = await attempt
            if failure is None:
                return None
            failures.append(failure)
        return failures
    finally:
        for task in attempts:
            task.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)


async def _connect(address: Any) -> OSError | None:
    family, kind, protocol, _, sockaddr = address
    try:
        with socket.socket(family, kind, protocol) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, sockaddr)
    except OSError as failure:
        return failure
    return None


def _unreachable(name: str, failures: list[OSError]) -> TabletUnreachable:
    by_number = {failure.errno: failure for failure in failures}
    for number, reason in ((errno.ETIMEDOUT, "timeout"), (errno.ECONNREFUSED, "refused")):
        if number in by_number:
            return TabletUnreachable(f"{name}: {_text(by_number[number])}", reason=reason)
    return TabletUnreachable(f"{name}: {'; '.join(map(_text, failures))}", reason="unreachable")


def _text(failure: OSError) -> str:
    return os.strerror(failure.errno) if failure.errno else str(failure)
