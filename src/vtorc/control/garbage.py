"""When Python looks for garbage: rarely, and not amid a recovery.

Python counts new objects that outlive others, and looks through thousands of them in the middle of anything. Beside ten
thousand tablets that stopped the loops of the shards for 20 to 40 ms about once a second. When all objects were looked
through, they stopped for 150 ms (November 2026). Almost all of vtorc's objects end without that, as nothing refers back
to them.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

EVERY = 600.0
"""Seconds between two times that all objects are looked through."""

MOST_NEW = 200_000
"""Objects that are made and not ended before Python looks all the same: about 30 MB."""

_LOOK_AGAIN = 1.0
"""Seconds until a recovery that was under way may have ended."""


@asynccontextmanager
async def rare_garbage_collection(is_busy: Callable[[], bool]) -> AsyncIterator[None]:
    """Look for garbage only now and then, until the end of the context; not while `is_busy`."""
    before = gc.get_threshold()
    gc.set_threshold(MOST_NEW, *before[1:])
    task = asyncio.create_task(_collect(is_busy), name="garbage")
    try:
        yield
    finally:
        task.cancel()
        gc.set_threshold(*before)
        await asyncio.gather(task, return_exceptions=True)


async def _collect(is_busy: Callable[[], bool]) -> None:
    rest = EVERY
    while True:
        await asyncio.sleep(rest)
        if is_busy():
            rest = _LOOK_AGAIN
        else:
            gc.collect()
            rest = EVERY
