"""What one reading of the topology server finds, whatever some of it is like, and what it costs."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.unit.topo.worlds import SHARD, World, tablet
from vtorc.core.ids import ShardId, TabletAlias
from vtorc.discovery.topology import Topology, read_topology
from vtorc.sim.loop import run

BAD = TabletAlias("zone1", 100)
OTHERS = tuple(ShardId(f"ks{number}", "0") for number in range(50))


class LoopClock:
    """The clock of the event loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        return 0


def in_world(main: Callable[[World], Awaitable[None]], *, others: tuple[ShardId, ...] = OTHERS) -> None:
    """Run something on a topology of 51 shards."""

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


async def reading(world: World) -> Topology:
    """Read all of it."""
    return await read_topology(world.topo, LoopClock())


def test_a_bad_record_costs_one_reading_of_its_cell() -> None:
    """Whose an unreadable record is, is asked in its own cell, of all shards at once, while another cell hangs."""

    async def main(world: World) -> None:
        await spoil(world)
        world.faults["zone3"].hangs = True
        began = LoopClock().now()
        found = await reading(world)
        assert LoopClock().now() - began < 2.5
        assert [shard for shard, each in found.shards.items() if each.bad_records] == [SHARD]
        assert BAD in found.shards[SHARD].bad_records
        assert set(found.shards[SHARD].blind_cells) == {"zone3"}

    in_world(main)


def test_a_bad_record_of_nobody_is_named() -> None:
    """A record that no shard lists is reported, and hides nothing."""

    async def main(world: World) -> None:
        await spoil(world)
        await world.raw("/zone1").delete("keyspaces/ks/shards/0/ShardReplication", None)
        found = await reading(world)
        assert not found.shards[SHARD].bad_records
        assert "and no shard lists it; it is left out" in found.failures[0]

    in_world(main, others=())


def test_a_cell_whose_bad_record_may_be_anybodys_is_blind() -> None:
    """If it cannot be read whose an unreadable record is, the cell's tablets count as not all known."""

    async def silent(cell: str, shards: object) -> None:
        await asyncio.sleep(1000.0)

    async def main(world: World) -> None:
        await spoil(world)
        world.topo.named_in_cell = silent  # type: ignore[method-assign,assignment]
        found = await reading(world)
        assert "neither can whose it is: it did not answer within 2 s" in found.shards[SHARD].blind_cells["zone1"]

    in_world(main, others=())
