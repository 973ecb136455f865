"""How a tablet starts, ends and outlives its MySQL server: tests for modules with a fixture `shard`."""

import asyncio

import pytest

from tests.tablet_conformance.harness import (
    PATIENCE,
    SHARD,
    Shard,
    Tablet,
    demote,
    eventually,
    full_status,
    health_until,
    init_primary,
    position,
    record,
    refusal,
    replicating,
    running_shard,
    wait_for,
)
from vtorc.core.facts.ids import TabletType
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.proto import topodata_pb2
from vtorc.topo.records import alias_to_proto, time_to_proto
from vtorc.vttablet.errors import TabletAliasLost


async def ping(tablet: Tablet) -> None:
    """Call Ping, which needs no MySQL."""
    await tablet.rpc.Ping(tm.PingRequest(payload="x"), timeout=PATIENCE)


async def answers(tablet: Tablet) -> bool:
    """Whether the tablet's server answers again."""
    try:
        await full_status(tablet)
    except Exception:
        return False
    return True


async def test_dead_server_is_an_error_at_once(shard: Shard) -> None:
    """While its server is down, a tablet answers Ping, and calls about MySQL fail with the client's errno of a lost
    server.
    """
    tablet = shard.tablets[0]
    await tablet.kill_mysql()
    await ping(tablet)
    for call in (full_status(tablet), position(tablet), full_status(tablet)):
        text = (await refusal(call))[1]
        assert "(errno 2002)" in text or "(errno 2013)" in text
        assert str(tablet.alias) in text


async def test_returning_server_is_taken_up(shard: Shard) -> None:
    """A replica whose server died and was started again is the same tablet; its replication stays stopped until an RPC
    starts it.
    """
    primary, replica, _ = await running_shard(shard)
    await replica.kill_mysql()
    await replica.start_mysql()
    status = await full_status(replica)
    assert (status.replication_status.io_state, status.replication_status.sql_state) == (1, 1)
    assert status.super_read_only
    await replica.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await wait_for(replica, await position(primary))


async def test_returning_primary_is_read_only_and_still_primary(shard: Shard) -> None:
    """A primary whose server died and was started again keeps type, term and record, and leaves read_only alone."""
    primary, _, _ = await running_shard(shard)
    before = await record(shard, primary)
    await primary.kill_mysql()
    await primary.start_mysql()
    status = await full_status(primary)
    assert status.tablet_type == topodata_pb2.PRIMARY
    assert status.read_only
    assert status.super_read_only
    assert not status.semi_sync_primary_enabled
    assert await record(shard, primary) == before
    await primary.rpc.UndoDemotePrimary(tm.UndoDemotePrimaryRequest(semiSync=False), timeout=PATIENCE)
    await primary.write()


async def test_health_stream_tells_of_a_dead_server(shard: Shard) -> None:
    """Soon after the death of the server the health stream says "not serving" and why; it serves after the start."""
    tablet = shard.tablets[0]
    await health_until(tablet, lambda message: message.serving)
    await tablet.kill_mysql()
    message = await health_until(tablet, lambda message: not message.serving)
    assert "mysqld is down" in message.realtime_stats.health_error
    await tablet.start_mysql()
    await health_until(tablet, lambda message: message.serving and not message.realtime_stats.health_error)


async def test_restarted_primary_is_primary_under_its_term(shard: Shard) -> None:
    """A primary's tablet that crashed is PRIMARY with the same term after its restart, and leaves a writable server
    writable.
    """
    primary, _, _ = await running_shard(shard)
    before = await record(shard, primary)
    await primary.crash()
    await primary.start()
    after = await record(shard, primary)
    assert (after.type, after.primary_term_start) == (TabletType.PRIMARY, before.primary_term_start)
    assert not (await full_status(primary)).read_only
    await primary.write()


async def test_restarted_primary_leaves_a_read_only_server_read_only(shard: Shard) -> None:
    """A primary's tablet that starts on a read-only server leaves it read-only."""
    primary, _, _ = await running_shard(shard)
    await demote(primary)
    await primary.crash()
    await primary.start()
    status = await full_status(primary)
    assert status.tablet_type == topodata_pb2.PRIMARY
    assert status.super_read_only


async def test_term_newer_than_the_shards_makes_a_primary(shard: Shard) -> None:
    """A tablet with a newer term in its record than the shard's starts as PRIMARY and writes the shard record."""
    primary, replica, _ = await running_shard(shard)
    await replica.crash()
    newer = (await record(shard, primary)).primary_term_start + 1

    def claim(message: topodata_pb2.Tablet) -> None:
        message.type = topodata_pb2.PRIMARY
        message.primary_term_start_time.CopyFrom(time_to_proto(newer))

    await shard.topo.update_tablet(replica.alias, claim)
    await replica.start()
    assert (await full_status(replica)).tablet_type == topodata_pb2.PRIMARY

    async def named() -> bool:
        found = await shard.topo.shard(SHARD)
        return (found.primary_alias, found.primary_term_start) == (replica.alias, newer)

    await eventually(named)


