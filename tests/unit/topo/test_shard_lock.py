import asyncio

import pytest

from vtorc.core.facts.ids import ShardId
from vtorc.errors import LockHeld, LockLost, TopoError, TopoUnavailable
from vtorc.topo.conn import TopoLock
from vtorc.topo.shard_lock import ShardLock

SHARD = ShardId("ks", "0")


class ScriptedLock:
    """A lock of a topology server, which notes its calls and fails where it is told to."""

    key = "/locks/ks/0"

    def __init__(self, *, lost: bool = False, unreleasable: TopoError | None = None) -> None:
        self.lost = asyncio.Event()
        self.calls: list[str] = []
        self._lost = lost
        self._unreleasable = unreleasable

    async def check(self) -> None:
        self._note("check")

    def check_clock(self) -> None:
        self._note("check_clock")

    async def release(self) -> None:
        self.calls.append("release")
        if self._unreleasable is not None:
            raise self._unreleasable

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self._lost:
            raise LockLost("the lock is gone")


def shard_lock(lock: TopoLock) -> ShardLock:
    """Return the shard's lock, which is taken as `lock`."""

    async def take() -> TopoLock:
        return lock

    return ShardLock(SHARD, take)


async def test_a_lock_is_asked_while_it_is_held_and_released_at_the_end() -> None:
    """Each check reaches the server's lock or its clock, and the end of the block gives it back."""
    lock = ScriptedLock()
    async with shard_lock(lock) as held:
        await held.check()
        held.check_clock()
        assert held.lost is lock.lost
        assert lock.calls == ["check", "check_clock"]
    assert lock.calls == ["check", "check_clock", "release"]


@pytest.mark.parametrize("asks_server", [True, False])
async def test_a_lost_lock_ends_the_work_and_is_released_all_the_same(asks_server: bool) -> None:
    """A check that raises LockLost is not swallowed, whether it asks the server or only the clock."""
    lock = ScriptedLock(lost=True)
    with pytest.raises(LockLost, match="the lock is gone"):
        async with shard_lock(lock) as held:
            await held.check() if asks_server else held.check_clock()
    assert lock.calls[-1] == "release"


async def test_a_release_that_fails_does_not_hide_how_the_work_ended() -> None:
    """The lock ends with its lease then; the work has been done, or has failed with an error of its own."""
    refused = TopoUnavailable("no server there")
    done = False
    async with shard_lock(ScriptedLock(unreleasable=refused)):
        done = True
    assert done
    with pytest.raises(ValueError, match="of the work"):
        async with shard_lock(ScriptedLock(unreleasable=refused)):
            raise ValueError("an error of the work")


async def test_an_error_in_the_program_of_a_release_is_told() -> None:
    """Only what a topology server answers is expected there."""
    lock = ScriptedLock()

    async def broken() -> None:
        raise ZeroDivisionError

    lock.release = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        async with shard_lock(lock):
            pass


async def test_a_lock_that_was_not_taken_allows_nothing() -> None:
    """Code that forgets to take it is told how to, and code that could not take it does not go on."""
    lock = shard_lock(ScriptedLock())
    for ask in (lock.check_clock, lambda: lock.lost):
        with pytest.raises(LockLost, match=r"lock of shard ks/0 was not taken; use it with `async with`"):
            ask()
    with pytest.raises(LockLost, match="was not taken"):
        await lock.check()

    async def held_by_another() -> TopoLock:
        raise LockHeld("/locks/ks/0", "another vtorc")

    with pytest.raises(LockHeld):
        async with ShardLock(SHARD, held_by_another):
            raise AssertionError("the work began without its lock")
