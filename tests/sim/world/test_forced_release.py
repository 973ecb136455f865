"""What a forced demotion tells a client that goes past vttablet: the reason for a limit of the promise."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import in_world, small_plan
from vtorc.sim.cluster.world import SimShard, World
from vtorc.vttablet import read_only
from vtorc.vttablet.mysql_api import MysqlServer

PLAN = replace(small_plan(), writers=0, direct_writers=1)


async def _as_vttablet(
    server: MysqlServer,
    set_read_only: Coroutine[Any, Any, None],
    release_commits: Callable[[], Awaitable[None]],
    *,
    poll: float,
) -> None:
    """Release the commits that wait, as Vitess' vttablet does, which has cut off no client but its own."""
    turning = asyncio.create_task(set_read_only)
    await asyncio.sleep(poll)
    await release_commits()
    await turning


def _broken_by_a_forced_demotion() -> list[str]:
    """Demote a primary by force whose direct client waits for an acknowledgement, and return the broken invariants."""
    broken: list[str] = []

    async def main(world: World, shard: SimShard) -> None:
        world.vtorcs[0].process.freeze()
        primary = shard.primary
        assert primary is not None
        for each in shard.tablets:
            if each is not primary:
                each.mysqld.process.crash()
        await until(lambda: primary.mysqld.acks.sessions > 0)
        assert primary.agent is not None
        await primary.agent.reparent.demote_primary(force=True)
        await asyncio.sleep(1.0)
        broken.extend(violation.rule for violation in world.checker.violations)
        world.checker.violations.clear()

    in_world(main, plan=PLAN)
    return broken


def test_the_promise_ends_where_a_demotion_releases_a_direct_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of mysqld itself is told OK for a write that only the demoted primary has, as with Vitess' vttablet."""
    monkeypatch.setattr(read_only, "by_force", _as_vttablet)
    assert "unprotected-write" in _broken_by_a_forced_demotion()


def test_a_demotion_that_cuts_all_clients_off_first_releases_none() -> None:
    """The small vttablet closes every client's connection before it lets the commits go, so none is told OK."""
    assert _broken_by_a_forced_demotion() == []
