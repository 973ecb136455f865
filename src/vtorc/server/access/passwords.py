"""Hashes of passwords, and their check at a pace that guessing cannot use."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable

from vtorc.server.access.guesses import FIRST_PAUSE, Guesses
from vtorc.server.access.rules import PasswordHash

MOST_CHECKS = 16
"""Passwords that are checked or wait for it at a time; they are checked one after the other."""

_SALT_BYTES = 16


def hash_password(user: str, password: str) -> PasswordHash:
    """Return the hash of a user and a password with a new salt."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(salt=salt, hash=_hash(user, password, salt))


def _hash(user: str, password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(f"{user}\0{password}".encode(), salt=salt, n=1 << 14, r=8, p=1)


class PasswordCheck:
    """Compares what clients send with one hash.

    Hashing takes tens of milliseconds of the processor by design. Thus a password that was right once is known again by
    a fast keyed digest, with a key that only this object has. An address that guesses is told to wait.
    """

    def __init__(self, wanted: PasswordHash, *, clock: Callable[[], float]) -> None:
        """Compare with `wanted`; `clock` returns seconds."""
        self._wanted = wanted
        self._key = secrets.token_bytes(32)
        self._known: bytes | None = None
        self._guesses = Guesses("passwords", clock=clock)
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def pause_or_right(self, user: str, password: str, address: str) -> float | bool:
        """Return whether user and password are right, or the seconds that this address has to wait before it asks."""
        fast = hmac.digest(self._key, f"{user}\0{password}".encode(), "sha256")
        if self._known is not None and hmac.compare_digest(fast, self._known):
            return True
        if pause := self._guesses.pause(address):
            return pause
        if self._waiting >= MOST_CHECKS:
            return FIRST_PAUSE
        self._waiting += 1
        try:
            async with self._turn:
                if pause := self._guesses.pause(address):  # others of this address failed meanwhile
                    return pause
                found = await asyncio.to_thread(_hash, user, password, self._wanted.salt)
        finally:
            self._waiting -= 1
        if hmac.compare_digest(found, self._wanted.hash):
            self._known = fast
            self._guesses.forget(address)
            return True
        self._guesses.fail(address)
        return False
