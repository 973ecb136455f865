"""Forced promotions: what they change, what they leave alone, and that an operator has to accept the data loss."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.sim.worlds import SHARD, in_world, small_plan
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.vttablet.mysql_api import Threads

SEMI_SYNC = policy("semi_sync")


def commanded(main: Callable[[World, SimShard, "Operator"], Awaitable[None]], *, durability: str = "semi_sync") -> None:
    """Run a test on four tablets whose primary and one possible acker are lost, so that vtorc promotes no tablet."""

    async def start(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        rest = [tablet for tablet in shard.tablets if tablet is not primary]
        for tablet in (primary, rest[2]):
            world.power_off(tablet.host)
        await asyncio.sleep(30.0)
        assert shard.primary not in rest
        await main(world, shard, Operator(world, primary, (rest[0], rest[1]), rest[2]))

    in_world(start, plan=small_plan(tablets=4, durability=durability))


class Operator:
    """An operator with a vtorc at hand; the tablets are the lost primary, those that live, and the lost acker."""

    def __init__(self, world: World, dead: SimTablet, alive: tuple[SimTablet, SimTablet], hidden: SimTablet) -> None:
        self.world = world
        self.dead, self.alive, self.hidden = dead, alive, hidden
        self.changes: list[str] = []
        world.checker.listeners.append(self._sent)

    def _sent(self, _caller: str, tablet: str, _shard: ShardId, name: str) -> None:
        self.changes.append(f"{name} {tablet}")

    async def force_promotion(self, named: SimTablet, accepted: DataLossEstimate | None = None) -> RecoveryRecord:
        vtorc = self.world.vtorcs[0]
        commands = vtorc.commands(SHARD)
        assert commands is not None
        return await vtorc.process.life.spawn(
            commands.force_promotion(SEMI_SYNC, named.config.alias, accepted), name="force_promotion"
        )


def test_the_data_loss_is_reported_before_anything_is_changed() -> None:
    """Until it is accepted all tablets are left alone, and the record has the data-loss estimate."""

    async def main(_: World, __: SimShard, operator: Operator) -> None:
        operator.changes.clear()
        record = await operator.force_promotion(operator.alive[0])
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.DATA_LOSS_NOT_ACCEPTED)
        assert record.data_loss is not None
        assert record.data_loss.unreached == {operator.dead.config.alias, operator.hidden.config.alias}
        assert str(operator.hidden.config.alias) in record.sentence
        assert not any(each.startswith(("Promote", "Demote", "SetReplicationSource")) for each in operator.changes)

    commanded(main)


def test_only_the_named_tablet_is_promoted() -> None:
    """With the data loss accepted the named tablet takes writes, and the lost tablets replicate from it when they
    return.
    """

    async def main(world: World, shard: SimShard, operator: Operator) -> None:
        named = operator.alive[1]
        data_loss = (await operator.force_promotion(named)).data_loss
        operator.changes.clear()
        record = await operator.force_promotion(named, data_loss)
        assert (record.outcome, record.winner) == (Outcome.SUCCEEDED, named.config.alias)
        assert record.argument is not None
        assert record.argument.sentence.startswith(f"An operator named {named.alias_text} and accepted the data loss: ")
        promotions = [change for change in operator.changes if change.startswith("Promote")]
        assert promotions == [f"PromoteReplica {named.alias_text}"]
        for tablet in (operator.dead, operator.hidden):
            world.power_on(tablet.host)
        assert await world.until_well(shard, limit=120.0) == []
        assert shard.primary is named

    commanded(main)


def test_a_forced_promotion_may_still_be_refused_once_all_are_stopped() -> None:
    """If another tablet holds more than was seen, so that no tablet could acknowledge, everything is put back."""

    async def main(world: World, _: SimShard, operator: Operator) -> None:
        named, other = operator.alive
        data_loss = (await operator.force_promotion(named)).data_loss
        waiting = [True]

        def sent(_caller: str, _tablet: str, _shard: ShardId, name: str) -> None:
            if waiting and name == "StopReplicationAndGetStatus":
                waiting.clear()
                world.change_by_hand(other, other.mysqld.inject(InsertRow(0)))

        world.checker.listeners.append(sent)
        record = await operator.force_promotion(named, data_loss)
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert all(each.mysqld.read_only for each in operator.alive)
        undone = [step.target for step in record.steps if step.name.startswith("undo: ")]
        assert set(undone) == {each.config.alias for each in operator.alive}

    commanded(main)


def test_a_tablet_that_does_not_stay_stopped_counts_as_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tablet that starts again while the named one applies its relay log may hold more by then."""

    async def main(world: World, _: SimShard, operator: Operator) -> None:
        named, other = operator.alive
        data_loss = (await operator.force_promotion(named)).data_loss
        tools = world.vtorcs[0].tools
        assert tools is not None
        apply = tools.tablets.wait_for_position

        async def slow(tablet: TabletRecord, position: GtidSet) -> None:
            await other.mysqld.replication.start(Threads.BOTH)
            await asyncio.sleep(1.0)
            await apply(tablet, position)

        monkeypatch.setattr(tools.tablets, "wait_for_position", slow)
        record = await operator.force_promotion(named, data_loss)
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert not any(step.name == "promote" for step in record.steps)

    commanded(main)


def test_a_tablet_that_does_not_answer_is_refused() -> None:
    """A tablet that does not answer cannot be promoted, whatever was accepted."""

    async def main(_: World, __: SimShard, operator: Operator) -> None:
        record = await operator.force_promotion(operator.hidden, DataLossEstimate(named=operator.hidden.config.alias))
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert f"{operator.hidden.alias_text} was not reached" in record.sentence

    commanded(main)
