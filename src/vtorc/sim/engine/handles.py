"""The callbacks of the simulator's event loop: those that are ready, and those with an instant."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any


class SimHandle(asyncio.Handle):
    """A callback in the ready queue; the cheap part of `asyncio.Handle`, which the loop fills in."""

    __slots__ = ()

    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: contextvars.Context

    # Class attributes, as a second of virtual time makes thousands of handles and these never differ between them.
    _repr = None
    _source_traceback = None

    def cancel(self) -> None:
        """Keep the callback from being called."""
        self._cancelled = True
        self._callback = _nothing
        self._args = ()


class SimTimer(asyncio.TimerHandle):
    """A callback with an instant of virtual time, which the loop fills in."""

    __slots__ = ()

    _callback: Callable[..., object]
    _args: tuple[Any, ...]
    _context: contextvars.Context
    _loop: asyncio.AbstractEventLoop
    _when: float
    _scheduled: bool

    _repr = None
    _source_traceback = None

    def cancel(self) -> None:
        """Keep the callback from being called."""
        if not self._cancelled:
            self._cancelled = True
            self._callback = _nothing
            self._args = ()
            if self._scheduled:
                self._loop._timer_handle_cancelled(self)  # type: ignore[attr-defined]


def _nothing() -> None:
    return None
