"""Find out in the operating system's own words whether anybody listens at an address.

gRPC reports every failure to connect as UNAVAILABLE with a text for people. Whether a connection was refused (the host
is there, the process is not) or nobody answered (the host may be dead, or we may be cut off) leads to different
verdicts, so it is asked of the kernel, whose error numbers mean the same everywhere.
"""

import asyncio
import errno
import os
import socket
from typing import Any

from vtorc.errors import TabletUnreachable
from vtorc.tablet.lookup import look_up


async def reach(host: str, port: int, *, timeout: float) -> None:
    """Open a TCP connection and close it again.

    A host with several addresses is there if one of them answers; it refuses if one refuses and none stays silent.
    `timeout` is in seconds. Raises TabletUnreachable with reason "refused", "unreachable" or "timeout".
    """
    where = f"{host} port {port}"
    addresses: list[Any] = []
    try:
        async with asyncio.timeout(timeout):
            addresses = await _look_up(host, port)
            failures = await _knock_at_all(addresses)
    except TimeoutError:
        if not addresses:
            raise TabletUnreachable(
                f"{where}: looking up the name took longer than {timeout:g} s: is the name server up?",
                reason="unreachable",
            ) from None
        raise TabletUnreachable(f"{where}: no answer within {timeout:g} s", reason="timeout") from None
    if failures is not None:
        raise _verdict(where, failures)


async def _look_up(host: str, port: int) -> list[Any]:
    try:
        return await look_up(host, port)
    except (OSError, UnicodeError) as error:
        raise TabletUnreachable(f"{host}: the name cannot be looked up: {error}", reason="unreachable") from error


async def _knock_at_all(addresses: list[Any]) -> list[OSError] | None:
    """Knock at all addresses at once; None as soon as one of them opens, else how each failed."""
    knocks = [asyncio.create_task(_knock(address)) for address in addresses]
    try:
        failures: list[OSError] = []
        for knock in asyncio.as_completed(knocks):
            failure = await knock
            if failure is None:
                return None
            failures.append(failure)
        return failures
    finally:
        for task in knocks:
            task.cancel()
        await asyncio.gather(*knocks, return_exceptions=True)


async def _knock(address: Any) -> OSError | None:
    family, kind, protocol, _, sockaddr = address
    try:
        with socket.socket(family, kind, protocol) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, sockaddr)
    except OSError as failure:
        return failure
    return None


def _verdict(where: str, failures: list[OSError]) -> TabletUnreachable:
    by_number = {failure.errno: failure for failure in failures}
    for number, reason in ((errno.ETIMEDOUT, "timeout"), (errno.ECONNREFUSED, "refused")):
        if number in by_number:
            return TabletUnreachable(f"{where}: {_words(by_number[number])}", reason=reason)
    return TabletUnreachable(f"{where}: {'; '.join(map(_words, failures))}", reason="unreachable")


def _words(failure: OSError) -> str:
    return os.strerror(failure.errno) if failure.errno else str(failure)
