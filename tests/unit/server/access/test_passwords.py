"""The pace at which passwords may be tried."""

import asyncio

import pytest

from vtorc.server.access import passwords
from vtorc.server.access.guesses import FIRST_PAUSE, FREE_FAILURES, LONGEST_PAUSE, MOST_ADDRESSES, Guesses
from vtorc.server.access.passwords import MOST_CHECKS, PasswordCheck, hash_password

HASH = hash_password("ops", "hunter2")


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def fast_hash(user: str, password: str, salt: bytes) -> bytes:
    """Stand in for scrypt where many passwords are tried."""
    return HASH.hash if (user, password) == ("ops", "hunter2") else b"other"


async def test_pauses_grow_and_end(caplog: pytest.LogCaptureFixture) -> None:
    """After a few free ones each wrong password doubles the pause of its address, up to a limit, and is logged."""
    clock = Clock()
    check = PasswordCheck(HASH, clock=clock)
    for _ in range(FREE_FAILURES):
        assert await check.pause_or_right("ops", "x", "10.0.0.1") is False
    pauses = []
    for _ in range(8):
        assert await check.pause_or_right("ops", "x", "10.0.0.1") is False
        pause = await check.pause_or_right("ops", "hunter2", "10.0.0.1")
        pauses.append(pause)
        clock.now += pause
    assert pauses == [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(8)]
    assert await check.pause_or_right("ops", "hunter2", "10.0.0.1") is True
    assert caplog.messages[0] == "'10.0.0.1' sent 4 wrong passwords; its next one waits 1 s"
    assert len(caplog.messages) == 8


@pytest.mark.parametrize(
    ("other", "pauses"), [("10.0.0.2", False), ("2001:db8::1:2", True), ("2001:db8:0:1::1", False)]
)
async def test_a_pause_is_for_one_client(other: str, pauses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One IPv4 address waits alone, and with an IPv6 address its network, of which a client has all addresses."""
    monkeypatch.setattr(passwords, "_hash", fast_hash)
    check = PasswordCheck(HASH, clock=Clock())
    for _ in range(FREE_FAILURES + 1):
        await check.pause_or_right("ops", "x", "2001:db8::1")
    found = await check.pause_or_right("ops", "x", other)
    assert (found is not False) is pauses


def test_a_bounded_number_of_addresses_is_remembered() -> None:
    """The address that failed longest ago is forgotten."""
    guesses = Guesses("passwords", clock=Clock())
    for _ in range(FREE_FAILURES + 1):
        guesses.fail("10.9.9.9")
    assert guesses.pause("10.9.9.9") == FIRST_PAUSE
    for number in range(MOST_ADDRESSES):
        guesses.fail(f"10.0.{number // 256}.{number % 256}")
    assert guesses.pause("10.9.9.9") == 0


async def test_many_at_a_time_are_told_to_wait() -> None:
    """Passwords of many addresses are checked one after the other, and a bounded number of them waits."""
    check = PasswordCheck(HASH, clock=Clock())
    tries = [check.pause_or_right("ops", "x", f"10.0.0.{number}") for number in range(MOST_CHECKS + 5)]
    found = await asyncio.gather(*tries)
    assert found.count(False) == MOST_CHECKS
    assert found.count(FIRST_PAUSE) == 5


def test_a_hash_shows_nothing_and_has_its_own_salt() -> None:
    """The same password has another hash at each start, and neither is shown."""
    other = hash_password("ops", "hunter2")
    assert other.salt != HASH.salt
    assert other.hash != HASH.hash
    assert repr(HASH) == "PasswordHash(…)"
