"""Hashes of passwords, and their check at a pace that guessing cannot use."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from vtorc.server.access.rules import PasswordHash

FREE_FAILURES = 3
"""Wrong passwords of one address that have no consequence."""

FIRST_PAUSE = 1.0
"""Seconds that an address has to wait after the next wrong one; doubled each time, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 60.0
"""Seconds that a pause grows to."""

MOST_ADDRESSES = 1024
"""Addresses whose failures are remembered; then the one that failed longest ago is forgotten."""

MOST_CHECKS = 16
"""Passwords that are checked or wait for it at a time; they are checked one after the other."""

_SALT_BYTES = 16
_NETWORK = 64
"""Bits of an IPv6 address that one client cannot choose."""

_log = logging.getLogger(__name__)
"""Its warnings reach vtorc's log through standard error."""


@dataclass(slots=True)
class _Failures:
    count: int
    until: float


def hash_password(user: str, password: str) -> PasswordHash:
    """Return the hash of a user and a password with a new salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(salt=salt, hash=_hash(user, password, salt))


def _hash(user: str, password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(f"{user}\0{password}".encode(), salt=salt, n=1 << 14, r=8, p=1)


class PasswordCheck:
    """Compares what clients send with one hash.

    Hashing takes tens of milliseconds of the processor by design. Thus a password that was right once is known again by
    a fast keyed digest, whose key lives only in this object, and an address that guesses is told to wait.
    """

    def __init__(self, wanted: PasswordHash, *, clock: Callable[[], float]) -> None:
        """Compare with `wanted`; `clock` returns seconds."""
        self._wanted = wanted
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: bytes | None = None
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def pause_or_right(self, user: str, password: str, address: str) -> float | bool:
        """Return whether user and password are right, or the seconds that this address has to wait before it asks."""
        fast = hmac.digest(self._key, f"{user}\0{password}".encode(), "sha256")
        if self._known is not None and hmac.compare_digest(fast, self._known):
            return True
        key = _network_of(address)
        if pause := self._pause(key):
            return pause
        if self._waiting >= MOST_CHECKS:
            return FIRST_PAUSE
        self._waiting += 1
        try:
            async with self._turn:
                if pause := self._pause(key):  # others of this address failed meanwhile
                    return pause
                found = await asyncio.to_thread(_hash, user, password, self._wanted.salt)
        finally:
            self._waiting -= 1
        if hmac.compare_digest(found, self._wanted.hash):
            self._known = fast
            self._failures.pop(key, None)
            return True
        self._fail(key, address)
        return False

    def _pause(self, key: str) -> float:
        failures = self._failures.get(key)
        return max(0.0, failures.until - self._clock()) if failures is not None else 0.0

    def _fail(self, key: str, address: str) -> None:
        failures = self._failures.setdefault(key, _Failures(0, 0.0))
        self._failures.move_to_end(key)
        failures.count += 1
        if failures.count > FREE_FAILURES:
            doublings = min(failures.count - FREE_FAILURES - 1, 10)
            pause = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
            failures.until = self._clock() + pause
            _log.warning(f"{address[:64]!r} sent {failures.count} wrong passwords; its next one waits {pause:g} s")
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
