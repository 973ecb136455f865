import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.unit.topo.worlds import CELLS, SHARD, WALL, World, tablet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord
from vtorc.errors import BadRecord, LockHeld, LockLost, NodeExists, NoNode, TopoTimeout, TopoUnavailable
from vtorc.proto import topodata_pb2
from vtorc.sim.engine.loop import forever, run
from vtorc.topo import paths, records
from vtorc.topo.cells import TopoLimits

ALIASES = [TabletAlias(cell, 100 + number) for number, cell in enumerate(CELLS)]
GARBAGE = b"\xde\xad\xbe\xef"


def in_world(scenario: Callable[[World], Awaitable[None]], limits: TopoLimits | None = None) -> None:
    """Run a scenario in a filled world, in virtual time."""

    async def main() -> None:
        world = World(limits)
        await world.fill()
        await scenario(world)
        await world.topo.close()

    run(main())


def test_existing_records_are_listed() -> None:
    """Cells, keyspaces and shards are listed, sorted, and an empty topology lists nothing."""

    async def scenario(world: World) -> None:
        await world.topo.create_shard(ShardId("ks", "-80"))
        assert await world.topo.cells() == CELLS
        assert await world.topo.keyspaces() == ("ks",)
        assert await world.topo.shards("ks") == (ShardId("ks", "-80"), SHARD)
        assert await world.topo.shards("nothing") == ()

    in_world(scenario)


def test_records_are_read() -> None:
    """Keyspace, shard and tablet are read as values of the core."""

    async def scenario(world: World) -> None:
        assert await world.topo.keyspace("ks") == KeyspaceRecord(name="ks", durability_policy="semi_sync")
        assert await world.topo.shard(SHARD) == ShardRecord(shard=SHARD)
        record = await world.topo.tablet(ALIASES[1])
        assert (record.alias, record.grpc_port, record.mysql_port) == (ALIASES[1], 16101, 17101)

    in_world(scenario)


def test_new_shard_serves_and_has_its_key_range() -> None:
    """A new shard's record is the one that Vitess writes."""

    async def scenario(world: World) -> None:
        await world.topo.create_shard(ShardId("ks", "80-"))
        message = topodata_pb2.Shard()
        message.ParseFromString((await world.raw("/global").get("keyspaces/ks/shards/80-/Shard")).contents)
        assert message == topodata_pb2.Shard(is_primary_serving=True, key_range=topodata_pb2.KeyRange(start=b"\x80"))

    in_world(scenario)


def test_nothing_is_made_twice() -> None:
    """Cells, keyspaces, shards and tablets that exist are not created again."""

    async def scenario(world: World) -> None:
        topo = world.topo
        for again in (
            topo.create_cell("zone1", server_address="x", root="/x"),
            topo.create_keyspace("ks"),
            topo.create_shard(SHARD),
            topo.create_tablet(tablet("zone1", 100)),
        ):
            with pytest.raises(NodeExists):
                await again

    in_world(scenario)


def test_tablets_of_a_cell_are_read_beside_garbage() -> None:
    """Garbage in one record, and a directory that is no tablet's, are reported and hide no other tablet."""

    async def scenario(world: World) -> None:
        zone1 = world.raw("/zone1")
        await world.topo.create_tablet(tablet("zone1", 7))
        await zone1.create("tablets/zone1-0000000050/Tablet", GARBAGE)
        await zone1.create("tablets/what/Tablet", b"")
        found = await world.topo.tablets_in_cell("zone1")
        assert [record.alias for record in found.records] == [TabletAlias("zone1", 7), ALIASES[0]]
        assert list(found.bad_records) == [TabletAlias("zone1", 50)]
        assert "4 bytes, it is de ad be ef" in found.bad_records[TabletAlias("zone1", 50)]
        assert list(found.bad_paths) == ["tablets/what/Tablet"]

    in_world(scenario)


@pytest.mark.parametrize("simple", [False, True])
def test_tablets_of_a_shard_come_from_all_cells(simple: bool) -> None:
    """The tablets of a shard are found in all cells, those of other shards are not among them."""

    async def scenario(world: World) -> None:
        for faults in world.faults.values():
            faults.simple = simple
        await world.topo.create_tablet(tablet("zone2", 7, ShardId("ks", "1")))
        await world.topo.create_tablet(tablet("zone2", 8, ShardId("other", "0")))
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == ALIASES
        assert found.bad_records == {}
        assert found.unreachable_cells == {}

    in_world(scenario)