async def test_older_term_than_the_shards_makes_a_replica(shard: Shard) -> None:
    """A tablet with type PRIMARY in its record and an older term than the shard's becomes a replica of the new one."""
    old, new, _ = await running_shard(shard)
    await old.crash()
    await new.rpc.PromoteReplica(tm.PromoteReplicaRequest(semiSync=False), timeout=PATIENCE)

    async def named() -> bool:
        return (await shard.topo.shard(SHARD)).primary_alias == new.alias

    await eventually(named)
    await old.start()
    assert (await record(shard, old)).type is TabletType.REPLICA
    await eventually(lambda: replicating(old))


async def test_tablet_named_by_the_shard_without_record_begins_a_term(shard: Shard) -> None:
    """A tablet without a record that the shard record names starts as PRIMARY with a term that begins now."""
    tablet = shard.tablets[0]
    await tablet.crash()
    await shard.topo.delete_tablet(tablet.alias)

    def name(message: topodata_pb2.Shard) -> None:
        message.primary_alias.CopyFrom(alias_to_proto(tablet.alias))
        message.primary_term_start_time.CopyFrom(time_to_proto(5))

    await shard.topo.update_shard(SHARD, name)
    await tablet.start()
    found = await record(shard, tablet)
    assert found.type is TabletType.PRIMARY
    assert found.primary_term_start > 5


async def test_starting_replica_follows_the_primary_by_itself(shard: Shard) -> None:
    """A tablet that starts in a shard with a primary replicates from it, and acknowledges if the policy says so."""
    primary, replica, _ = shard.tablets
    await replica.crash()
    await init_primary(primary, semi_sync=False)

    async def named() -> bool:
        return (await shard.topo.shard(SHARD)).primary_alias == primary.alias

    await eventually(named)
    await replica.start()
    await wait_for(replica, await position(primary))
    assert (await full_status(replica)).semi_sync_replica_enabled


async def test_starting_tablet_with_errant_transactions_does_not_replicate(shard: Shard) -> None:
    """A tablet that starts with a transaction that the primary lacks is up, but does not replicate."""
    primary, replica, _ = shard.tablets
    await init_primary(primary, semi_sync=False)
    await replica.write_errant()
    await replica.crash()
    await replica.start()
    assert not (await full_status(replica)).HasField("replication_status")


async def test_clean_shutdown_blanks_the_record(shard: Shard) -> None:
    """A tablet that shuts down leaves its record with type and term, without addresses, and with the time."""
    primary, _, _ = await running_shard(shard)
    before = await record(shard, primary)
    await primary.shut_down()
    after = await record(shard, primary)
    assert after.is_shut_down
    assert (after.hostname, after.mysql_hostname, after.grpc_port) == ("", "", 0)
    assert after.shutdown_time
    assert not after.start_time
    assert (after.type, after.primary_term_start) == (before.type, before.primary_term_start)
    await primary.start()
    assert not (await record(shard, primary)).is_shut_down


async def test_tablet_that_lost_its_record_ends(shard: Shard) -> None:
    """A tablet ends at its next write of its record if that was deleted, or taken by another process."""
    deleted, taken, _ = shard.tablets
    await shard.topo.delete_tablet(deleted.alias)

    def take(message: topodata_pb2.Tablet) -> None:
        message.hostname = "another.host"

    await shard.topo.update_tablet(taken.alias, take)
    for tablet in (deleted, taken):
        await tablet.rpc.ChangeTags(tm.ChangeTagsRequest(tags={"a": "b"}), timeout=PATIENCE)
        with pytest.raises(TabletAliasLost):
            raise await asyncio.wait_for(tablet.ended(), PATIENCE)


async def test_tags_are_merged_and_replaced(shard: Shard) -> None:
    """ChangeTags merges, deletes with an empty value, or replaces; it returns the resulting tags."""
    tablet = shard.tablets[0]
    for tags, replace, expected in (
        ({"a": "1", "b": "2"}, False, {"a": "1", "b": "2"}),
        ({"a": "", "c": "3"}, False, {"b": "2", "c": "3"}),
        ({"d": "4"}, True, {"d": "4"}),
    ):
        answer = await tablet.rpc.ChangeTags(tm.ChangeTagsRequest(tags=tags, replace=replace), timeout=PATIENCE)
        assert dict(answer.tags) == expected


async def test_refresh_state_stops_a_primary_of_a_split_shard(shard: Shard) -> None:
    """After RefreshState a primary does not serve if its shard has source shards."""
    tablet = shard.tablets[0]
    await init_primary(tablet, semi_sync=False)
    await health_until(tablet, lambda message: message.serving)

    def split(message: topodata_pb2.Shard) -> None:
        message.source_shards.add(uid=1, keyspace="commerce", shard="-")

    await shard.topo.update_shard(SHARD, split)
    await tablet.rpc.RefreshState(tm.RefreshStateRequest(), timeout=PATIENCE)
    await health_until(tablet, lambda message: not message.serving)
