"""Look up the names of hosts, so that names whose name server is silent delay no others.

The event loop's own lookup has four threads (uvloop) or a few more (asyncio), a lookup that is given up goes on in
them, and one that fails takes 5 s and more: with a lost cell, or its name server, nobody would be dialled any more.
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
"""What `socket.getaddrinfo` returns."""

AT_ONCE = 256
"""Lookups under way at a time; each is a thread that does nothing but wait."""

SLOW_AT_ONCE = 192
"""Lookups under way at a time of names that took long the last time: they leave some room to the others."""

SLOW = 1.0
"""Seconds from which on a lookup is slow."""

PATIENCE = 0.25
"""Seconds that a new lookup is waited for where the addresses of the last one are known."""

_MOST_KNOWN = 50_000


class Lookups:
    """The name lookups of one event loop: one at a time for each name, shared by all who ask for it."""

    def __init__(self, look_up: Callable[[str], Addresses], *, at_once: int = AT_ONCE, slow: float = SLOW) -> None:
        """Ask `look_up`, which may block for long; it is called in threads that do not keep the program from ending.

        `slow` is in seconds.
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
        """Return a host's addresses, of its last lookup if a new one takes long; port and protocol are not filled in.

        Raises OSError or UnicodeError as `look_up` does. Who is cancelled leaves the lookup to the next who asks.
        """
        pending = self._pending.get(host) or self._begin(host)
        known = self._known.get(host)
        if known is None:
            return await asyncio.shield(pending)
        await asyncio.wait((pending,), timeout=PATIENCE)
        return pending.result() if pending.done() else known

    def _begin(self, host: str) -> asyncio.Future[Addresses]:
        pending = self._pending[host] = self._loop.create_future()
        pending.add_done_callback(_forgive)
        self._waiting[host in self._slow].append(host)
        self._start_what_may()
        return pending

    def _start_what_may(self) -> None:
        for slow in (False, True):
            most = self._at_once * SLOW_AT_ONCE // AT_ONCE if slow else self._at_once
            while self._waiting[slow] and sum(self._running) < self._at_once and self._running[slow] < most:
                self._running[slow] += 1
                arguments = (self._waiting[slow].popleft(), slow, self._loop.time())
                threading.Thread(target=self._ask, args=arguments, name="lookup", daemon=True).start()

    def _ask(self, host: str, slow: bool, began: float) -> None:
        answer: Addresses | Exception
        try:
            answer = self._look_up(host)
        except Exception as error:
            answer = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed, nobody wants to know any more
            self._loop.call_soon_threadsafe(self._take, host, slow, began, answer)

    def _take(self, host: str, slow: bool, began: float, answer: Addresses | Exception) -> None:
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
        self._start_what_may()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookups] = WeakKeyDictionary()


async def look_up(host: str, port: int) -> Addresses:
    """Return the addresses of a host for TCP connections to this port; raises OSError or UnicodeError."""
    if _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = Lookups(_ask_system)
    found = await _of_loop[loop].addresses(host)
    return [(*rest, (address[0], port, *address[2:])) for *rest, address in found]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ask_system(host: str) -> Addresses:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


def _forgive(pending: asyncio.Future[Addresses]) -> None:
    if not pending.cancelled():
        pending.exception()  # nobody may be left who wants to know
