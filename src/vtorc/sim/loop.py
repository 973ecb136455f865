"""An asyncio event loop that lives in virtual time and does the same thing every time.

When nothing is ready it jumps to the next timer. Order is by insertion only: ready callbacks run first in, first out,
timers of one instant in the order in which they were set. The only randomness is `SimLoop.random`, seeded by the
caller. There are no threads, sockets or signals: whatever asks for one gets `SimUnsupported`.

What the code that runs here must keep away from, because it differs between processes even with equal seeds:

* iterating over a set of strings, enums, dataclasses or plain objects: `sorted()` it first. Sets of tasks are harmless,
  tasks hash by the order of their creation here. `hash(None)` and the hash of any plain object is its address;
* `id()`, the default `repr()` and `hash()` as sort keys or in what is written down;
* `time.*`, `random.*`, `secrets`, `uuid.uuid1/4`, `os.urandom`: ask the loop, the `Clock` or a given generator;
* finalisers that do something visible: the garbage collector runs at fixed steps here, but reference cycles hide how
  long things live.

`vtorc.sim.hashseed` starts the process again with a fixed hash seed, as a second line of defence.
"""

import asyncio
import contextlib
import contextvars
import gc
import heapq
import itertools
import random
import sys
import traceback
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from vtorc.errors import SimDeadlock, SimLivelock, SimUnhandled, SimUnsupported
from vtorc.sim.handles import SimHandle, SimTimer

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

INSTANT_LIMIT = 1_000_000
"""Callbacks at one instant after which a run counts as going round in circles."""

_COLLECT_EVERY = 200_000
_COLLECT_PER_TASK = 200
_NAMED_TASKS = 20
_CANCEL_ROUNDS = 50
_CANCEL_ROUND_S = 60.0