def test_tablet_that_nothing_names_is_found() -> None:
    """A tablet that ShardReplication misses still belongs to the shard that its record names."""

    async def scenario(world: World) -> None:
        await world.raw("/zone1").delete(paths.shard_replication(SHARD), None)
        await world.raw("/zone2").update(paths.shard_replication(SHARD), GARBAGE, None)
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == ALIASES

    in_world(scenario)


@pytest.mark.parametrize("simple", [False, True])
def test_stale_entry_of_shard_replication_is_no_tablet(simple: bool) -> None:
    """A tablet that ShardReplication names but that is gone, or moved to another shard, is left out."""

    async def scenario(world: World) -> None:
        for faults in world.faults.values():
            faults.simple = simple
        await world.topo.enter_replication(TabletAlias("zone1", 9), SHARD)
        await world.topo.create_tablet(tablet("zone1", 10, ShardId("ks", "1")))
        await world.topo.enter_replication(TabletAlias("zone1", 10), SHARD)
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == ALIASES
        assert found.bad_records == {}

    in_world(scenario)


def test_bad_record_is_its_shards() -> None:
    """A garbage record is reported with the shard that names it in ShardReplication or as primary, and no other."""

    async def scenario(world: World) -> None:
        other = ShardId("ks", "1")
        await world.topo.create_tablet(tablet("zone2", 7, other))
        await world.raw("/zone2").update(paths.tablet(ALIASES[1]), GARBAGE, None)
        await world.raw("/zone3").delete(paths.shard_replication(SHARD), None)
        await world.raw("/zone3").update(paths.tablet(ALIASES[2]), GARBAGE, None)
        await world.topo.update_shard(
            SHARD, lambda shard: shard.primary_alias.CopyFrom(records.alias_to_proto(ALIASES[2]))
        )
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == [ALIASES[0]]
        assert list(found.bad_records) == ALIASES[1:]
        assert (await world.topo.tablets_of_shard(other)).bad_records == {}

    in_world(scenario)


def test_blind_cells_are_part_of_the_answer() -> None:
    """A cell that is down, one that hangs, and one whose CellInfo is garbage leave the others as they are."""

    async def scenario(world: World) -> None:
        await world.topo.create_cell("zone4", server_address="zone4", root="/zone4")
        await world.raw("/global").update("cells/zone4/CellInfo", GARBAGE, None)
        world.faults["zone1"].down = True
        world.faults["zone3"].hangs = True
        loop = asyncio.get_running_loop()
        started = loop.time()
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == [ALIASES[1]]
        assert sorted(found.unreachable_cells) == ["zone1", "zone3", "zone4"]
        assert "it is down" in found.unreachable_cells["zone1"]
        assert "the topology of cell zone3 did not" in found.unreachable_cells["zone3"]
        assert "CellInfo" in found.unreachable_cells["zone4"]
        assert loop.time() - started < 16.0

    in_world(scenario)


def test_cell_that_was_waited_for_in_vain_is_not_waited_for_as_long_again() -> None:
    """A silent cell delays one reading, not each of hundreds; once it answers again, it is read at once."""

    async def scenario(world: World) -> None:
        async def read() -> tuple[float, bool]:
            began = asyncio.get_running_loop().time()
            found = await world.topo.tablets_of_shard(SHARD, patience=2.0)
            return round(asyncio.get_running_loop().time() - began, 1), "zone2" in found.unreachable_cells

        world.faults["zone2"].hangs = True
        assert await read() == (2.0, True)
        assert await read() == (0.1, True)
        await asyncio.sleep(10.0)
        assert [await read(), await read()] == [(2.0, True), (0.1, True)]
        world.faults["zone2"].hangs = False
        assert await read() == (0.0, False)
        world.faults["zone2"].hangs = True
        assert await read() == (2.0, True)

    in_world(scenario)


def test_garbage_shard_record_hides_no_tablet() -> None:
    """The tablets of a shard are found although its own record cannot be read, or is gone."""

    async def scenario(world: World) -> None:
        await world.raw("/global").update(paths.shard(SHARD), GARBAGE, None)
        with pytest.raises(BadRecord, match=paths.shard(SHARD)):
            await world.topo.shard(SHARD)
        assert len((await world.topo.tablets_of_shard(SHARD)).records) == 3
        await world.raw("/global").delete(paths.shard(SHARD), None)
        assert len((await world.topo.tablets_of_shard(SHARD)).records) == 3

    in_world(scenario)


