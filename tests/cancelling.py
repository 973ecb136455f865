"""Cancels a task at any of its steps, for tests that no step loses a cancellation."""

import asyncio


async def cancel_after(steps: int, task: asyncio.Task[object]) -> bool:
    """Cancel a task after so many turns of the loop and wait for its end; returns whether it had ended before.

    Fails if it went on, or ended in another way than as cancelled.
    """
    for _ in range(steps):
        await asyncio.sleep(0)
    ended = task.done()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or ended, f"cancelled at step {steps}, it ended otherwise"
    return ended
