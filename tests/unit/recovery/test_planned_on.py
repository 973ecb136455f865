"""Planned commands in a shard that another process has changed by the time that they have the lock."""

from dataclasses import replace
from typing import cast

import pytest

from tests.unit.core.builders import alias, primary, replica, shard
from tests.unit.recovery.fakes import Rig, with_rig
from tests.unit.recovery.test_pre_hooks import DONE, FakeHooks
from tests.unit.recovery.test_runner_calls import FIRST, LOST, PRIMARY, SECOND, Watch, tell, topology
from vtorc.core.facts.durability import policy
from vtorc.core.facts.views import ShardView
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.commands import Commands
from vtorc.recovery.hooks import Hook
from vtorc.recovery.record import Outcome, RecoveryRecord

_ = topology  # a fixture that holds for this module as well
MOVED = shard(primary(FIRST, term=20), replica(PRIMARY, of=FIRST), replica(SECOND, of=FIRST), named=FIRST, term=20)
OF_ONE_TERM = shard(primary(FIRST), replica(PRIMARY, of=FIRST), replica(SECOND, of=FIRST), named=FIRST)
PROMOTED_AGAIN = shard(primary(term=20, dead_for=3.0), replica(FIRST), replica(SECOND), term=20)
WITHOUT_PRIMARY = shard(replica(FIRST), replica(SECOND))
OTHER_POLICY = shard(*LOST.tablets, policy_name="cross_cell")


async def command(commands: Commands, kind: str) -> RecoveryRecord:
    """Ask for a reparent of that kind."""
    match kind:
        case "planned":
            return await commands.planned_reparent(policy("semi_sync"), alias(SECOND))
        case "emergency":
            return await commands.emergency_reparent(policy("semi_sync"))
        case _:
            return await commands.force_promotion(policy("semi_sync"), alias(SECOND))


@pytest.mark.parametrize("kind", ["planned", "emergency", "forced"])
@pytest.mark.parametrize(
    ("now", "why"),
    [
        (MOVED, f"{FIRST} has become primary"),
        (OF_ONE_TERM, f"{FIRST} has become primary"),
        (PROMOTED_AGAIN, f"{PRIMARY} has become primary"),
        (WITHOUT_PRIMARY, "the shard has lost its primary"),
        (OTHER_POLICY, "the durability policy has changed"),
    ],
)
def test_a_plan_that_does_not_hold_under_the_lock_changes_nothing(kind: str, now: ShardView, why: str) -> None:
    """Another process has replaced the lost primary meanwhile, and its successor stays."""

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        record = await command(Commands(rig.tools, cast(ShardWatch, Watch(now)), planned_on=LOST), kind)
        assert record.outcome is Outcome.FAILED
        assert record.sentence.endswith(f"{why} since the plan was made, so nothing was changed; make a new plan")
        assert rig.calls == []

    with_rig(main)


def test_a_plan_that_still_holds_is_carried_out() -> None:
    """Positions, and what else changes in a shard all the time, are no reason to refuse it."""

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        planned_on = shard(primary(dead_for=0.5), replica(FIRST, executed="100:1-7"), replica(SECOND))
        commands = Commands(rig.tools, cast(ShardWatch, Watch(LOST)), planned_on=planned_on)
        record = await command(commands, "emergency")
        assert (record.outcome, record.winner) == (Outcome.SUCCEEDED, alias(FIRST))

    with_rig(main)


def test_a_plan_is_compared_again_after_a_command_of_the_operator() -> None:
    """The shard may change while the operator's own command runs before the reparent."""

    watch, hooks = Watch(LOST), FakeHooks(DONE, hooks=(Hook.PRE_FAILOVER,))

    def move() -> None:
        watch.shown = MOVED

    hooks.on_run = move

    async def main(rig: Rig) -> None:
        tell(rig)
        rig.tools = replace(rig.tools, hooks=hooks)
        rig.topo.lock_shard = rig.topo.try_lock_shard  # type: ignore[method-assign]
        record = await command(Commands(rig.tools, cast(ShardWatch, watch), planned_on=LOST), "emergency")
        assert record.outcome is Outcome.FAILED
        assert f"{FIRST} has become primary since the plan was made" in record.sentence
        assert rig.calls == []

    with_rig(main)
