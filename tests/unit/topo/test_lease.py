import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from vtorc.errors import LockLost, TopoTimeout, TopoUnavailable
from vtorc.sim.engine.loop import current_loop, forever, run
from vtorc.topo.lease import LeasedLock, OwnedLocks

TTL = 30.0


class ScriptedLease:
    """A lease with scripted answers of the server, which records the times of its calls."""

    def __init__(self, answer: Callable[[float], bool] = lambda now: True) -> None:
        self.answer = answer
        self.refreshed: list[float] = []
        self.revoked: list[float] = []
        self.hang = False

    async def refresh(self) -> bool:
        now = asyncio.get_running_loop().time()
        self.refreshed.append(now)
        if self.hang:
            await forever()
        return self.answer(now)

    async def revoke(self) -> None:
        if self.hang:
            await forever()
        await asyncio.sleep(1.0)
        self.revoked.append(asyncio.get_running_loop().time())


def held(lease: ScriptedLease) -> tuple[LeasedLock, OwnedLocks]:
    """Return a lock that is held from now on."""
    owner = OwnedLocks()
    return owner.add("/root/d/locks/1", lease, ttl=TTL, granted_at=asyncio.get_running_loop().time()), owner


def unreachable_from(moment: float) -> Callable[[float], bool]:
    """Answer until `moment`, then raise."""

    def answer(now: float) -> bool:
        if now >= moment:
            raise TopoUnavailable("no server there")
        return True

    return answer


def test_lock_is_refreshed_every_third_of_its_ttl() -> None:
    """A held lock is refreshed three times in each TTL."""

    async def main() -> list[float]:
        lease = ScriptedLease()
        lock, _ = held(lease)
        await asyncio.sleep(95.0)
        assert not lock.lost.is_set()
        await lock.release()
        await asyncio.sleep(100.0)
        return lease.refreshed

    assert run(main()) == [10.0 * turn for turn in range(1, 10)]


def test_lock_is_lost_when_its_lease_is_gone() -> None:
    """A refresh that finds the lease ended sets `lost` at once."""

    async def main() -> float:
        lease = ScriptedLease(lambda now: now < 15.0)
        lock, _ = held(lease)
        await lock.lost.wait()
        with pytest.raises(LockLost, match="no longer has its lease or its key"):
            await lock.check()
        return asyncio.get_running_loop().time()

    assert run(main()) == 20.0


def test_lock_is_lost_one_ttl_after_the_last_good_refresh() -> None:
    """While the server does not answer, the lock counts as held for one TTL from the start of the last good refresh."""

    async def main() -> tuple[float, int]:
        lease = ScriptedLease(unreachable_from(15.0))
        lock, _ = held(lease)
        await lock.lost.wait()
        with pytest.raises(LockLost, match=r"could not be refreshed in time \(no server there\)"):
            await lock.check()
        return asyncio.get_running_loop().time(), len(lease.refreshed)

    moment, attempts = run(main())
    assert moment == pytest.approx(40.0)
    assert attempts > 20


def test_hanging_server_loses_the_lock_in_time() -> None:
    """A refresh that never returns does not keep a lock alive beyond its TTL."""

    async def main() -> float:
        lease = ScriptedLease()
        lock, _ = held(lease)
        await asyncio.sleep(12.0)
        lease.hang = True
        await lock.lost.wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 40.0


def test_outage_shorter_than_the_ttl_is_survived() -> None:
    """A lock stays held over an outage during which its lease cannot have ended."""

    async def main() -> bool:
        lease = ScriptedLease()
        lock, _ = held(lease)
        lease.answer = unreachable_from(10.0)
        await asyncio.sleep(29.0)
        lease.answer = lambda now: True
        await asyncio.sleep(60.0)
        await lock.check()
        return lock.lost.is_set()

    assert run(main()) is False


def test_check_without_an_answer_is_no_confirmation() -> None:
    """A check that the server does not answer raises LockLost, though the lock is not known to be lost."""

    async def main() -> float:
        lease = ScriptedLease(unreachable_from(3.0))
        lock, _ = held(lease)
        await asyncio.sleep(5.0)
        with pytest.raises(LockLost, match=r"no server confirmed .*\(no server there\)"):
            await lock.check()
        assert not lock.lost.is_set()
        lease.answer, lease.hang = (lambda now: True), True
        with pytest.raises(LockLost, match="TimeoutError"):
            await lock.check()
        return asyncio.get_running_loop().time()

    assert run(main()) == 30.0


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])
def test_check_counts_the_time_that_the_process_stood_still(late: float) -> None:
    """An answer that is read when the lease has ended by the process's own clock confirms nothing."""

    async def main() -> None:
        lease = ScriptedLease()
        lock, _ = held(lease)

        def answer_and_stop(now: float) -> bool:
            current_loop().stand_still(TTL + late)
            return True

        lease.answer = answer_and_stop
        with pytest.raises(LockLost, match=rf"its lease ended {late:.1f} s ago"):
            await lock.check()
        assert lock.lost.is_set()

    run(main())


