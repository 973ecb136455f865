"""An asyncio event loop in virtual time that runs equal programs with equal seeds in equal order.

When no callback is ready, the loop jumps to the next timer. Order is by insertion only: ready callbacks run first in,
first out, timers of one instant in the order in which they were set. The only randomness is `SimLoop.random`, seeded by
the caller. There are no threads, sockets or signals: code that asks for one gets `SimUnsupported`.

Code that runs here must avoid these, because they differ between processes even with equal seeds:

* iterating over a set of strings, enums, dataclasses or plain objects: `sorted()` it first. Sets of tasks are harmless,
  as tasks hash by the order of their creation here. `hash(None)` and the hash of any plain object is its address;
* `id()`, the default `repr()` and `hash()` as sort keys or in output;
* `time.*`, `random.*`, `secrets`, `uuid.uuid1/4`, `os.urandom`: ask the loop, the `Clock` or a given generator;
* finalisers with visible effects: the garbage collector runs at fixed steps here, but reference cycles hide how long
  objects live.

`vtorc.sim.engine.hashseed` starts the process again with a fixed hash seed, as a second line of defence.
"""

import asyncio
import contextlib
import contextvars
import functools
import gc
import heapq
import random
import sys
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from vtorc.sim.engine.handles import SimHandle, SimTimer
from vtorc.sim.engine.standing import StandingProcesses
from vtorc.sim.errors import SimDeadlock, SimLivelock, SimUnhandled, SimUnsupported

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

INSTANT_LIMIT = 1_000_000
"""Callbacks at one instant after which a run counts as an endless loop."""

_COLLECT_EVERY = 200_000
_COLLECT_PER_TASK = 200
_NAMED_TASKS = 20
_CANCEL_ROUNDS = 50
_CANCEL_ROUND_S = 60.0

# Names of this module, as a second of virtual time makes hundreds of handles. These make one without its `__init__`,
# which would cost as much as all that is done with it.
_copy_context = contextvars.copy_context
_heappop, _heappush = heapq.heappop, heapq.heappush
_new_handle, _new_timer = SimHandle.__new__, SimTimer.__new__


