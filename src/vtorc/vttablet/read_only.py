"""Turning a server read-only, with or without patience for the commits that run."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from vtorc.errors import MysqlError
from vtorc.vttablet.mysql_api import MysqlServer
from vtorc.vttablet.state import UNKNOWN_VARIABLE


async def turn_read_only(server: MysqlServer) -> None:
    """Turn super_read_only on, or read_only where there is no other; waits for running commits."""
    try:
        await server.set_super_read_only(True)
    except MysqlError as error:
        if error.errno != UNKNOWN_VARIABLE:
            raise
        await server.set_read_only(True)


async def by_force(
    server: MysqlServer, turn: Coroutine[Any, Any, None], let_go: Callable[[], Awaitable[None]], *, poll: float
) -> None:
    """Run `turn`, which turns the server read-only, and `let_go` of commits that it would wait for in vain.

    New commits are kept out first, then the clients of the running ones are cut off, and only then those are let go;
    every `poll` seconds it is looked whether there are any. vttablet kills only what came through it, before it turns
    MySQL read-only: a client that goes past it would be told that a write is safe which only this server has, or could
    slip one in between.
    """
    turning = asyncio.create_task(turn)
    try:
        while not (await asyncio.wait({turning}, timeout=poll))[0]:
            if await server.holds_commits_off():
                await server.kill_application_sessions()
                if await server.semi_sync_wait_sessions():
                    await let_go()
        await turning
    finally:
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)