class SimTask(asyncio.Task[_T]):
    """A task that hashes by order of creation: the sets of tasks that asyncio keeps iterate alike in every process."""

    order: int

    def __hash__(self) -> int:
        return self.order

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(asyncio.BaseEventLoop):
    """Event loop with its own time; `permute` shuffles the task steps of one instant, to explore schedules."""

    def __init__(
        self,
        *,
        seed: int | str,
        start: float = 0.0,
        permute: bool = False,
        instant_limit: int = INSTANT_LIMIT,
    ) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.callbacks = 0
        self._now = start
        self._permute = permute
        self._instant_limit = instant_limit
        self._queue: deque[SimHandle | SimTimer] = deque()
        self._timers: list[tuple[float, int, SimTimer]] = []
        self._cancelled_timers = 0
        self._timer_order = itertools.count()
        self._task_order = itertools.count(1)
        self._unhandled: list[dict[str, Any]] = []
        self._tasks: weakref.WeakValueDictionary[int, SimTask[Any]] = weakref.WeakValueDictionary()
        self.set_exception_handler(_keep_unhandled)

    # --- what asyncio asks of a loop

    def time(self) -> float:
        """Return virtual seconds since the loop's start value."""
        return self._now

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimHandle:
        """Call `callback` at this instant, after everything that is already waiting."""
        handle = SimHandle(callback, args, self, contextvars.copy_context() if context is None else context)
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimTimer:
        """Call `callback` after `delay` virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> SimTimer:
        """Call `callback` at the instant `when`; an instant in the past is now."""
        when = max(when, self._now)
        timer = SimTimer(when, callback, args, self, contextvars.copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, next(self._timer_order), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > 1000 and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2]._cancelled]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0

    def create_task(
        self,
        coro: Generator[Any, None, _T] | Coroutine[Any, Any, _T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> SimTask[_T]:
        """Start a task; a task without a name is called after its coroutine and its number."""
        order = next(self._task_order)
        if name is None:
            name = f"{getattr(coro, '__qualname__', 'task')}-{order}"
        task: SimTask[_T] = SimTask.__new__(SimTask)
        task.order = order
        task.__init__(coro, loop=self, name=str(name), context=context)  # type: ignore[misc]
        self._tasks[order] = task
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:  # type: ignore[override]
        """Refuse: threads would make the run depend on the machine."""
        raise SimUnsupported(f"{func!r} wants a thread; code that the simulator runs is plain asyncio")

    def get_debug(self) -> bool:
        """Tell asyncio not to keep tracebacks of every callback."""
        return False

    # --- running

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Run `main` to its end and close the loop.

        What `main` leaves behind is cancelled, oldest task first. Raises `SimDeadlock` when nothing can ever happen
        again, `SimLivelock` when time does not move, `SimUnhandled` for an error that nobody received.
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
        """Return the tasks that are not done, oldest first."""
        return [task for _, task in sorted(self._tasks.items()) if not task.done()]

    def _run_main(self, main: Coroutine[Any, Any, _T]) -> _T:
        task = self.create_task(main, name="main")
        self._run_until(task.done)
        if self._unhandled:
            raise _as_error(self._unhandled)
        return task.result()

    def _cancel_rest(self) -> None:
        """Cancel what is left until it ends; it may take several turns, dead processes wait in their clean-up too."""
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
        queue = self._queue
        limit = self._instant_limit
        next_collect = self._next_collect()
        while not done() and not self._unhandled:
            if not queue and not self._jump():
                raise SimDeadlock(f"at {self._now:.6f} s nothing can happen any more; waiting: {self._describe()}")
            started = self.callbacks
            while queue:
                batch = len(queue)
                if self._permute:
                    _shuffle_steps(queue, self.random)
                for _ in range(batch):
                    handle = queue.popleft()
                    if not handle._cancelled:
                        try:
                            handle._context.run(handle._callback, *handle._args)
                        except (SystemExit, KeyboardInterrupt):
                            raise
                        except BaseException as error:
                            self.call_exception_handler(
                                {"message": "error in a callback", "exception": error, "handle": handle}
                            )
                self.callbacks += batch
                if self._unhandled or done():
                    break
                if self.callbacks - started > limit:
                    raise SimLivelock(
                        f"at {self._now:.6f} s {limit} callbacks ran and time did not move; tasks: {self._describe()}"
                    )
            if self.callbacks >= next_collect:
                gc.collect()
                next_collect = self._next_collect()

    def _next_collect(self) -> int:
        """The callback after which garbage is collected: rarer the more there is to look through, or a world of a
        thousand shards would do little else.
        """
        return self.callbacks + max(_COLLECT_EVERY, _COLLECT_PER_TASK * len(self._tasks))

    def _jump(self) -> bool:
        """Move time to the next timer and make everything due then ready; False if there is none."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
            self._cancelled_timers -= 1
        if not timers:
            return False
        now = self._now = timers[0][0]
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                self._queue.append(timer)
        return True

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
    start: float = 0.0,
    permute: bool = False,
    instant_limit: int = INSTANT_LIMIT,
) -> _T:
    """Run `main` in a new `SimLoop` and return what it returns."""
    return SimLoop(seed=seed, start=start, permute=permute, instant_limit=instant_limit).run(main)


def current_loop() -> SimLoop:
    """Return the running loop; raises `SimUnsupported` outside of the simulator."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, SimLoop):
        raise SimUnsupported("this part of the simulated world only runs in vtorc.sim.loop.run()")
    return loop


async def forever() -> None:
    """Wait until cancelled, as one waits for an answer that never comes."""
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
    """Whether the callback is a task's next step: asyncio schedules those with bound objects of its C task."""
    return isinstance(getattr(handle._callback, "__self__", None), SimTask)


def _shuffle_steps(queue: "deque[SimHandle | SimTimer]", generator: random.Random) -> None:
    """Permute the task steps among their places; other callbacks keep theirs, asyncio promises their order."""
    places = [place for place, handle in enumerate(queue) if _is_step(handle)]
    if len(places) < 2:
        return
    steps = [queue[place] for place in places]
    generator.shuffle(steps)
    for place, step in zip(places, steps, strict=True):
        queue[place] = step
