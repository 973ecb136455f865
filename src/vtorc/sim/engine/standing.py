"""Processes that stand still in the midst of an instruction, while all others run."""

import asyncio
import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from vtorc.sim.engine.handles import SimHandle, SimTimer
from vtorc.sim.engine.trace import PROCESS


@dataclass(slots=True)
class _Held:
    """All that became due for a process while it stood still."""

    waiting: list[SimHandle | SimTimer] = field(default_factory=list)
    """Its callbacks that became ready."""
    late: list[SimHandle | SimTimer] = field(default_factory=list)
    """Its timers, which come after them."""


class StandingProcesses(asyncio.BaseEventLoop):
    """The part of the simulator's event loop that lets one process stand still; it owns what is ready or due."""

    def __init__(self) -> None:
        super().__init__()
        self.callbacks = 0
        self._now = 0.0
        self._queue: deque[SimHandle | SimTimer] = deque()
        self._timers: list[tuple[float, int, SimTimer]] = []
        self._cancelled_timers = 0
        self._unhandled: list[dict[str, Any]] = []
        self._held: dict[str, _Held] = {}  # by the names of the processes that stand still

    def let_others_run(self, seconds: float, *, but: str) -> None:
        """Let time pass for all processes but the one with the name `but`, in the midst of an instruction of it.

        It goes on with its next instruction, as after SIGSTOP or without processor time. The messages that it waited
        for come next, and only then the timers that became due meanwhile. An event loop looks at its sockets first,
        too.
        """
        task = asyncio.current_task(self)
        if task is not None:
            asyncio.tasks._leave_task(self, task)
        held = self._held[but] = _Held()
        try:
            self._run_others(self._now + seconds)
        finally:
            del self._held[but]
            if task is not None:
                asyncio.tasks._enter_task(self, task)
        self._queue.extend([*held.waiting, *held.late])

    def _run_others(self, until: float) -> None:
        """Run until that instant, and keep what becomes due for processes that stand still.

        Messages that such a process has sent before are on their way: only its own tasks and timers wait.
        """
        queue, timers = self._queue, self._timers
        while not self._unhandled:
            is_timer = not queue
            if queue:
                handle = queue.popleft()
            elif timers and timers[0][0] <= until:
                now, _, handle = heapq.heappop(timers)
                handle._scheduled = False
                if handle._cancelled:
                    self._cancelled_timers -= 1
                else:
                    self._now = max(self._now, now)
            else:
                break
            if handle._cancelled:
                continue
            process = _process_of(handle)
            if process in self._held:
                held = self._held[process]
                (held.late if is_timer else held.waiting).append(handle)
                continue
            self.callbacks += 1
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._broke(handle, error)
        self._now = max(self._now, until)

    def _broke(self, handle: "SimHandle | SimTimer", error: BaseException) -> None:
        self.call_exception_handler({"message": "error in a callback", "exception": error, "handle": handle})


def _process_of(handle: "SimHandle | SimTimer") -> str:
    """Return the process that runs the callback itself; empty for the network, which it has given something to."""
    owner = getattr(handle._callback, "__self__", None)
    if not isinstance(owner, asyncio.Task):
        module = getattr(handle._callback, "__module__", None) if owner is None else type(owner).__module__
        if (module or "").startswith("vtorc.sim."):
            return ""
    return handle._context.get(PROCESS, "")
