import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from vtorc.sim.engine import loop as sim_loop
from vtorc.sim.engine.loop import SimLoop, current_loop, forever, run
from vtorc.sim.engine.trace import PROCESS
from vtorc.sim.errors import SimDeadlock, SimLivelock, SimUnhandled, SimUnsupported


def test_time_jumps_to_the_next_timer() -> None:
    """Sleeping a day of virtual time takes one jump, and the clock shows exactly a day."""

    async def main() -> float:
        await asyncio.sleep(86400.0)
        return asyncio.get_running_loop().time()

    assert run(main()) == 86400.0


def test_timers_of_one_instant_fire_in_the_order_they_were_set() -> None:
    """Timers that are due together run first in, first out, however they were made."""

    async def main() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        loop.call_at(1.0, seen.append, 0)
        loop.call_later(1.0, seen.append, 1)
        loop.call_later(0.5, loop.call_later, 0.5, seen.append, 2)
        await asyncio.sleep(2.0)
        return seen

    assert run(main()) == [0, 1, 2]


def test_cancelled_timers_do_not_hold_the_clock() -> None:
    """A timer that is cancelled neither fires nor makes time pass."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        for _ in range(5000):
            loop.call_later(100.0, pytest.fail).cancel()
        await asyncio.sleep(1.0)
        return loop.time()

    assert run(main()) == 1.0


def test_a_deadline_ends_a_wait_that_has_no_end() -> None:
    """asyncio.timeout works in virtual time."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.0):
                await forever()
        return asyncio.get_running_loop().time()

    assert run(main()) == 3.0


def test_a_deadlock_names_the_waiting_tasks_and_their_lines() -> None:
    """When nothing can ever happen again, the error names the waiting tasks and their lines."""

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(SimDeadlock, match=r"the stuck one at stuck \(.*test_loop\.py:\d+\)"):
        run(main())


def test_a_livelock_is_found() -> None:
    """Callbacks that go on and on at one instant end the run."""

    async def main() -> None:
        while True:  # noqa: ASYNC110 - going round in circles is the point
            await asyncio.sleep(0)

    with pytest.raises(SimLivelock, match="time did not move"):
        run(main(), instant_limit=1000)


def test_an_error_that_is_never_retrieved_ends_the_run() -> None:
    """An error in a bare callback is not lost in a log."""

    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await forever()

    with pytest.raises(SimUnhandled, match="ZeroDivisionError"):
        run(main())


def test_a_task_whose_error_is_dropped_ends_the_run() -> None:
    """A task that fails and is forgotten is reported when it is collected."""

    async def fail() -> None:
        raise ValueError("never retrieved")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1.0)
        del task
        await asyncio.sleep(1.0)

    with pytest.raises(SimUnhandled, match="never retrieved"):
        run(main())


def test_threads_are_refused() -> None:
    """Handing work to a thread fails with a sentence that says why."""

    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(SimUnsupported, match="plain asyncio"):
        run(main())


def test_what_the_main_coroutine_leaves_behind_is_cancelled() -> None:
    """Left tasks are cancelled oldest first, and may clean up, even if that takes time."""
    ended: list[str] = []

    async def left(name: str) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(1.0)
            ended.append(name)

    async def main() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(left("a")), asyncio.create_task(left("b"))]
        await asyncio.sleep(0)
        return tasks

    run(main())
    assert ended == ["a", "b"]


def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """Code that waits for ever in its clean-up does not hang the end of the run."""

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            await forever()

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        return task

    assert run(main()).cancelled()


def test_sets_of_tasks_iterate_by_order_of_creation() -> None:
    """A task group that fails cancels its tasks in the same order in every process."""

    async def main() -> list[int]:
        seen: list[int] = []

        async def member(number: int) -> None:
            try:
                await forever()
            finally:
                seen.append(number)

        async def fail() -> None:
            raise ValueError

        with pytest.raises(ExceptionGroup):  # noqa: PT012 - the group is what raises
            async with asyncio.TaskGroup() as group:
                for number in range(100):
                    group.create_task(member(number))
                await asyncio.sleep(0)
                group.create_task(fail())
        return seen

    assert run(main()) == list(range(100))


def test_task_names_are_deterministic() -> None:
    """A task without a name is called after its coroutine and its number in this run."""

    async def work() -> None:
        return None

    async def main() -> str:
        task = asyncio.create_task(work())
        await task
        return task.get_name()

    assert run(main()) == run(main())


def test_the_seed_alone_decides_random_numbers() -> None:
    """Equal seeds draw equal numbers, other seeds others."""

    async def main() -> list[float]:
        return [current_loop().random.random() for _ in range(5)]

    assert run(main(), seed=7) == run(main(), seed=7)
    assert run(main(), seed=7) != run(main(), seed=8)


