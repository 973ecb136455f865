"""The operator's commands, hook by hook."""

import asyncio
from collections.abc import Mapping

from tests.unit.notifier.receivers import until
from vtorc.core.facts.ids import ShardId
from vtorc.notifier.hooks import MOST_AT_A_TIME, MOST_WAITING, HookLimits, HookNews, OperatorHooks
from vtorc.recovery.hooks import Hook, HookOccasion, HookResult

OCCASION = HookOccasion(shard=ShardId("commerce", "0"), code="DeadPrimary", description="x", recovery=17)


class Runs:
    """A shell that keeps what it is given, and ends a command when it is let go."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, float]] = []
        self.heard: list[HookNews] = []
        self.go = asyncio.Event()
        self.most = 0
        self._now = 0

    async def __call__(self, command: str, words: Mapping[str, str], limit: float) -> HookResult:
        self.begun.append((command, limit))
        self._now += 1
        self.most = max(self.most, self._now)
        await self.go.wait()
        self._now -= 1
        return HookResult(result="ended with exit code 1" if "false" in command else "done", output="o", seconds=1.0)

    def hooks(self, **commands: list[str]) -> OperatorHooks:
        """Return hooks with these commands."""
        return OperatorHooks(
            {Hook[name]: listed for name, listed in commands.items()},
            self,
            lambda: HookLimits(pre=10.0, other=300.0),
            Clock(),
            self.heard.append,
        )


class Clock:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> int:
        return 0


async def turns() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_commands_run_one_after_the_other_although_one_fails() -> None:
    """A failure after the fact is told, and the next command runs."""
    runs = Runs()
    hooks = runs.hooks(POST_PRIMARY_FAILOVER=["false", "second"], POST_FAILOVER=["third"])
    hooks.start([Hook.POST_PRIMARY_FAILOVER, Hook.POST_FAILOVER], OCCASION)
    await turns()
    assert runs.begun == [("false", 300.0)]
    runs.go.set()
    await turns()
    assert [command for command, _ in runs.begun] == ["false", "second", "third"]
    told = [(news.run.hook, news.run.number, news.run.result) for news in runs.heard]
    assert told == [
        ("PostPrimaryFailoverProcesses", 1, "ended with exit code 1"),
        ("PostPrimaryFailoverProcesses", 2, "done"),
        ("PostFailoverProcesses", 1, "done"),
    ]
    assert {news.recovery for news in runs.heard} == {17}


async def test_a_command_with_an_ampersand_holds_up_no_other() -> None:
    """It runs without the ampersand, and the next one begins at once."""
    runs = Runs()
    hooks = runs.hooks(POST_FAILOVER=["slow & ", "second"])
    hooks.start([Hook.POST_FAILOVER], OCCASION)
    await turns()
    assert sorted(command for command, _ in runs.begun) == ["second", "slow"]
    runs.go.set()
    await turns()
    assert len(runs.heard) == 2


async def test_a_recovery_waits_for_no_command_with_an_ampersand() -> None:
    """A Pre hook that runs beside the recovery counts as done; another one is waited for, with its own limit."""
    runs = Runs()
    hooks = runs.hooks(PRE_FAILOVER=["tell &", "check"])
    assert (await hooks.run(Hook.PRE_FAILOVER, 1, OCCASION)).is_done
    waiting = asyncio.create_task(hooks.run(Hook.PRE_FAILOVER, 2, OCCASION))
    await turns()
    assert sorted(runs.begun) == [("check", 10.0), ("tell", 300.0)]
    assert not waiting.done()
    runs.go.set()
    assert (await waiting).is_done


async def test_many_occasions_wait_for_their_turn() -> None:
    """A mass failure begins few commands at a time, and what is beyond the bound is not run."""
    runs = Runs()
    hooks = runs.hooks(POST_FAILOVER=["x"])
    for _ in range(MOST_WAITING + 5):
        hooks.start([Hook.POST_FAILOVER], OCCASION)
    await turns()
    runs.go.set()
    await until(lambda: len(runs.heard) >= MOST_WAITING)
    await turns()
    assert len(runs.heard) == MOST_WAITING
    assert runs.most == MOST_AT_A_TIME


async def test_the_end_of_vtorc_waits_for_no_command() -> None:
    """Closing gives up the wait, whatever still runs."""
    runs = Runs()
    hooks = runs.hooks(POST_FAILOVER=["x"])
    hooks.start([Hook.POST_FAILOVER], OCCASION)
    await turns()
    await hooks.close()
    assert runs.heard == []


def test_a_hook_without_commands_is_none() -> None:
    """Nothing is begun for it, also without an event loop."""
    hooks = Runs().hooks(PRE_FAILOVER=[])
    assert hooks.count(Hook.PRE_FAILOVER) == 0
    hooks.start([Hook.PRE_FAILOVER], OCCASION)