def test_global_outage_is_an_error() -> None:
    """Without the global topology the cells are unknown, so there is an error and no partial result."""

    async def scenario(world: World) -> None:
        world.faults["global"].down = True
        with pytest.raises(TopoUnavailable):
            await world.topo.tablets_of_shard(SHARD)

    in_world(scenario)


def test_known_cell_is_read_during_a_global_outage() -> None:
    """A cell that was reached before stays reachable while the global topology is down."""

    async def scenario(world: World) -> None:
        await world.topo.tablet(ALIASES[0])
        world.faults["global"].down = True
        assert (await world.topo.tablet(ALIASES[0])).alias == ALIASES[0]

    in_world(scenario)


def test_cell_that_moves_is_followed() -> None:
    """When a CellInfo changes, its old connection is closed and the new place is read."""

    async def scenario(world: World) -> None:
        await world.topo.tablet(ALIASES[0])
        await world.raw("/moved").create(paths.tablet(ALIASES[0]), tablet("zone1", 100).SerializeToString())
        info = topodata_pb2.CellInfo(server_address="elsewhere", root="/moved")
        await world.raw("/global").update("cells/zone1/CellInfo", info.SerializeToString(), None)
        await world.raw("/zone1").delete(paths.tablet(ALIASES[0]), None)
        assert (await world.topo.tablet(ALIASES[0])).alias == ALIASES[0]
        assert world.opened == [("zone1", "/zone1"), ("zone2", "/zone2"), ("zone3", "/zone3"), ("elsewhere", "/moved")]
        assert world.faults["zone1"].closed == 1

    in_world(scenario)


def test_cell_is_opened_once() -> None:
    """Concurrent callers that need a cell share one connection."""

    async def scenario(world: World) -> None:
        world.opened.clear()
        await world.topo.create_cell("zone9", server_address="zone9", root="/zone9")
        await asyncio.gather(*(world.topo.tablets_in_cell("zone9") for _ in range(20)))
        assert world.opened == [("zone9", "/zone9")]

    in_world(scenario)


def test_reads_at_once_are_bounded() -> None:
    """No topology server is asked for more records at once than the read concurrency."""

    async def scenario(world: World) -> None:
        faults = world.faults["zone1"]
        faults.simple = True
        for uid in range(40):
            await world.topo.create_tablet(tablet("zone1", 1000 + uid))
        assert len((await world.topo.tablets_in_cell("zone1")).records) == 41
        assert faults.most_at_once == 4

    in_world(scenario, TopoLimits(read_concurrency=4))


def test_calls_end_in_time() -> None:
    """A call to a server that hangs fails after the remote operation timeout; the error names server and call."""

    async def scenario(world: World) -> None:
        world.faults["global"].hangs = True
        loop = asyncio.get_running_loop()
        for call in (
            lambda: world.topo.shard(SHARD),
            lambda: world.topo.update_shard(SHARD, lambda shard: None),
            lambda: world.topo.create_keyspace("new"),
        ):
            started = loop.time()
            with pytest.raises(TopoTimeout, match=r"the global topology did not .* within 3 s"):
                await call()
            assert loop.time() - started < 4.0

    in_world(scenario, TopoLimits(remote_operation_timeout=3.0))


def test_change_keeps_what_it_does_not_know() -> None:
    """A read-modify-write keeps the fields of a newer Vitess."""

    async def scenario(world: World) -> None:
        zone1 = world.raw("/zone1")
        unknown = b"\xfa\x3e\x06future"  # field 1007, length-delimited
        stored = await zone1.get(paths.tablet(ALIASES[0]))
        await zone1.update(paths.tablet(ALIASES[0]), stored.contents + unknown, stored.version)

        def promote(message: topodata_pb2.Tablet) -> None:
            message.type = topodata_pb2.PRIMARY

        after = await world.topo.update_tablet(ALIASES[0], promote)
        assert after.type == topodata_pb2.PRIMARY
        assert unknown in (await zone1.get(paths.tablet(ALIASES[0]))).contents
        assert (await world.topo.tablet(ALIASES[0])).type is TabletType.PRIMARY

    in_world(scenario)


