"""The operator's commands before a recovery: when they are asked, and what a failure of theirs means."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import alias, primary, replica, shard
from tests.unit.recovery.fakes import WALL, Rig, with_rig
from tests.unit.recovery.test_runner_calls import (
    DEAD,
    FIRST,
    FIX,
    LOST,
    PRIMARY,
    SECOND,
    WELL,
    Watch,
    action,
    tell,
    topology,
)
from vtorc.core.decision.decisions import Action
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import policy
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.commands import Commands
from vtorc.recovery.hooks import Hook, HookOccasion, HookResult
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement, Runner, begun_with

_ = topology  # a fixture that holds for this module as well
ELECT = action(Recovery.ELECT_NEW_PRIMARY, (Code.CLUSTER_HAS_NO_PRIMARY, None))
DONE = HookResult(result="done", output="fine", seconds=0.1)
REFUSED = HookResult(result="ended with exit code 1", output="not on a Friday", seconds=0.1)


class FakeHooks:
    """Commands that end as they are told, and note what they are asked."""

    def __init__(self, *results: HookResult, hooks: tuple[Hook, ...] = tuple(Hook)) -> None:
        self.asked: list[tuple[Hook, int]] = []
        self.occasions: list[HookOccasion] = []
        self.cancelled = 0
        self.on_run: Callable[[], None] = lambda: None
        self._results = results
        self._hooks = hooks

    def count(self, hook: Hook) -> int:
        return len(self._results) if hook in self._hooks else 0

    async def run(self, hook: Hook, number: int, occasion: HookOccasion) -> HookResult:
        self.asked.append((hook, number))
        self.occasions.append(occasion)
        self.on_run()
        try:
            await asyncio.sleep(2.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self._results[number - 1]


async def fail_over(
    rig: Rig, hooks: FakeHooks, first: Action, *judged: tuple[ShardView, Action | None]
) -> RecoveryRecord:
    """Carry out an action that is judged like this, one time after the other; the last judgement lasts."""
    rig.tools = replace(rig.tools, hooks=hooks)
    left = list(judged)

    def judge(*, heard_since: float = 0.0) -> Judgement:
        view, again = left.pop(0) if len(left) > 1 else left[0]
        return Judgement(view, policy("semi_sync"), again.decisions if again is not None else (), again)

    watch = Watch(judged[0][0])
    return await Runner(rig.tools, cast(ShardWatch, watch), judge).run(first, begun_with(first, began=WALL))


def test_a_failover_asks_first_and_tells_what_was_printed() -> None:
    """Each command is a step before anything is changed, with its output, and is told about the failed primary."""

    async def main(rig: Rig) -> None:
        tell(rig)
        hooks = FakeHooks(DONE, DONE)
        hooks.on_run = lambda: untouched.append(rig.calls == [])
        untouched: list[bool] = []
        record = await fail_over(rig, hooks, DEAD, (LOST, DEAD))
        assert record.outcome is Outcome.SUCCEEDED
        assert hooks.asked == [(Hook.PRE_FAILOVER, 1), (Hook.PRE_FAILOVER, 2)]
        assert untouched == [True, True]
        steps = [step for step in record.steps if step.name.startswith("PreFailover")]
        assert [(step.name, step.result, step.output) for step in steps] == [
            ("PreFailoverProcesses 1 of 2", "done", "fine"),
            ("PreFailoverProcesses 2 of 2", "done", "fine"),
        ]
        assert [step.duration for step in steps] == pytest.approx([2.0, 2.0])
        words = hooks.occasions[0].words()
        assert (words["failureType"], words["command"], words["isSuccessful"]) == ("DeadPrimary", "", "false")
        assert words["recoveryUID"] == str(WALL)
        assert words["countReplicas"] == "2"
        assert "successorHost" not in words

    with_rig(main)


def test_a_command_that_fails_refuses_the_failover() -> None:
    """Nothing is changed, the next command is not asked, and the rule has a name of its own."""

    async def main(rig: Rig) -> None:
        hooks = FakeHooks(REFUSED, DONE)
        record = await fail_over(rig, hooks, DEAD, (LOST, DEAD))
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.PRE_HOOK)
        assert record.sentence.startswith(
            "commerce/0: not going on, because command 1 of PreFailoverProcesses ended with exit code 1"
        )
        assert hooks.asked == [(Hook.PRE_FAILOVER, 1)]
        assert (record.steps[-1].result, record.steps[-1].output) == ("ended with exit code 1", "not on a Friday")
        assert rig.calls == []

    with_rig(main)


def test_the_shard_is_judged_again_after_a_command() -> None:
    """A primary that came back while the command ran is not replaced."""

    async def main(rig: Rig) -> None:
        record = await fail_over(rig, FakeHooks(DONE), DEAD, (LOST, DEAD), (WELL, None))
        assert record.outcome is Outcome.GONE
        assert rig.calls == []

    with_rig(main)


@pytest.mark.parametrize(
    ("first", "view"),
    [
        (FIX, WELL),
        (
            action(Recovery.ELECT_NEW_PRIMARY, (Code.CLUSTER_HAS_NO_PRIMARY, None)),
            shard(replica(FIRST), replica(SECOND)),
        ),
    ],
    ids=["a repair", "a first election"],
)
def test_other_recoveries_ask_nothing(first: Action, view: ShardView) -> None:
    """As in v12, only replacements of a primary have commands before them; the others read the shard once."""

    async def main(rig: Rig) -> None:
        hooks = FakeHooks(REFUSED)
        record = await fail_over(rig, hooks, first, (view, first))
        assert record.rule is not Rule.PRE_HOOK
        assert hooks.asked == []
        assert [step.name for step in record.steps].count("read topology") == 1

    with_rig(main)


def test_a_broken_off_recovery_ends_its_command() -> None:
    """A command whose recovery is cancelled is cancelled, and stands in the record as such."""

    async def main(rig: Rig) -> None:
        hooks = FakeHooks(DONE)
        running = asyncio.create_task(fail_over(rig, hooks, DEAD, (LOST, DEAD)))
        await asyncio.sleep(1.0)  # on the clock of the test; a command takes two seconds
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert hooks.cancelled == 1

    with_rig(main)


def test_a_planned_reparent_asks_both_hooks_and_reads_again() -> None:
    """PreGracefulTakeoverProcesses come first, and what they took time for is read anew."""

    async def main(rig: Rig) -> None:
        hooks = FakeHooks(DONE)
        rig.tools = replace(rig.tools, hooks=hooks)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        watch = Watch(WELL)
        await Commands(rig.tools, cast(ShardWatch, watch)).planned_reparent(policy("semi_sync"))
        assert hooks.asked == [(Hook.PRE_GRACEFUL_TAKEOVER, 1), (Hook.PRE_FAILOVER, 1)]
        assert hooks.occasions[0].command == "graceful-primary-takeover"
        assert watch.calls.count("update with a reading") == 2

    with_rig(main)


@pytest.mark.parametrize(
    ("kind", "hint"), [("emergency", "force-primary-failover"), ("forced", "force-primary-takeover")]
)
def test_reparents_of_operators_are_refused_by_a_command(kind: str, hint: str) -> None:
    """An emergency and a forced reparent ask as well, in v12's words, and change nothing after a failure."""

    async def main(rig: Rig) -> None:
        hooks = FakeHooks(REFUSED)
        rig.tools = replace(rig.tools, hooks=hooks)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        view = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND))
        commands = Commands(rig.tools, cast(ShardWatch, Watch(view)))
        if kind == "emergency":
            record = await commands.emergency_reparent(policy("semi_sync"))
        else:
            record = await commands.force_promotion(policy("semi_sync"), alias(FIRST))
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.PRE_HOOK)
        assert hooks.occasions[0].command == hint
        assert hooks.occasions[0].failed is not None
        assert str(hooks.occasions[0].failed.alias) == PRIMARY
        assert rig.calls == []

    with_rig(main)
