"""Cancellation of a task that waits in the MySQL driver."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reraise_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end if the task was cancelled inside, also if the driver swallowed the cancellation.

    The driver waits with `asyncio.wait_for`. In Python 3.11 that loses a cancellation which comes at the moment when
    the awaited result, or error, arrives. The task would then go on, and the task that cancelled it would wait for
    ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