def test_concurrent_changes_lose_nothing() -> None:
    """Of many concurrent read-modify-writes of one record each takes effect."""

    async def scenario(world: World) -> None:
        def older(message: topodata_pb2.Shard) -> None:
            message.primary_term_start_time.seconds += 1

        await asyncio.gather(*(world.topo.update_shard(SHARD, older) for _ in range(20)))
        assert (await world.topo.shard(SHARD)).primary_term_start == 20 * 10**9

    in_world(scenario)


def test_declined_change_writes_nothing() -> None:
    """A change that returns False leaves the record and its version."""

    async def scenario(world: World) -> None:
        before = await world.raw("/global").get(paths.shard(SHARD))
        await world.topo.update_shard(SHARD, lambda shard: False)
        assert await world.raw("/global").get(paths.shard(SHARD)) == before

    in_world(scenario)


def test_garbage_is_not_overwritten() -> None:
    """Changing a record that cannot be read raises BadRecord and leaves its bytes; a missing one raises NoNode."""

    async def scenario(world: World) -> None:
        await world.raw("/zone1").update(paths.tablet(ALIASES[0]), GARBAGE, None)
        with pytest.raises(BadRecord):
            await world.topo.update_tablet(ALIASES[0], lambda message: None)
        assert (await world.raw("/zone1").get(paths.tablet(ALIASES[0]))).contents == GARBAGE
        with pytest.raises(NoNode):
            await world.topo.update_tablet(TabletAlias("zone1", 1), lambda message: None)

    in_world(scenario)


@pytest.mark.parametrize("contents", [tablet("zone1", 100).SerializeToString(), GARBAGE], ids=["good", "garbage"])
def test_deleted_tablet_is_gone(contents: bytes) -> None:
    """A deleted tablet has neither a record, readable or not, nor makes the shard report it."""

    async def scenario(world: World) -> None:
        await world.raw("/zone1").update(paths.tablet(ALIASES[0]), contents, None)
        await world.topo.delete_tablet(ALIASES[0])
        found = await world.topo.tablets_of_shard(SHARD)
        assert [record.alias for record in found.records] == ALIASES[1:]
        assert found.bad_records == {}
        with pytest.raises(NoNode):
            await world.topo.delete_tablet(ALIASES[0])

    in_world(scenario)


def test_deleted_tablet_leaves_shard_replication() -> None:
    """Deleting a tablet takes it, and no other tablet, out of ShardReplication."""

    async def scenario(world: World) -> None:
        await world.topo.create_tablet(tablet("zone1", 7))
        await world.topo.enter_replication(TabletAlias("zone1", 7), SHARD)
        await world.topo.delete_tablet(ALIASES[0])
        message = topodata_pb2.ShardReplication()
        message.ParseFromString((await world.raw("/zone1").get(paths.shard_replication(SHARD))).contents)
        assert [node.tablet_alias.uid for node in message.nodes] == [7]

    in_world(scenario)


def test_shard_lock_names_its_holder() -> None:
    """A shard's lock is in the shard's directory, names its holder and purpose, and ends with its block."""

    async def scenario(world: World) -> None:
        async with world.topo.lock_shard(SHARD, "PlannedReparentShard") as lock:
            await lock.check()

            stored = await world.raw("/global").get("keyspaces/ks/shards/0/locks/1")
            assert b'"Action": "PlannedReparentShard"' in stored.contents
            for attempt in (world.topo.try_lock_shard(SHARD, "x"), world.topo.lock_shard(SHARD, "x")):
                with pytest.raises(LockHeld, match="vitess@host-7 since 2026-03-01T12:00:00Z"):
                    async with attempt:
                        pass
        with pytest.raises(LockLost):
            await lock.check()
        async with world.topo.try_lock_shard(SHARD, "next"):
            pass

    in_world(scenario)


def test_shard_lock_waits_for_the_lock_timeout() -> None:
    """A wait for the lock ends after the lock timeout."""

    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        async with world.topo.try_lock_shard(SHARD, "long"):
            started = loop.time()
            with pytest.raises(LockHeld):
                async with world.topo.lock_shard(SHARD, "x"):
                    pass
            assert loop.time() - started == pytest.approx(45.0)

    in_world(scenario)


