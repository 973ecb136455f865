"""Changes of what operators told vtorc, in the store that keeps it: alone, in time, and on a state that is known."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from vtorc.discovery.lateness import OnTimeClock
from vtorc.errors import OrdersFileError

KEPT_WITHIN = 10.0
"""Seconds within which a change must be kept; after that it is refused."""


class StoreChanges:
    """Lets one change of a store be made after the other.

    A change that was cancelled, or took too long, may be in the store or not. So the store is read before the next one.
    """

    def __init__(
        self, clock: OnTimeClock, read: Callable[[], Awaitable[None]], *, is_read: bool, what: str, advice: str
    ) -> None:
        """Call `read` to take over what the store has, unless it `is_read` already.

        `what` and `advice` are for the error of a change that took too long.
        """
        self._clock = clock
        self._read = read
        self._is_read = is_read
        self._late = (
            f"the {what} was not on the disk within {KEPT_WITHIN:g} s, and may get there later: check the disk{advice}"
        )
        self._changing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def make(self) -> AsyncIterator[None]:
        """Make a change in the context, with no other beside it; raises OrdersFileError if it is not kept in time."""
        async with self._changing:
            try:
                async with self._clock.timeout(KEPT_WITHIN):
                    if not self._is_read:
                        await self._read()
                        self._is_read = True
                    yield
            except TimeoutError:
                self._is_read = False
                raise OrdersFileError(self._late) from None
            except asyncio.CancelledError:
                self._is_read = False
                raise
