"""Waiting for states that no event announces, with the reason in the failure."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 300.0


async def until(why_not: Callable[[], Awaitable[str]], *, patience: float = PATIENCE) -> None:
    """Wait until `why_not` returns no reason; the failure has the last reason."""
    why = "it was not looked at once"
    try:
        async with asyncio.timeout(patience):
            while why := await why_not():  # noqa: ASYNC110 (what is waited for gives no event)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"still so after {patience:g} s: {why}") from None
