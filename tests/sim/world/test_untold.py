"""A primary that was replaced under `none` and could not be told of the policy that was set then."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world, small_plan
from vtorc.recovery.repairs import Repairs
from vtorc.sim.checks.untold import TOLD_WITHIN
from vtorc.sim.cluster.policy_change import change_policy
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.network import LinkFault

PLAN = small_plan(durability="none")


def _cut(world: World, one: frozenset[str], others: frozenset[str]) -> tuple[LinkFault, LinkFault]:
    """Cut hosts off from others both ways; returns the faults."""
    there = LinkFault(name="there", sources=one, targets=others, cut=True)
    faults = there, replace(there, name="back", sources=others, targets=one)
    for fault in faults:
        world.network.impose(fault)
    return faults


def _rules_after_it_is_back(seconds: float) -> list[str]:
    """Return the rules that are broken so many seconds after only vtorcs and clients reach the old primary again."""
    broken: list[str] = []

    async def main(world: World, shard: SimShard) -> None:
        old = shard.primary
        assert old is not None
        itself = frozenset({old.host.name})
        topo = frozenset(each.process.host.name for each in world.topos.values())
        faults = _cut(world, itself, frozenset(world.network.hosts) - itself)
        await until(lambda: shard.primary is not old and shard.ledger.committer is not old.mysqld)
        change_policy(world, shard.id.keyspace, "semi_sync")
        await until(lambda: shard.ledger.requires_acks)
        await asyncio.sleep(3 * TOLD_WITHIN)
        assert world.checker.violations == []
        assert old.mysqld in shard.ledger.untold
        for fault in faults:
            world.network.lift(fault)
        _cut(world, itself, topo)  # so that it cannot yield by itself
        await asyncio.sleep(seconds)
        broken.extend(dict.fromkeys(each.rule for each in world.checker.violations))
        world.checker.violations.clear()

    in_world(main, plan=PLAN)
    return broken


def test_it_is_demoted_once_a_vtorc_reaches_it() -> None:
    """A vtorc that reaches it again makes it read-only before the policy is taken to bind it."""
    assert _rules_after_it_is_back(3 * TOLD_WITHIN) == []


def test_a_vtorc_that_does_not_demote_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take writes without waiting for no longer than a vtorc needs to demote it, and then breaks a rule."""

    async def careless(*_: object) -> None:
        return

    monkeypatch.setattr(Repairs, "_reconcile", careless)
    assert _rules_after_it_is_back(TOLD_WITHIN / 2) == []
    assert "two-writable" in _rules_after_it_is_back(3 * TOLD_WITHIN)
