"""Lookup of host names in which a name server that does not answer delays no other names.

The event loop's own lookup has four threads (uvloop) or a few more (asyncio). A lookup that its caller gives up
continues in its thread, and a failing one takes 5 s and more. So the loss of a cell, or of its name server, would block
all threads, and vtorc could dial no tablet any more.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Addresses = list[Any]
"""The result of `socket.getaddrinfo`."""

AT_ONCE = 256
"""Most lookups under way at a time; each has a thread that only waits."""

SLOW_AT_ONCE = 192
"""Most lookups under way at a time for names that were slow the last time; the rest is left to the other names."""

SLOW = 1.0
"""Seconds from which on a lookup is slow."""

PATIENCE = 0.25
"""Seconds to wait for a new lookup if the addresses of an earlier one are known."""

_MOST_KNOWN = 50_000


class Lookups:
    """The name lookups of one event loop: one at a time for each name, shared by all callers that need it."""

    def __init__(self, look_up: Callable[[str], Addresses], *, at_once: int = AT_ONCE, slow: float = SLOW) -> None:
        """Call `look_up`, which may block for long, in threads that do not keep the program from ending.

        `slow` is the number of seconds from which on a lookup is slow.
        """
        self._look_up = look_up
        self._at_once = at_once
        self._slow_from = slow
        self._loop = asyncio.get_running_loop()
        self._pending: dict[str, asyncio.Future[Addresses]] = {}
        self._known: dict[str, Addresses] = {}
        self._slow: set[str] = set()
        self._waiting: tuple[deque[str], deque[str]] = (deque(), deque())
        self._running = [0, 0]

    async def addresses(self, host: str) -> Addresses:
        """Return a host's addresses without port, from its last lookup if a new one takes longer than `PATIENCE`.

        Raises OSError or UnicodeError as `look_up` does. If the caller is cancelled, the lookup continues for the next
        caller.
        """
        pending = self._pending.get(host) or self._begin(host)
        known = self._known.get(host)
        if known is None:
            return await asyncio.shield(pending)
        await asyncio.wait((pending,), timeout=PATIENCE)
        return pending.result() if pending.done() else known

    def _begin(self, host: str) -> asyncio.Future[Addresses]:
        pending = self._pending[host] = self._loop.create_future()
        pending.add_done_callback(_retrieve_exception)
        self._waiting[host in self._slow].append(host)
        self._start_threads()
        return pending

    def _start_threads(self) -> None:
        for slow in (False, True):
            most = self._at_once * SLOW_AT_ONCE // AT_ONCE if slow else self._at_once
            while self._waiting[slow] and sum(self._running) < self._at_once and self._running[slow] < most:
                self._running[slow] += 1
                arguments = (self._waiting[slow].popleft(), slow, self._loop.time())
                threading.Thread(target=self._run, args=arguments, name="lookup", daemon=True).start()

    def _run(self, host: str, slow: bool, began: float) -> None:
        answer: Addresses | Exception
        try:
            answer = self._look_up(host)
        except Exception as error:
            answer = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed, and with it all callers have ended
            self._loop.call_soon_threadsafe(self._finish, host, slow, began, answer)

    def _finish(self, host: str, slow: bool, began: float, answer: Addresses | Exception) -> None:
        self._running[slow] -= 1
        (self._slow.add if self._loop.time() - began >= self._slow_from else self._slow.discard)(host)
        self._known.pop(host, None)
        pending = self._pending.pop(host)
        if isinstance(answer, Exception):
            pending.set_exception(answer)
        else:
            self._known[host] = answer
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            pending.set_result(answer)
        self._start_threads()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookups] = WeakKeyDictionary()


async def look_up(host: str, port: int) -> Addresses:
    """Return the addresses of a host for TCP connections to this port; raises OSError or UnicodeError."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = Lookups(_system_lookup)
    found = await _of_loop[loop].addresses(host)
    return [(*rest, (address[0], port, *address[2:])) for *rest, address in found]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _system_lookup(host: str) -> Addresses:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


def _retrieve_exception(pending: asyncio.Future[Addresses]) -> None:
    if not pending.cancelled():
        pending.exception()  # asyncio would log it as never retrieved if all callers were cancelled