class SimTask(asyncio.Task[_T]):
    """A task that hashes by order of creation, so that asyncio's sets of tasks iterate alike in every process."""

    order: int

    def __hash__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(StandingProcesses):
    """Event loop with virtual time; `permute` shuffles the task steps of one instant, to explore schedules."""

    def __init__(
        self,
        *,
        seed: int | str,
        permute: bool = False,
        instant_limit: int = INSTANT_LIMIT,
    ) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self._permute = permute
        self._instant_limit = instant_limit
        self._timer_order = 0
        self._task_order = 0
        self.set_exception_handler(_keep_unhandled)
        # Does as the method does, and runs no Python code.
        self.create_future = functools.partial(asyncio.Future, loop=self)  # type: ignore[method-assign]

    # --- what asyncio needs of a loop

    get_debug = staticmethod(bool)  # False, without running any Python code, as each future and each task calls it

    def time(self) -> float:
        """Return virtual seconds since the beginning."""
        return self._now

    def stand_still(self, seconds: float) -> None:
        """Let time pass between two instructions of the running task, as when the process is stopped.

        It goes on with its next instruction; timers that became due meanwhile fire afterwards.
        """
        self._now += seconds

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimHandle:
        """Call `callback` at this instant, after all callbacks that are ready."""
        handle = _new_handle(SimHandle)
        handle._callback = callback
        handle._args = args
        handle._context = _copy_context() if context is None else context
        handle._cancelled = False
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimTimer:
        """Call `callback` after `delay` virtual seconds."""
        return self._set_timer(self._now + delay, callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimTimer:
        """Call `callback` at the instant `when`, now if that has passed."""
        return self._set_timer(when, callback, args, context)

    def _set_timer(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> SimTimer:
        if when < self._now:
            when = self._now
        timer = _new_timer(SimTimer)
        timer._callback = callback
        timer._args = args
        timer._loop = self
        timer._context = _copy_context() if context is None else context
        timer._cancelled = False
        timer._when = when
        timer._scheduled = True
        self._timer_order = order = self._timer_order + 1
        _heappush(self._timers, (when, order, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        timers = self._timers
        if self._cancelled_timers > 1000 and self._cancelled_timers * 2 > len(timers):
            timers[:] = [entry for entry in timers if not entry[2]._cancelled]
            heapq.heapify(timers)
            self._cancelled_timers = 0

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> SimTask[_T]:
        """Start a task; a task without a name is named after its coroutine and its number."""
        self._task_order = order = self._task_order + 1
        if name is None:
            name = f"{getattr(coro, '__qualname__', 'task')}-{order}"
        task: SimTask[_T] = SimTask.__new__(SimTask)
        task.order = order
        task.__init__(coro, loop=self, name=str(name), context=context)  # type: ignore[misc]
        return task

    def start_task(
        self, coro: Coroutine[Any, Any, _T], *, name: str, context: contextvars.Context | None = None
    ) -> SimTask[_T]:
        """Start a task and take its first step at once, unless a task runs or this loop permutes steps."""
        task = self.create_task(coro, name=name, context=context)
        if not self._permute and asyncio.current_task(self) is None:
            step = self._queue.pop()  # creating a task puts its first step at the end
            step._context.run(step._callback, *step._args)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]
        """Raise SimUnsupported, as threads would make the run depend on the machine."""
        raise SimUnsupported(f"{func!r} wants a thread; code that the simulator runs is plain asyncio")

    # --- running

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Run `main` to its end and close the loop.

        Tasks that `main` leaves behind are cancelled, oldest first. Raises `SimDeadlock` when nothing can ever happen
        again, `SimLivelock` when time does not move, `SimUnhandled` for an error that was never retrieved.
        """
        hooks = sys.get_asyncgen_hooks()
        collecting = gc.isenabled()
        gc.collect()
        gc.disable()
        asyncio.events._set_running_loop(self)
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        try:
            try:
                result = self._run_main(main)
            except BaseException:
                self._cancel_rest()
                raise
            self._cancel_rest()
            if self._unhandled:
                raise _as_error(self._unhandled)
            return result
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio.events._set_running_loop(None)
            self._queue.clear()
            self._timers.clear()
            self.close()
            if collecting:
                gc.enable()

    def pending(self) -> list[SimTask[Any]]:
        """Return the unfinished tasks, oldest first."""
        tasks = (task for task in asyncio.all_tasks(self) if isinstance(task, SimTask))
        return sorted(tasks, key=lambda task: task.order)

    def _run_main(self, main: Coroutine[Any, Any, _T]) -> _T:
        task = self.create_task(main, name="main")
        self._run_until(task.done)
        if self._unhandled:
            raise _as_error(self._unhandled)
        return task.result()

    def _cancel_rest(self) -> None:
        """Cancel unfinished tasks until they end, in rounds, as tasks of ended processes wait in clean-ups too."""
        self._unhandled.clear()
        for _ in range(_CANCEL_ROUNDS):
            rest = self.pending()
            if not rest:
                return
            self._cancel_round(rest)
        raise SimDeadlock(f"tasks that do not end when cancelled {_CANCEL_ROUNDS} times: {self._describe()}")

    def _cancel_round(self, rest: list[SimTask[Any]]) -> None:
        give_up = self._now + _CANCEL_ROUND_S
        left = len(rest)

        def ended(task: asyncio.Future[Any]) -> None:
            nonlocal left
            left -= 1
            if not task.cancelled() and (error := task.exception()) is not None:
                self.call_exception_handler({"message": "error at the end", "exception": error, "task": task})

        for task in rest:
            task.add_done_callback(ended)
            task.cancel()
        with contextlib.suppress(SimDeadlock):
            self._run_until(lambda: left == 0 or self._now > give_up)
        for task in rest:
            task.remove_done_callback(ended)

    def _run_until(self, done: Callable[[], bool]) -> None:
        """Run what is ready, then move time to the next timer, and so on.

        Almost always one callback is ready, or one timer is due: it runs here, and all else in `_run_batch`.
        """
        queue, timers, unhandled = self._queue, self._timers, self._unhandled
        next_collect = self._next_collect()
        most = self.callbacks + self._instant_limit
        handle: SimHandle | SimTimer
        while not unhandled and not done():
            if not queue:
                if not timers:
                    raise SimDeadlock(f"at {self._now:.6f} s nothing can happen any more; waiting: {self._describe()}")
                if self.callbacks >= next_collect:
                    gc.collect()
                    next_collect = self._next_collect()
                now, _, handle = _heappop(timers)
                handle._scheduled = False
                if handle._cancelled:
                    self._cancelled_timers -= 1
                    continue
                if now > self._now:
                    self._now = now
                most = self.callbacks + self._instant_limit
                if timers and timers[0][0] <= self._now:
                    queue.append(handle)
                    self._make_ready(self._now)
                    continue
            elif len(queue) == 1:
                if self.callbacks > most:
                    self._never_ends()
                handle = queue.popleft()
            else:
                self._run_batch()
                if self.callbacks > most:
                    self._never_ends()
                continue
            self.callbacks += 1
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._broke(handle, error)

    def _make_ready(self, now: float) -> None:
        """Move all due timers into the queue."""
        timers = self._timers
        while timers and timers[0][0] <= now:
            timer = _heappop(timers)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                self._queue.append(timer)

    def _run_batch(self) -> None:
        """Run the callbacks that are ready, but not those that become ready by them."""
        queue = self._queue
        batch = len(queue)
        if self._permute:
            _shuffle_steps(queue, self.random)
        for _ in range(batch):
            if not queue:
                break  # a process that stood still let them run in the midst of its callback
            handle = queue.popleft()
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._broke(handle, error)
        self.callbacks += batch

    def _never_ends(self) -> None:
        raise SimLivelock(
            f"at {self._now:.6f} s {self._instant_limit} callbacks ran and time did not move; tasks: {self._describe()}"
        )

    def _next_collect(self) -> int:
        """Return the callback after which garbage is collected next.

        The more tasks there are, the rarer it is: a world of a thousand shards would do little else.
        """
        return self.callbacks + max(_COLLECT_EVERY, _COLLECT_PER_TASK * len(self.pending()))

    def _close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self.is_closed():
            self.call_soon(self._start_closing, generator)

    def _start_closing(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.create_task(_close(generator), name="close generator")

    def _describe(self) -> str:
        tasks = self.pending()
        shown = [f"{task.get_name()} at {_where(task)}" for task in tasks[:_NAMED_TASKS]]
        if len(tasks) > _NAMED_TASKS:
            shown.append(f"and {len(tasks) - _NAMED_TASKS} more")
        return "; ".join(shown) or "no task"


def run(
    main: Coroutine[Any, Any, _T],
    *,
    seed: int | str = 0,
    permute: bool = False,
    instant_limit: int = INSTANT_LIMIT,
) -> _T:
    """Run `main` in a new `SimLoop` and return its result."""
    return SimLoop(seed=seed, permute=permute, instant_limit=instant_limit).run(main)


def current_loop() -> SimLoop:
    """Return the running `SimLoop`; raises `SimUnsupported` in any other loop."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SimLoop):
        raise SimUnsupported("this part of the simulated world only runs in vtorc.sim.engine.loop.run()")
    return loop


async def forever() -> None:
    """Wait until cancelled, as for an answer that never comes."""
    await asyncio.get_running_loop().create_future()


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _keep_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    assert isinstance(loop, SimLoop)
    loop._unhandled.append(context)


def _as_error(contexts: list[dict[str, Any]]) -> SimUnhandled:
    first = contexts[0]
    cause = first.get("exception")
    where = first.get("task") or first.get("future") or first.get("handle")
    error = SimUnhandled(f"{first.get('message')}: {cause!r} ({where!r}); {len(contexts)} such in all")
    error.__cause__ = cause
    return error


def _where(task: "SimTask[Any]") -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return "its start"
    frame = traceback.extract_stack(frames[0], limit=1)[0]
    return f"{frame.name} ({frame.filename.rpartition('/src/')[2]}:{frame.lineno})"


def _is_step(handle: "SimHandle | SimTimer") -> bool:
    """Whether the callback is a task's next step, which asyncio schedules with bound objects of its C task."""
    return isinstance(getattr(handle._callback, "__self__", None), SimTask)


def _shuffle_steps(queue: "deque[SimHandle | SimTimer]", generator: random.Random) -> None:
    """Permute the task steps among their places; other callbacks keep theirs, as asyncio promises their order."""
    places = [place for place, handle in enumerate(queue) if _is_step(handle)]
    if len(places) < 2:
        return
    steps = [queue[place] for place in places]
    generator.shuffle(steps)
    for place, step in zip(places, steps, strict=True):
        queue[place] = step