async def _interleave() -> list[str]:
    seen: list[str] = []

    async def work(name: str) -> None:
        for _ in range(5):
            seen.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(work(name))
    return seen


def test_permuting_explores_schedules_and_is_replayable() -> None:
    """With permutation other seeds give other interleavings of the same steps, the same seed the same one."""
    plain = run(_interleave(), seed=1)
    shuffled = {seed: run(_interleave(), seed=seed, permute=True) for seed in range(5)}
    assert run(_interleave(), seed=2) == plain
    assert all(sorted(each) == sorted(plain) for each in shuffled.values())
    assert len({tuple(each) for each in shuffled.values()}) > 1
    assert shuffled[3] == run(_interleave(), seed=3, permute=True)


def test_an_abandoned_generator_is_closed() -> None:
    """An asynchronous generator that is dropped half-way runs its clean-up in the loop."""
    closed: list[float] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                yield number
        finally:
            await asyncio.sleep(1.0)
            closed.append(asyncio.get_running_loop().time())

    async def main() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(5.0)

    run(main())
    assert closed == [1.0]


def test_outside_of_the_simulator_there_is_no_simulated_loop() -> None:
    """Parts of the simulated world refuse to run in an ordinary loop."""

    async def main() -> None:
        current_loop()

    with pytest.raises(SimUnsupported):
        asyncio.run(main())


def test_no_timer_is_set_in_the_past() -> None:
    """A timer for an instant that has passed fires now, and time does not go back."""

    async def main() -> float:
        await asyncio.sleep(2.0)
        fired = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_at(1.0, fired.set_result, None)
        await fired
        return asyncio.get_running_loop().time()

    assert run(main()) == 2.0


_PROGRAM = """
from vtorc.sim.engine.hashseed import fix_hash_seed
fix_hash_seed()
import os
print(os.environ["PYTHONHASHSEED"], hash("a shard"))
"""


def test_the_process_starts_again_with_a_fixed_hash_seed() -> None:
    """Two processes with other hash seeds hash strings alike after the restart."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("0 ")


def test_the_loop_can_be_used_once() -> None:
    """A loop that has run is closed."""
    loop = SimLoop(seed=0)
    loop.run(asyncio.sleep(1.0))
    assert loop.is_closed()
    assert sim_loop.INSTANT_LIMIT > 0


def test_a_process_that_stands_still_goes_on_with_its_next_instruction() -> None:
    """All others run meanwhile; what it waited for comes after that, and timers that became due come last."""
    seen: list[str] = []

    async def main() -> None:
        loop = current_loop()
        done = loop.create_future()
        answer: asyncio.Future[None] = loop.create_future()

        async def late() -> None:
            await asyncio.sleep(2.0)
            seen.append(f"timer {loop.time():g}")
            done.set_result(None)

        async def waits() -> None:
            await answer
            seen.append(f"answer {loop.time():g}")

        async def stands() -> None:
            tasks = [asyncio.create_task(late()), asyncio.create_task(waits())]
            await asyncio.sleep(1.0)
            loop.let_others_run(10.0, but="vtorc")
            seen.append(f"goes on {loop.time():g}")
            await asyncio.gather(*tasks)

        async def others() -> None:
            for _ in range(3):
                await asyncio.sleep(2.5)
                seen.append(f"other {loop.time():g}")
            answer.set_result(None)

        PROCESS.set("vtorc")
        standing = asyncio.create_task(stands())
        PROCESS.set("world")
        other = asyncio.create_task(others())
        await asyncio.gather(standing, other, done)

    run(main())
    assert seen == ["other 2.5", "other 5", "other 7.5", "goes on 11", "answer 11", "timer 11"]


def test_two_processes_stand_still_at_once() -> None:
    """Neither runs until its own pause, and those that began during it, are over."""
    seen: list[str] = []

    async def main() -> None:
        loop = current_loop()

        async def stands(name: str, after: float, seconds: float) -> None:
            ticking = asyncio.create_task(ticks(name))
            await asyncio.sleep(after)
            loop.let_others_run(seconds, but=name)
            seen.append(f"{name} goes on {loop.time():g}")
            ticking.cancel()

        async def ticks(name: str) -> None:
            while True:
                await asyncio.sleep(1.5)
                seen.append(f"{name} {loop.time():g}")

        tasks = []
        for name, after, seconds in (("first", 1.0, 3.0), ("second", 2.0, 5.0)):
            PROCESS.set(name)
            tasks.append(asyncio.create_task(stands(name, after, seconds)))
        PROCESS.set("world")
        await asyncio.gather(*tasks)

    run(main())
    assert seen == ["second 1.5", "second goes on 7", "first goes on 7"]
