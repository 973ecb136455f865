"""Readings of the topology server, even if part of it is broken, and what they cost."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.discovery.clocks import LoopClock
from tests.unit.topo.worlds import SHARD, World, tablet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.discovery.topology import LIST_EVERY, TopologyReading, read_shard, read_topology, watch_topology
from vtorc.errors import TopoError
from vtorc.sim.engine.loop import run
from vtorc.topo.conn import TopoConn

BAD = TabletAlias("zone1", 100)
OTHERS = tuple(ShardId(f"ks{number}", "0") for number in range(50))


def in_world(main: Callable[[World], Awaitable[None]], *, others: tuple[ShardId, ...] = OTHERS) -> None:
    """Run a test on a topology of 51 shards."""

    async def start() -> None:
        world = World()
        await world.fill()
        for number, shard in enumerate(others):
            await world.topo.create_keyspace(shard.keyspace)
            await world.topo.create_shard(shard)
            await world.topo.create_tablet(tablet("zone2", 1000 + number, shard))
        await main(world)

    run(start(), seed=1)


async def spoil(world: World) -> None:
    """Make one tablet's record unreadable."""
    await world.raw("/zone1").update(f"tablets/{BAD}/Tablet", b"\xff\xff", None)


async def reading(world: World) -> TopologyReading:
    """Read the whole topology."""
    return await read_topology(world.topo, LoopClock())


def test_a_bad_record_costs_one_reading_of_its_cell() -> None:
    """The shard of an unreadable record is looked for in the record's cell, for all shards at once, while another cell
    hangs.
    """

    async def main(world: World) -> None:
        await spoil(world)
        world.faults["zone3"].hangs = True
        began = LoopClock().now()
        found = await reading(world)
        assert LoopClock().now() - began < 2.5
        assert [shard for shard, each in found.shards.items() if each.bad_records] == [SHARD]
        assert BAD in found.shards[SHARD].bad_records
        assert set(found.shards[SHARD].unreachable_cells) == {"zone3"}

    in_world(main)


def test_a_bad_record_of_no_shard_is_named() -> None:
    """A record that no shard lists is reported, and hides nothing."""

    async def main(world: World) -> None:
        await spoil(world)
        await world.raw("/zone1").delete("keyspaces/ks/shards/0/ShardReplication", None)
        found = await reading(world)
        assert not found.shards[SHARD].bad_records
        assert "and no shard lists it; it is left out" in found.failures[0]

    in_world(main, others=())


def test_a_cell_with_a_bad_record_of_an_unknown_shard_is_unreachable() -> None:
    """If the shard of an unreadable record cannot be found, the tablets of its cell count as not all known."""

    async def silent(cell: str, shards: object, *, patience: float) -> None:
        raise TimeoutError

    async def main(world: World) -> None:
        await spoil(world)
        world.topo.named_in_cell = silent  # type: ignore[method-assign,assignment]
        found = await reading(world)
        reason = found.shards[SHARD].unreachable_cells["zone1"]
        assert "its shard could not be found: it did not answer within 2 s" in reason

    in_world(main, others=())


def test_a_far_global_server_makes_no_cell_unreachable() -> None:
    """The time that the global topology server takes for all shards is not taken from a cell's deadline."""

    async def main(world: World) -> None:
        world.faults["global"].takes = 1.0
        found = await reading(world)
        assert not found.failures
        assert len(found.shards[SHARD].tablets) == 3
        world.faults["global"].asked.clear()
        shards = await asyncio.gather(*(read_shard(world.topo, LoopClock(), shard) for shard in found.shards))
        assert not [shard for shard in shards if shard.unreachable_cells]
        assert world.faults["global"].asked.count("cells/zone1/CellInfo") < 5

    in_world(main)


class Changes:
    """Counts how often `watch_topology` reports a change."""

    def __init__(self, world: World) -> None:
        self.count = 0
        self.task = asyncio.create_task(watch_topology(world.topo, self._note))

    def _note(self) -> None:
        self.count += 1

    async def within(self, seconds: float) -> int:
        """Return how often it does in so many seconds from now."""
        before = self.count
        await asyncio.sleep(seconds)
        return self.count - before

    async def end(self) -> None:
        """Stop watching."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Refusing(World):
    """A cluster with one topology server that refuses connections."""

    refused: str = ""

    async def open(self, cell: str, address: str, root: str) -> TopoConn:
        """Connect to a cell."""
        if address == self.refused:
            raise TopoError("permission denied")
        return await super().open(cell, address, root)


def test_a_cell_that_cannot_be_watched_is_news_once() -> None:
    """A cell that vtorc may not read has the cluster read once; its tablets are watched once vtorc may read it."""

    async def main() -> None:
        world = Refusing()
        await world.fill()
        changes = Changes(world)
        await changes.within(20.0)
        world.refused = "forbidden"
        await world.topo.create_cell("zone4", server_address="forbidden", root="/zone4")
        assert await changes.within(600.0) == 1
        world.refused = ""
        assert await changes.within(2 * LIST_EVERY) == 1
        before = changes.count
        await world.topo.create_tablet(tablet("zone4", 999))
        await changes.within(1.0)
        assert changes.count == before + 1
        await changes.end()

    run(main(), seed=1)


def test_what_was_removed_is_watched_no_more() -> None:
    """A cell and a keyspace that are listed no more are not watched, and are watched again once they are back."""

    async def main(world: World) -> None:
        changes = Changes(world)
        await changes.within(20.0)
        await world.raw("/global").delete("cells/zone3/CellInfo", None)
        await world.raw("/global").delete("keyspaces/ks/Keyspace", None)
        await world.raw("/global").delete("keyspaces/ks/shards/0/Shard", None)
        await changes.within(2 * LIST_EVERY)
        await world.raw("/zone3").create("tablets/zone3-0000000999/Tablet", b"")
        assert await changes.within(600.0) == 0
        await world.topo.create_cell("zone3", server_address="zone3", root="/zone3")
        assert await changes.within(2 * LIST_EVERY) == 1
        await changes.end()

    in_world(main, others=())