def test_shard_lock_is_released_on_error_and_cancellation() -> None:
    """However its block ends, the lock is free afterwards, and the error is the block's own."""

    async def scenario(world: World) -> None:
        with pytest.raises(ZeroDivisionError):
            async with world.topo.try_lock_shard(SHARD, "failing"):
                raise ZeroDivisionError
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0), world.topo.try_lock_shard(SHARD, "hanging"):
                await forever()
        async with world.topo.try_lock_shard(SHARD, "next"):
            pass

    in_world(scenario)


def test_shard_that_does_not_exist_cannot_be_locked() -> None:
    """Locking an unknown shard raises NoNode."""

    async def scenario(world: World) -> None:
        with pytest.raises(NoNode):
            async with world.topo.try_lock_shard(ShardId("ks", "nothing"), "x"):
                pass

    in_world(scenario)


def test_untaken_lock_is_no_lock() -> None:
    """A lock that was never taken confirms nothing."""

    async def scenario(world: World) -> None:
        with pytest.raises(LockLost, match="was not taken"):
            await world.topo.try_lock_shard(SHARD, "x").check()

    in_world(scenario)


def test_shard_record_is_followed() -> None:
    """A watch of a shard record yields its state, garbage as a BadRecord, and None when it was deleted."""

    async def scenario(world: World) -> None:
        async with contextlib.aclosing(world.topo.watch_shard_record(SHARD)) as seen:
            assert await anext(seen) == ShardRecord(shard=SHARD)
            await world.topo.update_shard(
                SHARD, lambda shard: shard.primary_term_start_time.CopyFrom(records.time_to_proto(WALL))
            )
            assert await anext(seen) == ShardRecord(shard=SHARD, primary_term_start=WALL)
            await world.raw("/global").update(paths.shard(SHARD), GARBAGE, None)
            assert isinstance(await anext(seen), BadRecord)
            await world.raw("/global").delete(paths.shard(SHARD), None)
            assert await anext(seen) is None

    in_world(scenario)


def test_keyspace_record_is_followed() -> None:
    """A watch of a keyspace record yields the record when it is created."""

    async def scenario(world: World) -> None:
        async with contextlib.aclosing(world.topo.watch_keyspace_record("new")) as seen:
            assert await anext(seen) is None
            await world.topo.create_keyspace("new", durability_policy="none")
            assert await anext(seen) == KeyspaceRecord(name="new", durability_policy="none")

    in_world(scenario)


@pytest.mark.parametrize("simple", [False, True])
def test_tablets_are_followed(simple: bool) -> None:
    """A watch of a cell's tablets yields all, then those that changed, became invalid or were deleted."""

    async def scenario(world: World) -> None:
        world.faults["zone1"].simple = simple
        new = TabletAlias("zone1", 7)
        async with contextlib.aclosing(world.topo.watch_tablets("zone1")) as seen:
            assert list(await anext(seen)) == [ALIASES[0]]
            await world.topo.create_tablet(tablet("zone1", 7))
            assert await anext(seen) == {new: await world.topo.tablet(new)}
            await world.raw("/zone1").update(paths.tablet(new), GARBAGE, None)
            assert [type(each) for each in (await anext(seen)).values()] == [BadRecord]
            await world.topo.delete_tablet(new)
            assert await anext(seen) == {new: None}

    in_world(scenario)


def test_watch_of_a_moved_cell_ends() -> None:
    """When a cell moves to another server, the watch on the old one ends, so that it is begun anew."""

    async def scenario(world: World) -> None:
        async with contextlib.aclosing(world.topo.watch_tablets("zone1")) as seen:
            await anext(seen)
            info = topodata_pb2.CellInfo(server_address="elsewhere", root="/moved")
            await world.raw("/global").update("cells/zone1/CellInfo", info.SerializeToString(), None)
            assert (await world.topo.tablets_in_cell("zone1")).records == ()
            with pytest.raises(TopoUnavailable):
                await anext(seen)

    in_world(scenario)


def test_close_closes_everything() -> None:
    """Closing abandons held locks and closes the global and all cells' connections."""

    async def main() -> None:
        world = World()
        await world.fill()
        async with world.topo.try_lock_shard(SHARD, "x") as lock:
            await world.topo.close()
            assert lock.lost.is_set()
        assert {name: faults.closed for name, faults in world.faults.items()} == {
            "global": 1,
            "zone1": 1,
            "zone2": 1,
            "zone3": 1,
        }

    run(main())
