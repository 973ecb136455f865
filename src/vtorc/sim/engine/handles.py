"""The callbacks of the simulator's event loop: those that are ready, and those with an instant."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any


class SimHandle(asyncio.Handle):
    """A callback in the ready queue; the cheap part of `asyncio.Handle`."""

    __slots__ = ()

    # Class attributes, as a second of virtual time makes thousands of handles and these never differ between them.
    _repr = None
    _source_traceback = None

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context) -> None:
        self._callback = callback
        self._args = args
        self._context = context
        self._cancelled = False

    def cancel(self) -> None:
        """Keep the callback from being called."""
        self._cancelled = True
        self._callback = _nothing
        self._args = ()


class SimTimer(asyncio.TimerHandle):
    """A callback with an instant of virtual time."""

    __slots__ = ()

    _repr = None
    _source_traceback = None

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.BaseEventLoop,
        context: contextvars.Context,
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = context
        self._cancelled = False
        self._when = when
        self._scheduled = True

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