def test_the_clock_alone_ends_a_lock() -> None:
    """A process that stood still longer than its lease sees that before its timers do, and without asking a server."""

    async def main() -> None:
        lease = ScriptedLease()
        lock, _ = held(lease)
        current_loop().stand_still(TTL - 0.1)
        lock.check_clock()
        current_loop().stand_still(0.1)
        assert not lock.lost.is_set()
        with pytest.raises(LockLost, match=r"its lease ended 0\.0 s ago"):
            lock.check_clock()
        assert lock.lost.is_set()
        assert lease.refreshed == []

    run(main())


def test_check_prolongs_the_lock() -> None:
    """A check that succeeds counts as a refresh."""

    async def main() -> float:
        lease = ScriptedLease()
        lock, _ = held(lease)
        await asyncio.sleep(9.0)
        await lock.check()
        lease.answer = unreachable_from(9.5)
        await lock.lost.wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(39.0)


def test_release_goes_on_when_its_caller_is_cancelled() -> None:
    """A release whose caller is cancelled still revokes the lease."""

    async def main() -> list[float]:
        lease = ScriptedLease()
        lock, _ = held(lease)
        releasing = asyncio.create_task(lock.release())
        await asyncio.sleep(0.5)
        releasing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await releasing
        await asyncio.sleep(5.0)
        return lease.revoked

    assert run(main()) == [1.0]


