"""Hosts and their processes, which can be started, killed, frozen and powered off."""

import asyncio
import contextvars
import enum
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from vtorc.sim.engine.loop import SimLoop, forever
from vtorc.sim.engine.trace import PROCESS

_T = TypeVar("_T")

EPOCH_NS = 1_772_323_200 * 10**9
"""The time of all wall clocks at the beginning: 1 March 2026."""


class Host:
    """A machine; while it is down, not even refusals come from it. `wall_offset` is in nanoseconds."""

    def __init__(self, name: str, cell: str) -> None:
        self.name = name
        self.cell = cell
        self.up = True
        self.wall_offset = 0
        self.processes: list[Process] = []

    def wall(self) -> int:
        """Return the host's wall clock, in nanoseconds since the Unix epoch."""
        return EPOCH_NS + int(asyncio.get_running_loop().time() * 1e9) + self.wall_offset

    def power_off(self) -> None:
        """Cut the power: every process ends, and no peer learns of it."""
        self.up = False
        for process in self.processes:
            process.crash()

    def power_on(self) -> None:
        """Boot; processes stay stopped until they are started."""
        self.up = True

    def __repr__(self) -> str:
        return f"<Host {self.name}>"


class ProcessState(enum.Enum):
    """Whether a process executes."""

    RUNNING = "running"
    STOPPED = "stopped"
    FROZEN = "frozen"


_RUNNING, _STOPPED, _FROZEN = ProcessState.RUNNING, ProcessState.STOPPED, ProcessState.FROZEN
"""The states by names of this module, as thousands of messages in each second of real time look at them."""


class LightTask(Generic[_T]):
    """A coroutine that runs without an asyncio task, which costs half as much; `done` is called when it has ended.

    It may only wait for futures: without a task there is no `asyncio.timeout` and no task group.
    """

    __slots__ = ("_among", "_done", "_error", "_result", "_waits", "_work")

    def __init__(
        self,
        work: Coroutine[Any, Any, _T],
        among: "dict[asyncio.Task[Any] | LightTask[Any], None] | None" = None,
    ) -> None:
        """Take the coroutine; the light task is in `among` until it has ended."""
        self._work = work
        self._among = among
        if among is not None:
            among[self] = None
        self._done: Callable[[LightTask[_T]], object] = _forget
        self._waits: asyncio.Future[Any] | None = None
        self._error: BaseException | None = None
        self._result: _T

    def run(self, done: "Callable[[LightTask[_T]], object]") -> None:
        """Take the first step now, and each further one as soon as the future that it waits for is done."""
        self._done = done
        self._step(None)

    def cancel(self) -> None:
        """Cancel the coroutine, and the future that it waits for, as cancelling a task does.

        Otherwise an error that is set on the future later would never be retrieved, and end the run.
        """
        if (waits := self._waits) is not None:
            waits.remove_done_callback(self._step)
            waits.cancel()
            self._step(None, asyncio.CancelledError())

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return isinstance(self._error, asyncio.CancelledError)

    def exception(self) -> BaseException | None:
        """Return its error, None if it succeeded."""
        return self._error

    def result(self) -> _T:
        """Return its result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._result

    def _step(self, waited: "asyncio.Future[Any] | None", error: BaseException | None = None) -> None:
        self._waits = None
        try:
            waits = self._work.send(None) if error is None else self._work.throw(error)
        except StopIteration as end:
            self._result = end.value
        except (Exception, asyncio.CancelledError) as raised:
            self._error = raised
        else:
            self._waits = waits
            waits._asyncio_future_blocking = False
            waits.add_done_callback(self._step)
            return
        if self._among is not None:
            self._among.pop(self, None)
        done, self._done = self._done, _forget
        done(self)


def _forget(light_task: LightTask[Any]) -> None:
    return None


class Life:
    """One incarnation of a process, from its start to its end; it `runs` while it has not ended and is not frozen."""

    def __init__(self, process: "Process", number: int) -> None:
        self.process = process
        self.number = number
        self.host = process.host
        self.alive = True
        self.runs = process.state is ProcessState.RUNNING
        self.ended_at: float | None = None
        self.at_end: list[Callable[[], None]] = []
        self._tasks: dict[asyncio.Task[Any] | LightTask[Any], None] = {}
        self._context = contextvars.Context()
        self._context.run(PROCESS.set, str(process))

    def run(self, work: Callable[[], _T]) -> _T:
        """Return what `work` returns, done by this process: the timers that it starts are its own."""
        return self._context.run(work)

    def spawn(self, work: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
        """Run `work` as a task of this process; the end of the process cancels it."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self.process}/{name}", context=self._context.copy())
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def serve(
        self, work: Coroutine[Any, Any, _T], *, name: str, done: Callable[["asyncio.Task[_T]"], object]
    ) -> asyncio.Task[_T]:
        """Run `work` as `spawn` does, with its first step at once if possible; `done` gets the task at its end."""
        loop, context = asyncio.get_running_loop(), self._context.copy()
        start = loop.start_task if isinstance(loop, SimLoop) else loop.create_task
        task: asyncio.Task[_T] = start(work, name=f"{self.process}/{name}", context=context)
        if task.done():
            done(task)
            return task
        self._tasks[task] = None

        def ended(task: "asyncio.Task[_T]") -> None:
            self._tasks.pop(task, None)
            done(task)

        task.add_done_callback(ended)
        return task

    def serve_light(self, work: Coroutine[Any, Any, _T], done: Callable[[LightTask[_T]], object]) -> LightTask[_T]:
        """Run `work` as a light task, which the end of the process cancels; `done` gets the light task at its end."""
        light_task = LightTask(work, self._tasks)
        light_task.run(done)
        return light_task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.pop(task, None)

    async def until_running(self) -> None:
        """Return while the process `runs`; wait while it is frozen, and for ever once it has ended.

        Everything that enters or leaves a process waits here: a process that has ended does nothing, not even clean up.
        """
        while self.alive:
            if self.runs:
                return
            thawed = asyncio.get_running_loop().create_future()
            self.process.when_running(_wake, thawed)
            await thawed
        await forever()

    def end(self) -> None:
        """End this incarnation at once."""
        self.alive = self.runs = False
        self.ended_at = asyncio.get_running_loop().time()
        for hook in self.at_end:
            hook()
        for task in list(self._tasks):
            task.cancel()

    def __repr__(self) -> str:
        return f"<Life {self.number} of {self.process}>"


