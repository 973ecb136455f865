"""Calls to one topology server by several addresses: which is asked next, and for how long."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from vtorc.errors import TopoTimeout, TopoUnavailable

Endpoint = TypeVar("Endpoint")
Answer = TypeVar("Answer")

_LONGEST_PAUSE = 1.0
"""Most seconds between two rounds over all endpoints."""


def schemes(addresses: Iterable[str]) -> set[str]:
    """Return the schemes of addresses, such as `https`; empty for one without."""
    return {address.strip().rpartition("://")[0] for address in addresses}


class Transient(Exception):
    """An attempt failed in a way that another endpoint, or the same one a little later, may not have.

    Its text is one clause that names the endpoint. `arrived` is false if the request cannot have been carried out, as
    there was no connection to send it on.
    """

    def __init__(self, text: str, *, arrived: bool = True) -> None:
        super().__init__(text)
        self.arrived = arrived


class Endpoints(Generic[Endpoint]):
    """The addresses of one server, of which one is the current one.

    A call goes to the endpoint that answered last, and after a failure or its share of the time to the next one. Every
    call ends within `timeout` s. With several endpoints an attempt has a share of that, which doubles with each round.
    So one slow endpoint costs little, and a server that is slow as a whole still gets the time to answer.
    """

    def __init__(self, endpoints: Sequence[Endpoint], *, timeout: float, server: str, advice: str) -> None:
        """Take the endpoints in this order; `server` and `advice` are for messages."""
        self.server = server
        self.timeout = timeout
        self._endpoints = endpoints
        self._advice = advice
        self._current = 0
        self._closed = False

    @property
    def current(self) -> Endpoint:
        """The endpoint that is asked next; raises TopoUnavailable after `close`."""
        self.raise_if_closed()
        return self._endpoints[self._current]

    def switch_from(self, endpoint: Endpoint) -> None:
        """Ask the next endpoint from now on, unless another call has switched already."""
        if self._endpoints[self._current] is endpoint:
            self._current = (self._current + 1) % len(self._endpoints)

    def raise_if_closed(self) -> None:
        """Raise TopoUnavailable after `close`."""
        if self._closed:
            raise TopoUnavailable(f"this process has closed its connection to {self.server}")

    def close(self) -> None:
        """Refuse all further attempts."""
        self._closed = True

    async def call(self, what: str, attempt: Callable[[Endpoint, float], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """Return the first answer, and whether an earlier attempt may have been carried out without one.

        `attempt` gets the seconds that it may take. It raises Transient, or any other error, which ends the call.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timeout
        count = len(self._endpoints)
        first_share = self.timeout if count == 1 else max(0.1, self.timeout / (5 * count))
        tried, in_doubt = 0, False
        while True:
            endpoint = self.current
            share = min(first_share * 2 ** (tried // count), deadline - loop.time())
            try:
                return await attempt(endpoint, share), in_doubt
            except Transient as error:
                self.switch_from(endpoint)
                reason = str(error)
                in_doubt = in_doubt or error.arrived
            except asyncio.CancelledError:
                self.raise_if_closed()  # a closed channel may be reported as a cancellation
                raise
            except Exception:
                self.switch_from(endpoint)  # the cause may be this endpoint alone
                raise
            tried += 1
            pause = min(0.05 * 2 ** (tried // count), _LONGEST_PAUSE) if tried % count == 0 else 0.0
            if loop.time() + pause >= deadline:
                self.raise_if_closed()
                raise TopoTimeout(
                    f"{self.server} did not answer a {what} within {self.timeout:g} s, lastly {reason}; {self._advice}"
                )
            await asyncio.sleep(pause)
