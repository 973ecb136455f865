"""A person's promotion against the rules: what it changes, what it leaves alone, and that it has to be accepted."""

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
from vtorc.recovery.commands import Commands
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.vttablet.mysql_api import Threads

SEMI_SYNC = policy("semi_sync")


def commanded(main: Callable[[World, SimShard, "Person"], Awaitable[None]], *, durability: str = "semi_sync") -> None:
    """Run something with four tablets whose primary and one possible acker are lost, so that vtorc promotes nobody."""

    async def start(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        rest = [tablet for tablet in shard.tablets if tablet is not primary]
        for tablet in (primary, rest[2]):
            world.power_off(tablet.host)
        await asyncio.sleep(30.0)
        assert shard.primary not in rest
        await main(world, shard, Person(world, primary, (rest[0], rest[1]), rest[2]))

    in_world(start, plan=small_plan(tablets=4, durability=durability))


class Person:
    """Somebody with a vtorc at hand; the tablets are the lost primary, those that are there, and the lost acker."""

    def __init__(self, world: World, dead: SimTablet, there: tuple[SimTablet, SimTablet], hidden: SimTablet) -> None:
        self.world = world
        self.dead, self.there, self.hidden = dead, there, hidden
        self.changes: list[str] = []
        world.checker.listeners.append(self._sent)

    def _sent(self, _who: str, tablet: str, _shard: ShardId, name: str) -> None:
        self.changes.append(f"{name} {tablet}")

    async def override(self, named: SimTablet, accepted: DataLossEstimate | None = None) -> RecoveryRecord:
        vtorc = self.world.vtorcs[0]
        assert vtorc.tools is not None
        assert vtorc.fleet is not None
        commands = Commands(vtorc.tools, vtorc.fleet.loops[SHARD].watch)
        return await vtorc.process.life.spawn(
            commands.override(SEMI_SYNC, named.config.alias, accepted), name="override"
        )


def test_the_price_is_told_before_anything_is_changed() -> None:
    """Without an acceptance nothing is sent to any tablet, and the record has the price."""

    async def main(_: World, __: SimShard, person: Person) -> None:
        person.changes.clear()
        record = await person.override(person.there[0])
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.DATA_LOSS_NOT_ACCEPTED)
        assert record.data_loss is not None
        assert record.data_loss.unreached == {person.dead.config.alias, person.hidden.config.alias}
        assert str(person.hidden.config.alias) in record.sentence
        assert not any(each.startswith(("Promote", "Demote", "SetReplicationSource")) for each in person.changes)

    commanded(main)


def test_only_the_named_tablet_is_promoted() -> None:
    """With the price accepted the named tablet takes writes, and what was lost follows it when it returns."""

    async def main(world: World, shard: SimShard, person: Person) -> None:
        named = person.there[1]
        data_loss = (await person.override(named)).data_loss
        person.changes.clear()
        record = await person.override(named, data_loss)
        assert (record.outcome, record.winner) == (Outcome.SUCCEEDED, named.config.alias)
        assert record.argument is not None
        assert record.argument.sentence.startswith(f"A person named {named.alias_text} and accepted the price: ")
        assert [each for each in person.changes if each.startswith("Promote")] == [f"PromoteReplica {named.alias_text}"]
        for tablet in (person.dead, person.hidden):
            world.power_on(tablet.host)
        assert await world.until_well(shard, limit=120.0) == []
        assert shard.primary is named

    commanded(main)


def test_what_turns_out_once_all_are_stopped_still_refuses_it() -> None:
    """If another tablet holds more than was seen, so that nobody could acknowledge, everything is put back."""

    async def main(world: World, _: SimShard, person: Person) -> None:
        named, other = person.there
        data_loss = (await person.override(named)).data_loss
        waiting = [True]

        def sent(_who: str, _tablet: str, _shard: ShardId, name: str) -> None:
            if waiting and name == "StopReplicationAndGetStatus":
                waiting.clear()
                world.meddle(other, other.mysqld.inject(InsertRow(0)))

        world.checker.listeners.append(sent)
        record = await person.override(named, data_loss)
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert all(each.mysqld.read_only for each in person.there)
        undone = [step.target for step in record.steps if step.name.startswith("undo: ")]
        assert set(undone) == {each.config.alias for each in person.there}

    commanded(main)


def test_who_does_not_stay_stopped_is_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tablet that starts again while the named one applies its relay log counts as not reached."""

    async def main(world: World, _: SimShard, person: Person) -> None:
        named, other = person.there
        data_loss = (await person.override(named)).data_loss
        tools = world.vtorcs[0].tools
        assert tools is not None
        apply = tools.tablets.wait_for_position

        async def slow(tablet: TabletRecord, position: GtidSet) -> None:
            await other.mysqld.replication.start(Threads.BOTH)
            await asyncio.sleep(1.0)
            await apply(tablet, position)

        monkeypatch.setattr(tools.tablets, "wait_for_position", slow)
        record = await person.override(named, data_loss)
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert not any(step.name == "promote" for step in record.steps)

    commanded(main)


def test_what_cannot_be_primary_is_refused() -> None:
    """A tablet that does not answer is refused, whatever is accepted."""

    async def main(_: World, __: SimShard, person: Person) -> None:
        record = await person.override(person.hidden, DataLossEstimate(named=person.hidden.config.alias))
        assert (record.outcome, record.rule) == (Outcome.REFUSED, Rule.FORCED_IMPOSSIBLE)
        assert f"{person.hidden.alias_text} was not reached" in record.sentence

    commanded(main)