def test_keeper_that_fails_loses_the_lock() -> None:
    """An unexpected error in the task that refreshes a lock counts as its loss."""

    async def main() -> None:
        lease = ScriptedLease()
        lock, _ = held(lease)
        lease.answer = lambda now: bool(1 // 0)
        await lock.lost.wait()
        with pytest.raises(LockLost, match="ZeroDivisionError"):
            await lock.check()

    run(main())


def test_owner_gives_all_locks_up_at_once() -> None:
    """Closing the owner sets `lost` of every lock and revokes every lease, in parallel."""

    async def main() -> list[float]:
        leases = [ScriptedLease() for _ in range(3)]
        owner = OwnedLocks()
        locks = [
            owner.add(f"/root/d{number}/locks/1", lease, ttl=TTL, granted_at=0.0) for number, lease in enumerate(leases)
        ]
        await locks[0].release()
        await owner.close()
        assert [lock.lost.is_set() for lock in locks] == [False, True, True]
        return [moment for lease in leases for moment in lease.revoked]

    assert run(main()) == [1.0, 2.0, 2.0]


def test_a_lease_that_cannot_be_given_up_is_left_to_end_by_itself() -> None:
    """Giving up a lock that is not held yet waits for a silent server no longer than a release does."""

    async def main() -> float:
        owner = OwnedLocks()
        await owner.give_up(forever())
        return asyncio.get_running_loop().time()

    assert run(main()) == 5.0


def test_a_lock_that_cannot_be_given_back_ends_with_its_lease() -> None:
    """A release that a silent server never confirms is an error after five seconds, and ends the refreshes."""

    async def main() -> float:
        lease = ScriptedLease()
        lease.hang = True
        lock, _ = held(lease)
        with pytest.raises(TopoTimeout, match="ends with its lease"):
            await lock.release()
        return asyncio.get_running_loop().time()

    assert run(main()) == 5.0


def test_a_lock_that_could_not_be_given_back_is_as_soon_as_the_server_answers() -> None:
    """The lock keeps every process out, its holder too, and need not do so until its lease ends."""

    async def main() -> list[float]:
        lease = ScriptedLease()
        lock, _ = held(lease)
        lease.hang = True
        with pytest.raises(TopoTimeout):
            await lock.release()
        await asyncio.sleep(3.0)
        lease.hang = False
        await asyncio.sleep(60.0)
        return lease.revoked

    assert run(main()) == [13.0]


def test_a_check_that_finds_the_lease_gone_says_so() -> None:
    """The server answered: it is not to blame."""

    async def main() -> None:
        lease = ScriptedLease(lambda now: False)
        lock, _ = held(lease)
        with pytest.raises(LockLost, match="no longer has its lease or its key"):
            await lock.check()
        assert lock.lost.is_set()

    run(main())


def test_a_lost_lock_stays_lost_before_its_lease_would_have_ended() -> None:
    """The clock alone says that the lock may still be held, but the server said that it is not."""

    async def main() -> float:
        lock, _ = held(ScriptedLease(lambda now: False))
        await lock.lost.wait()
        with pytest.raises(LockLost, match="no longer has its lease or its key"):
            lock.check_clock()
        return asyncio.get_running_loop().time()

    assert run(main()) == 10.0


def test_a_check_that_waited_while_the_lock_was_lost_says_why_it_was() -> None:
    """The silence that this check met explains less than what another refresh was told."""

    async def main() -> None:
        lease = ScriptedLease()
        lease.hang = True
        lock, _ = held(lease)
        checking = asyncio.create_task(lock.check())
        await asyncio.sleep(5.0)
        lease.hang, lease.answer = False, lambda now: False
        with pytest.raises(LockLost, match="no longer has its lease or its key"):
            await checking

    run(main())


def test_a_lost_lock_is_refreshed_no_more() -> None:
    """Its loss is final, whatever its server says later."""

    async def main() -> list[float]:
        lease = ScriptedLease(lambda now: False)
        lock, _ = held(lease)
        await lock.lost.wait()
        await asyncio.sleep(60.0)
        return lease.refreshed

    assert run(main()) == [10.0]


def test_a_lease_that_a_refresh_finds_gone_is_not_prolonged() -> None:
    """A release that fails is tried again only until the end that was known before that refresh."""

    async def main() -> float:
        asked: list[float] = []

        async def refuse() -> None:
            asked.append(asyncio.get_running_loop().time())
            raise TopoUnavailable("no server there")

        lease = ScriptedLease(lambda now: False)
        lease.revoke = refuse  # type: ignore[method-assign]
        lock, _ = held(lease)
        await lock.lost.wait()
        with pytest.raises(TopoUnavailable):
            await lock.release()
        await asyncio.sleep(100.0)
        return asked[-1]

    assert run(main()) == TTL


def test_a_lock_is_lost_at_the_very_end_of_its_lease() -> None:
    """However the retries fall, none of them delays the loss: from that moment on another process may hold it."""

    async def main() -> float:
        lease = ScriptedLease(unreachable_from(15.0))
        refresh = lease.refresh

        async def slow() -> bool:
            await asyncio.sleep(0.17)
            return await refresh()

        lease.refresh = slow  # type: ignore[method-assign]
        lock, _ = held(lease)
        await lock.lost.wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(40.0)


def test_a_short_lease_is_tried_again_sooner() -> None:
    """A refresh that failed is repeated after a tenth of the TTL, if that is less than a fifth of a second."""

    async def main() -> list[float]:
        lease = ScriptedLease(unreachable_from(0.0))
        owner = OwnedLocks()
        lock = owner.add("/root/d/locks/1", lease, ttl=0.9, granted_at=0.0)
        await lock.lost.wait()
        return lease.refreshed

    assert run(main())[:4] == pytest.approx([0.3, 0.39, 0.48, 0.57])


def test_an_owner_that_is_closed_leaves_no_task_behind() -> None:
    """A release that failed is tried again no longer than the connection lives."""

    async def main() -> list[float]:
        asked: list[float] = []

        async def refuse() -> None:
            asked.append(asyncio.get_running_loop().time())
            raise TopoUnavailable("no server there")

        lease = ScriptedLease()
        lease.revoke = refuse  # type: ignore[method-assign]
        _, owner = held(lease)
        await owner.close()
        await asyncio.sleep(100.0)
        return asked

    assert run(main()) == [0.0]


def test_the_first_reason_for_a_loss_is_kept() -> None:
    """What comes later is a consequence of it."""

    async def main() -> None:
        lease = ScriptedLease(lambda now: False)
        lock, _ = held(lease)
        await lock.lost.wait()
        await lock.abandon("the connection was closed")
        with pytest.raises(LockLost, match="no longer has its lease or its key"):
            await lock.check()

    run(main())


def test_a_lock_is_released_once_and_not_lost_by_that() -> None:
    """Neither a second release, nor giving it up, nor an answer that comes after the release changes anything."""

    async def main() -> list[float]:
        lease = ScriptedLease()
        lock, _ = held(lease)
        lease.answer = lambda now: False
        refresh = lease.refresh

        async def slow() -> bool:
            await asyncio.sleep(0.5)
            return await refresh()

        lease.refresh = slow  # type: ignore[method-assign]
        checking = asyncio.create_task(lock.check())
        await asyncio.sleep(0.25)
        await lock.release()
        await lock.release()
        await lock.abandon("the connection was closed")
        await asyncio.gather(checking, return_exceptions=True)
        assert not lock.lost.is_set()
        with pytest.raises(LockLost, match="was released already"):
            await lock.check()
        await asyncio.sleep(60.0)
        return lease.revoked

    assert run(main()) == [1.25]


def test_a_released_lock_is_not_kept() -> None:
    """A process that runs for months takes many locks."""

    async def main() -> None:
        lock, owner = held(ScriptedLease())
        await lock.release()
        await asyncio.sleep(1.0)
        released = weakref.ref(lock)
        del lock
        gc.collect()
        assert released() is None
        await owner.close()

    run(main())


def test_a_release_that_failed_is_tried_again_until_the_lease_has_ended() -> None:
    """From then on the lock keeps no process out."""

    async def main() -> list[float]:
        asked: list[float] = []

        async def refuse() -> None:
            asked.append(asyncio.get_running_loop().time())
            raise TopoUnavailable("no server there")

        lease = ScriptedLease()
        lease.revoke = refuse  # type: ignore[method-assign]
        lock, _ = held(lease)
        with pytest.raises(TopoUnavailable):
            await lock.release()
        await asyncio.sleep(100.0)
        return asked

    assert run(main()) == [float(second) for second in range(31)]


def test_giving_up_a_lease_raises_nothing() -> None:
    """A server that refuses leaves the lease to end by itself."""

    async def refused() -> None:
        raise TopoUnavailable("no server there")

    async def main() -> None:
        await OwnedLocks().give_up(refused())

    run(main())
