"""Which vtorcs count as alive, and what follows for the shards that they share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import structlog

from tests.unit.sim.servers import until
from tests.unit.topo.worlds import SHARD, World
from vtorc.control.shares import Part
from vtorc.control.sharing import BEAT_EVERY, LEASE, STAND_IN_WAITS, ShardSharing
from vtorc.sim.engine.loop import run
from vtorc.topo import paths
from vtorc.topo.vtorc_records import VtorcRecord, write_vtorc_record


class LoopClock:
    """The clock of the event loop."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> int:
        return 0


class Vtorcs:
    """Some vtorcs on one topology server."""

    def __init__(self, world: World, names: Sequence[str] = ()) -> None:
        self.world = world
        self.changes: list[str] = []
        self.all: dict[str, ShardSharing] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for name in names:
            self.start(name)

    def start(self, name: str, *, life: str = "first") -> ShardSharing:
        sharing = self.all[name] = ShardSharing(self.world.topo, LoopClock(), name, life=life)
        self._tasks[name] = asyncio.create_task(sharing.run(lambda: self.changes.append(name)))
        return sharing

    def kill(self, name: str) -> ShardSharing:
        self._tasks.pop(name).cancel()
        return self.all.pop(name)

    async def until_they_are(self, *names: str) -> None:
        await until(lambda: all(each.vtorcs == names for each in self.all.values()))


def in_world(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a scenario in virtual time."""

    async def main() -> None:
        world = World()
        await world.fill()
        await scenario(world)

    run(main())


def test_a_lone_vtorc_is_the_first_in_every_shard() -> None:
    """Before it has read anything, and without others, a vtorc watches and repairs all shards."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world)
        sharing = vtorcs.start("one")
        assert sharing.part_in(SHARD) is Part.FIRST
        await asyncio.sleep(3 * LEASE)
        assert sharing.part_in(SHARD) is Part.FIRST
        assert vtorcs.changes == []

    in_world(scenario)


def test_vtorcs_find_each_other_and_agree() -> None:
    """Three vtorcs see each other within two beats, and agree on the two that have a part in a shard."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two", "three"])
        await vtorcs.until_they_are("one", "three", "two")
        assert asyncio.get_running_loop().time() <= 3 * BEAT_EVERY
        orders = {each.order_for(SHARD) for each in vtorcs.all.values()}
        assert len(orders) == 1
        first, stand_in = orders.pop()
        assert vtorcs.all[first].part_in(SHARD) is Part.FIRST
        assert vtorcs.all[stand_in].part_in(SHARD) is Part.STAND_IN

    in_world(scenario)


def test_a_vtorc_that_died_counts_until_its_lease_ends() -> None:
    """The others hear of a death after the lease, and its stand-in is the first then."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two", "three"])
        await vtorcs.until_they_are("one", "three", "two")
        first, stand_in = vtorcs.all["one"].order_for(SHARD)
        died = asyncio.get_running_loop().time()
        vtorcs.kill(first)
        await until(lambda: vtorcs.all[stand_in].part_in(SHARD) is Part.FIRST)
        assert LEASE - 2 * BEAT_EVERY < asyncio.get_running_loop().time() - died < LEASE + 3 * BEAT_EVERY

    in_world(scenario)


def test_a_vtorc_that_leaves_is_followed_at_once() -> None:
    """A vtorc that ends in order deletes its record, and the others take over with their next beat."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two"])
        await vtorcs.until_they_are("one", "two")
        left = asyncio.get_running_loop().time()
        await vtorcs.kill("one").leave()
        await vtorcs.until_they_are("two")
        assert asyncio.get_running_loop().time() - left < 2 * BEAT_EVERY

    in_world(scenario)


def test_a_topology_server_that_does_not_answer_kills_no_vtorc() -> None:
    """While no record can be read, all vtorcs count as they did, however long that lasts."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two", "three"])
        await vtorcs.until_they_are("one", "three", "two")
        vtorcs.changes.clear()
        world.faults["global"].down = True
        await asyncio.sleep(10 * LEASE)
        world.faults["global"].down = False
        await asyncio.sleep(3 * LEASE)
        assert vtorcs.changes == []

    in_world(scenario)


def test_a_stand_in_waits_a_while_and_then_acts() -> None:
    """A stand-in leaves a problem to the first vtorc for some seconds, and the first one waits for none."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two"])
        await vtorcs.until_they_are("one", "two")
        first, stand_in = vtorcs.all["one"].order_for(SHARD)
        assert vtorcs.all[first].reason_to_wait(SHARD, 0.0) == ""
        assert f"vtorc {first} repairs this shard" in vtorcs.all[stand_in].reason_to_wait(SHARD, 0.0)
        assert vtorcs.all[stand_in].reason_to_wait(SHARD, STAND_IN_WAITS) == ""

    in_world(scenario)


def test_a_restarted_vtorc_keeps_its_name() -> None:
    """The process after a crash has the name of the one before, whose record it takes over."""

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world, ["one", "two"])
        await vtorcs.until_they_are("one", "two")
        vtorcs.kill("one")
        await asyncio.sleep(BEAT_EVERY)
        vtorcs.changes.clear()
        assert vtorcs.start("one", life="second").name == "one"
        await vtorcs.until_they_are("one", "two")
        await asyncio.sleep(3 * LEASE)
        assert vtorcs.all["one"].name == "one"
        assert vtorcs.changes == ["one"]

    in_world(scenario)


@pytest.mark.parametrize("apart", [0.0, BEAT_EVERY / 2], ids=["at once", "in turn"])
def test_two_vtorcs_of_one_name_become_two(apart: float) -> None:
    """Two of one name do not count as one, also if each finds its own record whenever it has just written it.

    Each that notices takes another name.
    """

    async def scenario(world: World) -> None:
        vtorcs = Vtorcs(world)
        elder = vtorcs.start("one")
        await asyncio.sleep(apart)
        vtorcs.all["younger"] = younger = ShardSharing(world.topo, LoopClock(), "one", life="second")
        task = asyncio.create_task(younger.run(lambda: None))
        await until(lambda: len(elder.vtorcs) >= 2 and elder.vtorcs == younger.vtorcs)
        assert elder.name != younger.name
        task.cancel()

    in_world(scenario)


BAD_RECORDS = {
    "garbage": b"\xff",
    "empty": b"{}",
    "list": b"[1]",
    "deep": b"[" * 100_000,
    "copy": write_vtorc_record(VtorcRecord(name="one", life="copied", beat=1)),
    "scope": write_vtorc_record(VtorcRecord(name="scope", life="odd", beat=1, clusters_to_watch=("/80-",))),
}


def test_a_record_that_is_no_vtorc_is_left_out() -> None:
    """What cannot be read as the record of a vtorc counts as none, harms no other, and is told once."""

    async def scenario(world: World) -> None:
        for name, contents in BAD_RECORDS.items():
            await world.raw("/global").create(paths.vtorc(name), contents)
        with structlog.testing.capture_logs() as logs:
            sharing = Vtorcs(world).start("one")
            await asyncio.sleep(3 * LEASE)
        assert sharing.vtorcs == ("one",)
        told = [entry["event"] for entry in logs if entry["log_level"] == "error"]
        assert len(told) == len(BAD_RECORDS)
        assert all(any(f"vtorcs/{name} " in each for each in told) for name in BAD_RECORDS)

    in_world(scenario)
