"""The operator's commands, hook by hook: those that a recovery waits for, and those that run beside everything else."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId
from vtorc.forms.recovery import HookRunForm
from vtorc.forms.times import rfc3339
from vtorc.recovery.hooks import Hook, HookOccasion, HookResult

MOST_AT_A_TIME = 8
"""Occasions with commands that run at a time; those of others wait."""

MOST_WAITING = 1_000
"""Occasions that may wait; the commands of a further one are not run."""

BESIDE = "&"
"""The end of a command that the next one does not wait for, as in v12; its end has no consequence."""

RunCommand = Callable[[str, Mapping[str, str], float], Coroutine[Any, Any, HookResult]]
"""Runs a command with its words for a number of seconds at most."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookNews:
    """A command of a hook has ended."""

    shard: ShardId
    recovery: int
    """The name of its recovery, as in `HookOccasion`."""
    run: HookRunForm
    """How it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookLimits:
    """Most seconds that a command may run."""

    pre: float
    """A command that a recovery waits for."""
    other: float
    """Any other."""


class OperatorHooks:
    """The hooks of an operator, which are the `PreHooks` of recoveries as well."""

    def __init__(
        self,
        commands: Mapping[Hook, Sequence[str]],
        run: RunCommand,
        limits: Callable[[], HookLimits],
        clock: Clock,
        heard: Callable[[HookNews], None],
    ) -> None:
        """Run `commands` by `run`, and tell `heard` of each that has ended, but of those that a recovery waits for."""
        self._commands = {hook: tuple(each) for hook, each in commands.items() if each}
        self._run = run
        self._limits = limits
        self._clock = clock
        self._heard = heard
        self._turns = asyncio.Semaphore(MOST_AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    def count(self, hook: Hook) -> int:
        """Return how many commands a hook has."""
        return len(self._commands.get(hook, ()))

    async def run(self, hook: Hook, number: int, occasion: HookOccasion) -> HookResult:
        """Run a command that a recovery waits for; one that ends in `&` is only begun."""
        command = self._commands[hook][number - 1].rstrip()
        if command.endswith(BESIDE):
            self._keep(self._run_one(hook, number, command, occasion))
            return HookResult(result="done", output="it runs beside the recovery", seconds=0.0)
        return await self._run(command, occasion.words(), self._limits().pre)

    def start(self, hooks: Sequence[Hook], occasion: HookOccasion) -> None:
        """Run the commands of hooks, one after the other, beside everything else; returns at once."""
        wanted = [hook for hook in hooks if self.count(hook)]
        if not wanted:
            return
        if len(self._tasks) >= MOST_WAITING:
            _log.error(f"{occasion.shard}: no command of {wanted[0].value} is run, as {MOST_WAITING} others wait")
            return
        self._keep(self._run_all(wanted, occasion))

    async def close(self) -> None:
        """Wait no longer for commands; those that run go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="hooks")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_all(self, hooks: Sequence[Hook], occasion: HookOccasion) -> None:
        async with self._turns:
            for hook in hooks:
                for number, command in enumerate(self._commands[hook], start=1):
                    text = command.rstrip()
                    work = self._run_one(hook, number, text, occasion)
                    if text.endswith(BESIDE):
                        self._keep(work)
                    else:
                        await work

    async def _run_one(self, hook: Hook, number: int, command: str, occasion: HookOccasion) -> None:
        at = self._clock.wall()
        text = command.removesuffix(BESIDE).rstrip()
        ended = await self._run(text, occasion.words(), self._limits().other)
        said = f" ({ended.output})" if ended.output else ""
        (_log.info if ended.is_done else _log.warning)(
            f"{occasion.shard}: command {number} of {hook.value}: {ended.result}{said}", shard=str(occasion.shard)
        )
        self._heard(
            HookNews(
                shard=occasion.shard,
                recovery=occasion.recovery,
                run=HookRunForm(
                    hook=hook.value,
                    number=number,
                    at=rfc3339(at),
                    seconds=round(ended.seconds, 6),
                    result=ended.result,
                    output=ended.output,
                ),
            )
        )
