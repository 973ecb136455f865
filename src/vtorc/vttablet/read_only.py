"""Turns a server read-only, either after its running commits or by force."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from vtorc.errors import MysqlError
from vtorc.vttablet.mysql_api import MysqlServer
from vtorc.vttablet.state import UNKNOWN_VARIABLE


async def turn_read_only(server: MysqlServer) -> None:
    """Turn super_read_only on, or read_only on a server without it; waits for running commits."""
    try:
        await server.set_super_read_only(True)
    except MysqlError as error:
        if error.errno != UNKNOWN_VARIABLE:
            raise
        await server.set_read_only(True)


async def by_force(
    server: MysqlServer,
    set_read_only: Coroutine[Any, Any, None],
    release_commits: Callable[[], Awaitable[None]],
    *,
    poll: float,
) -> None:
    """Run `set_read_only`, and call `release_commits` for the commits that it would wait for in vain.

    First MySQL holds new commits off, then the clients of the running ones lose their connections, and only then these
    commits are released. Every `poll` seconds it checks whether there are any. vttablet kills only the sessions of its
    own clients, before it turns MySQL read-only. A client of mysqld itself could then commit in between, or be told OK
    for a write that only this server has.
    """
    turning = asyncio.create_task(set_read_only)
    try:
        while not (await asyncio.wait({turning}, timeout=poll))[0]:
            if await server.holds_commits_off():
                await server.kill_application_sessions()
                if await server.semi_sync_wait_sessions():
                    await release_commits()
        await turning
    finally:
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)