class Process:
    """A program on a host; each start begins a new `Life`."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.state = ProcessState.STOPPED
        self.frozen_since: float | None = None
        self.port_closed = False
        """Whether it takes no new connections any more, and goes on with those that are open."""
        self._text = f"{name}@{host.name}"
        self._lives = 0
        self.life = Life(self, 0)
        """The present incarnation, or the last one if there is none."""
        self.life.alive = self.life.runs = False
        self._deferred: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        host.processes.append(self)

    @property
    def running(self) -> bool:
        """Whether the process executes instructions."""
        return self.state is ProcessState.RUNNING

    @property
    def listening(self) -> bool:
        """Whether its port is open: the kernel accepts connections for a frozen process too."""
        return self.state is not _STOPPED and self.host.up and not self.port_closed

    def start(self) -> Life:
        """Begin a new incarnation; the host must be up and the process stopped."""
        assert self.host.up, f"{self} cannot start: its host is down"
        assert self.state is ProcessState.STOPPED, f"{self} cannot start: it is {self.state.value}"
        self.state = ProcessState.RUNNING
        self.port_closed = False
        self._lives += 1
        self.life = Life(self, self._lives)
        return self.life

    def crash(self) -> None:
        """End the process as SIGKILL does; nothing happens if it is stopped."""
        if self.state is ProcessState.STOPPED:
            return
        self.state = ProcessState.STOPPED
        self.frozen_since = None
        self._deferred.clear()
        self.life.end()

    def freeze(self) -> None:
        """Stop executing, as SIGSTOP does: connections stay open, and no answers are sent."""
        if self.state is ProcessState.RUNNING:
            self.state = ProcessState.FROZEN
            self.life.runs = False
            self.frozen_since = asyncio.get_running_loop().time()

    def thaw(self) -> None:
        """Go on, as SIGCONT does: messages that came meanwhile are handled in the order in which they came."""
        if self.state is not ProcessState.FROZEN:
            return
        self.state = ProcessState.RUNNING
        self.life.runs = True
        self.frozen_since = None
        deferred, self._deferred = self._deferred, []
        for callback, args in deferred:
            self.when_running(callback, *args)

    def when_running(self, callback: Callable[..., object], *args: Any) -> None:
        """Call at once, or when the process thaws, or never if it ends before."""
        if self.state is _RUNNING:
            callback(*args)
        elif self.state is _FROZEN:
            self._deferred.append((callback, args))

    def __str__(self) -> str:
        return self._text


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
