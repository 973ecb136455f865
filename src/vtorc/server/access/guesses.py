"""Pauses for addresses that send wrong passwords or tokens."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

FREE_FAILURES = 3
"""Wrong ones of one address that have no consequence."""

FIRST_PAUSE = 1.0
"""Seconds that an address has to wait after the next wrong one; doubled each time, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 60.0
"""Seconds that a pause grows to."""

MOST_ADDRESSES = 1024
"""Addresses whose failures are remembered; then the one that failed longest ago is forgotten."""

_NETWORK = 64
"""Bits of an IPv6 address that one client cannot choose."""

_log = logging.getLogger(__name__)
"""Its warnings reach vtorc's log through standard error."""


@dataclass(slots=True)
class _Failures:
    count: int
    until: float


class Guesses:
    """Counts the failures of each address."""

    def __init__(self, what: str, *, clock: Callable[[], float]) -> None:
        """Name in the log `what` is guessed, such as "passwords"; `clock` returns seconds."""
        self._what = what
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def pause(self, address: str) -> float:
        """Return the seconds that an address has to wait before it asks again; 0 if it need not."""
        failures = self._failures.get(_network_of(address))
        return max(0.0, failures.until - self._clock()) if failures is not None else 0.0

    def forget(self, address: str) -> None:
        """Forget the failures of an address, which got it right."""
        self._failures.pop(_network_of(address), None)

    def fail(self, address: str) -> None:
        """Count a failure; from the fourth on each is logged, and followed by a pause."""
        key = _network_of(address)
        failures = self._failures.setdefault(key, _Failures(0, 0.0))
        self._failures.move_to_end(key)
        failures.count += 1
        if failures.count > FREE_FAILURES:
            doublings = min(failures.count - FREE_FAILURES - 1, 10)
            pause = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
            failures.until = self._clock() + pause
            _log.warning(f"{address[:64]!r} sent {failures.count} wrong {self._what}; its next one waits {pause:g} s")
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)


def _network_of(address: str) -> str:
    """Return what one client cannot change: an IPv4 address, or the network of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{int(parsed) >> (128 - _NETWORK):x}"
    return str(parsed)
