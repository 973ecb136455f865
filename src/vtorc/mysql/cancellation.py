"""What the MySQL driver makes of a cancellation."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def none_swallowed() -> Iterator[None]:
    """Raise CancelledError at the end for a cancellation that came inside, and that the driver has swallowed.

    It waits with `asyncio.wait_for`, which loses one that comes in the very moment when what it waits for is there, be
    that an error (Python 3.11): a task that goes on as if nothing had been said, and whoever cancelled it waits for
    ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
