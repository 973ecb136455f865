"""An emergency reparent that is refused: what it changes, and what its refusal says."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.core.builders import changed
from tests.unit.recovery.test_repairs import by_hand, look
from tests.unit.sim.servers import until
from tests.unit.sim.worlds import CELLS, SHARD, in_world, small_plan
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.errors import TabletCallFailed
from vtorc.recovery.emergency import EmergencyReparent
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.record import Outcome
from vtorc.recovery.session import RecoverySession, RecoveryTools
from vtorc.sim.cluster.plan import shard_plan
from vtorc.sim.cluster.tablet_manager import SimTabletManager
from vtorc.sim.cluster.world import SimShard, World
from vtorc.tablet.api import StopMode
from vtorc.vttablet.mysql_api import Threads


def test_no_tablet_is_stopped_for_an_election_without_a_candidate() -> None:
    """Each try is refused and touches no tablet while the last replica would get no acknowledgement (default seed
    9036).
    """
    one_replica = shard_plan(SHARD, CELLS, durability="semi_sync", tablets=3, rdonly=1)

    async def main(world: World, shard: SimShard) -> None:
        changes: list[str] = []

        def sent(_caller: str, tablet: str, _shard: ShardId, name: str) -> None:
            changes.append(f"{name} {tablet}")

        world.checker.listeners.append(sent)
        primary = shard.primary
        assert primary is not None
        primary.mysqld.process.crash()
        await asyncio.sleep(60.0)
        refused = [record for record in world.vtorcs[0].records if record.outcome is Outcome.REFUSED]
        assert {record.rule for record in refused} == {Rule.NO_CANDIDATE}
        assert not [change for change in changes if change.startswith(("Stop", "Start", "Demote", "Set"))]

    in_world(main, plan=replace(small_plan(), shards=(one_replica,)))


@pytest.mark.parametrize("place", [0, 1])
def test_no_tablet_is_promoted_over_one_that_did_not_stay_stopped(place: int) -> None:
    """A tablet counts as not reached if it starts again while relay logs are applied, and acknowledges for the old
    primary.
    """

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        primary = shard.primary
        assert primary is not None
        replicas = [each for each in shard.tablets if each is not primary]
        for each in replicas:
            each.mysqld.replication.applier.delay = 3.0
        await asyncio.sleep(5.0)
        view = await look(shard, tools)
        # Silent to us alone: it goes on writing.
        tablets = tuple(changed(t, status=None) if t.alias == primary.config.alias else t for t in view.tablets)
        restarted = replicas[place].mysqld.replication

        async def start_again() -> None:
            """Resume replication, as vttablet does when it starts."""
            await until(lambda: all(t.mysqld.replication.io_state.name == "STOPPED" for t in replicas))
            await restarted.start(Threads.BOTH)

        world.spawn(start_again(), "vttablet")
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            reparent = EmergencyReparent(session, replace(view, tablets=tablets), policy("semi_sync"))
            with pytest.raises(RecoveryRefused, match=f"acknowledged by {replicas[place].alias_text}"):
                await reparent.run()
            await session.roll_back()
        assert shard.primary is primary
        assert all(t.mysqld.replication.io_state.name != "STOPPED" for t in replicas)

    by_hand(main, durability="semi_sync")


def test_a_refusal_says_what_kept_reached_tablets_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tablet that answers the stop with an error was reached; an operator needs the text of that error."""

    async def refuses(self: SimTabletManager, tablet: TabletRecord, mode: StopMode) -> None:
        raise TabletCallFailed(f"StopReplicationAndGetStatus of {tablet.alias}: syntax error at position 5")

    async def main(world: World, shard: SimShard, tools: RecoveryTools) -> None:
        view = await look(shard, tools)
        assert shard.primary is not None
        shard.primary.mysqld.process.crash()
        monkeypatch.setattr(SimTabletManager, "stop_replication_and_get_status", refuses)
        async with tools.topo.lock_shard(shard.id, "test") as lock:
            session = RecoverySession(tools, lock, began=tools.clock.now())
            with pytest.raises(RecoveryRefused, match=r"0101 did not stop: .* syntax error at position 5"):
                await EmergencyReparent(session, view, policy("none")).run()

    by_hand(main)


def test_a_failover_that_waits_for_nothing_asks_no_tablet_twice() -> None:
    """Tablets are asked whether they stayed stopped only if they had time to start again."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        records = world.vtorcs[0].records
        before = len(records)
        primary.mysqld.process.crash()
        await until(lambda: any(record.winner is not None for record in records[before:]), limit=30.0)
        steps = [step.name for record in records[before:] for step in record.steps]
        assert "promote" in steps
        assert "check that it is still stopped" not in steps

    in_world(main)
