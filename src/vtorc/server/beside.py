"""Runs the HTTP side beside the daemon, which goes on whatever happens here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

REST = 1.0
"""Seconds until a part of the HTTP side begins anew after a mistake in it."""

Run = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def beside(runs: Iterable[Run]) -> AsyncIterator[None]:
    """Run parts of the HTTP side until the end of the context; failovers depend on none of them."""
    tasks = [asyncio.create_task(_keep_running(run), name="HTTP") for run in runs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(run: Run) -> None:
    """Run a part; a mistake in it is logged, and it begins anew after a rest."""
    while True:
        try:
            return await run()
        except Exception:
            _log.exception(f"the HTTP side failed by a mistake of vtorc's own; it begins anew in {REST:g} s")
            await asyncio.sleep(REST)
