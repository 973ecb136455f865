"""How a tablet is promoted and demoted: tests for modules with a fixture `shard`."""

import asyncio

import grpc
import pytest

from tests.tablet_conformance.harness import (
    PATIENCE,
    SHARD,
    Shard,
    Tablet,
    change_type,
    demote,
    eventually,
    follow,
    full_status,
    health_until,
    init_primary,
    position,
    promote,
    record,
    refusal,
    replicating,
    running_shard,
    wait_for,
    write_journal,
)
from vtorc.core.facts.ids import TabletType
from vtorc.errors import MysqlError
from vtorc.lab import grpc_convert
from vtorc.proto import replicationdata_pb2, topodata_pb2
from vtorc.proto import tabletmanagerdata_pb2 as tm
from vtorc.topo.records import alias_to_proto, time_to_proto
from vtorc.topo.server import TopoServer

READ_ONLY = 1290
CONNECTION_LOST = 2013


async def shard_names(shard: Shard, tablet: Tablet) -> bool:
    """Whether the shard record names this tablet, with the term of the tablet's own record."""
    found = await shard.topo.shard(SHARD)
    own = await record(shard, tablet)
    return (found.primary_alias, found.primary_term_start) == (tablet.alias, own.primary_term_start)


async def is_writable(tablet: Tablet) -> bool:
    """Whether neither read-only switch is on."""
    status = await full_status(tablet)
    return not status.read_only and not status.super_read_only


async def sides(tablet: Tablet) -> tuple[bool, bool]:
    """Read whether the source and the replica side of semi-sync are on."""
    status = await full_status(tablet)
    return status.semi_sync_primary_enabled, status.semi_sync_replica_enabled


def forget_promotion(stored: topodata_pb2.Tablet) -> None:
    """Change a primary's record to that of a replica."""
    stored.type = topodata_pb2.REPLICA
    stored.ClearField("primary_term_start_time")


async def stop_replicas(*replicas: Tablet) -> None:
    """Leave the primary without an acker."""
    for replica in replicas:
        await replica.rpc.StopReplication(tm.StopReplicationRequest(), timeout=PATIENCE)


async def undo(tablet: Tablet, *, semi_sync: bool = True) -> None:
    """Undo a demotion."""
    await tablet.rpc.UndoDemotePrimary(tm.UndoDemotePrimaryRequest(semiSync=semi_sync), timeout=PATIENCE)


async def commits_wait(tablet: Tablet) -> bool:
    """Whether a commit waits for an acknowledgement."""
    request = tm.GetGlobalStatusVarsRequest(variables=["Rpl_semi_sync_source_wait_sessions"])
    values = (await tablet.rpc.GetGlobalStatusVars(request, timeout=PATIENCE)).status_values
    return any(int(value) for value in values.values())


async def test_init_primary_makes_a_writable_primary(shard: Shard) -> None:
    """InitPrimary returns a position, sets type, term and semi-sync, and makes the server writable; the shard record
    follows.
    """
    tablet = shard.tablets[0]
    reached = await init_primary(tablet)
    assert reached
    assert (await position(tablet)).contains(reached)
    assert await is_writable(tablet)
    assert await sides(tablet) == (True, True)
    found = await record(shard, tablet)
    assert found.type is TabletType.PRIMARY
    assert found.primary_term_start
    await eventually(lambda: shard_names(shard, tablet))


async def test_old_name_of_init_primary_does_the_same(shard: Shard) -> None:
    """InitMaster, which clients of Vitess 12 call, makes a primary."""
    tablet = shard.tablets[0]
    await tablet.rpc.InitMaster(tm.InitPrimaryRequest(semiSync=False), timeout=PATIENCE)
    assert (await record(shard, tablet)).type is TabletType.PRIMARY


async def test_promotion_ends_replication_and_makes_writable(shard: Shard) -> None:
    """PromoteReplica removes the source, returns the position, sets semi-sync for a primary and makes the server
    writable.
    """
    _, tablet, other = await running_shard(shard)
    reached = await promote(tablet)
    status = await full_status(tablet)
    assert not status.HasField("replication_status")
    assert status.tablet_type == topodata_pb2.PRIMARY
    assert await sides(tablet) == (True, True)
    assert await position(tablet) == reached
    await follow(other, tablet)
    await tablet.write()
    await eventually(lambda: shard_names(shard, tablet))


async def test_promoted_tablet_has_the_newest_term(shard: Shard) -> None:
    """The old primary's record still says PRIMARY until its tablet acts, but its term is older than the promoted
    tablet's.
    """
    old, new, _ = await running_shard(shard)
    await old.crash()
    await promote(new)
    assert (await record(shard, old)).type is TabletType.PRIMARY
    assert (await record(shard, new)).primary_term_start > (await record(shard, old)).primary_term_start
    await eventually(lambda: shard_names(shard, new))


async def test_server_stays_read_only_when_the_topology_does_not_take_the_promotion(shard: Shard) -> None:
    """A promotion that the topology server does not accept fails before MySQL becomes writable."""
    _, tablet, _ = await running_shard(shard)
    shard.refuse_tablet_writes(True)
    await refusal(promote(tablet))
    shard.refuse_tablet_writes(False)
    status = await full_status(tablet)
    assert status.read_only
    assert status.super_read_only
    assert status.tablet_type == topodata_pb2.REPLICA
    assert (await record(shard, tablet)).type is TabletType.REPLICA


async def test_promotion_is_published_although_its_caller_gave_up(shard: Shard) -> None:
    """A tablet whose promotion is cancelled while its record is written puts itself into both records."""
    _, tablet, _ = await running_shard(shard)
    shard.silence_primary_records()
    promotion = asyncio.create_task(promote(tablet))

    async def says_primary() -> bool:
        return (await full_status(tablet)).tablet_type == topodata_pb2.PRIMARY

    async def is_recorded() -> bool:
        return (await record(shard, tablet)).type is TabletType.PRIMARY

    await eventually(says_primary)
    promotion.cancel()
    await asyncio.wait({promotion})
    await stop_replicas(tablet)  # it waits for the end of the promotion
    await TopoServer.update_tablet(shard.topo, tablet.alias, forget_promotion)
    await eventually(is_recorded)
    await eventually(lambda: shard_names(shard, tablet))


async def test_demoted_primary_is_read_only_and_still_primary(shard: Shard) -> None:
    """DemotePrimary turns super_read_only on, and stops requiring acknowledgements; type, term and record stay."""
    primary, _, _ = await running_shard(shard)
    before = await record(shard, primary)
    status = await demote(primary)
    assert grpc_convert.gtids(status.position) == await position(primary)
    assert status.server_uuid == (await full_status(primary)).server_uuid
    full = await full_status(primary)
    assert full.read_only
    assert full.super_read_only
    assert full.tablet_type == topodata_pb2.PRIMARY
    assert await sides(primary) == (False, True)
    assert await record(shard, primary) == before
    with pytest.raises(MysqlError, match=f"errno {READ_ONLY}"):
        await primary.write()


async def test_demoted_primary_does_not_serve(shard: Shard) -> None:
    """The health stream of a demoted primary says PRIMARY and not serving; after UndoDemotePrimary it serves again."""
    primary, _, _ = await running_shard(shard)
    await demote(primary)
    message = await health_until(primary, lambda message: not message.serving)
    assert message.target.tablet_type == topodata_pb2.PRIMARY
    await undo(primary)
    await health_until(primary, lambda message: message.serving)


async def test_demoting_twice_or_a_replica_is_harmless(shard: Shard) -> None:
    """DemotePrimary of a demoted primary, and of a replica, succeeds and changes nothing."""
    primary, replica, _ = await running_shard(shard)
    first = await demote(primary)
    assert (await demote(primary)).position == first.position
    await demote(replica)
    assert await replicating(replica)
    assert (await full_status(replica)).semi_sync_replica_enabled


async def test_old_name_of_demote_primary_does_the_same(shard: Shard) -> None:
    """DemoteMaster and UndoDemoteMaster, which clients of Vitess 12 call, demote a primary and undo that."""
    primary, _, _ = await running_shard(shard)
    await primary.rpc.DemoteMaster(tm.DemotePrimaryRequest(), timeout=PATIENCE)
    assert not await is_writable(primary)
    await primary.rpc.UndoDemoteMaster(tm.UndoDemotePrimaryRequest(semiSync=True), timeout=PATIENCE)
    assert await is_writable(primary)


async def test_undone_demotion_goes_on_under_the_old_term(shard: Shard) -> None:
    """UndoDemotePrimary makes the primary writable again, with acknowledgements required, in its old term."""
    primary, _, _ = await running_shard(shard)
    before = await record(shard, primary)
    await demote(primary)
    await undo(primary)
    assert await is_writable(primary)
    assert await sides(primary) == (True, True)
    assert await record(shard, primary) == before
    await primary.write()


async def test_demotion_waits_for_acknowledgements_and_is_undone_at_the_deadline(shard: Shard) -> None:
    """DemotePrimary waits for a commit that waits for its acknowledgement; at the deadline the primary is as before."""
    primary, one, other = await running_shard(shard)
    await stop_replicas(one, other)
    writing = asyncio.create_task(primary.write())
    await eventually(lambda: commits_wait(primary))
    code, _ = await refusal(primary.rpc.DemotePrimary(tm.DemotePrimaryRequest(), timeout=0.5))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: is_writable(primary))
    await health_until(primary, lambda message: message.serving)
    assert not writing.done()
    assert await sides(primary) == (True, True)
    await one.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await writing


async def test_a_demotion_that_switches_semi_sync_off_tells_so_before_it_answers(shard: Shard) -> None:
    """The status says OFF while MySQL waits for its receiver of acknowledgements; a replica is disconnected then.

    The server is read-only by that time. An acknowledgement in that moment ends the wait unseen, so there are more
    attempts.
    """
    primary, one, _ = await running_shard(shard)
    names = ["Rpl_semi_sync_source_status"]

    async def is_off() -> bool:
        request = tm.GetGlobalStatusVarsRequest(variables=names)
        answer = await primary.rpc.GetGlobalStatusVars(request, timeout=PATIENCE)
        return answer.status_values[names[0]] == "OFF"

    seen = False
    for _ in range(20):
        await primary.write()
        assert not await is_off()
        demoting = asyncio.create_task(demote(primary))
        await eventually(is_off)
        seen = not demoting.done()
        await stop_replicas(one)
        await demoting
        assert not await is_writable(primary)
        await one.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
        if seen:
            break
        await undo(primary)
    assert seen


async def test_forced_demotion_releases_waiting_commits_without_an_ok(shard: Shard) -> None:
    """DemotePrimary with force does not wait for acknowledgements.

    The commits stay, their clients lose the connection without an OK, and later writes find the server read-only.
    """
    primary, one, other = await running_shard(shard)
    before = await position(primary)
    await stop_replicas(one, other)
    writing = [asyncio.create_task(primary.write()) for _ in range(2)]
    await eventually(lambda: commits_wait(primary))
    await demote(primary, force=True)
    outcomes = await asyncio.gather(*writing, return_exceptions=True)
    assert [isinstance(each, MysqlError) and each.errno for each in outcomes] == [CONNECTION_LOST] * 2
    assert await sides(primary) == (False, True)
    assert not await is_writable(primary)
    assert (await position(primary)).difference(before)
    with pytest.raises(MysqlError) as refused:
        await primary.write()
    assert refused.value.errno == READ_ONLY


async def test_former_primary_that_starts_again_tells_no_waiting_commit_ok(shard: Shard) -> None:
    """A former primary that starts again turns its server read-only before it stops requiring acknowledgements.

    Clients with waiting commits get no OK.
    """
    primary, one, other = await running_shard(shard)
    await stop_replicas(one, other)
    writing = asyncio.create_task(primary.write())
    await eventually(lambda: commits_wait(primary))
    await primary.crash()
    await promote(one, semi_sync=False)
    await eventually(lambda: shard_names(shard, one))
    await primary.start()
    with pytest.raises(MysqlError) as lost:
        await writing
    assert lost.value.errno == CONNECTION_LOST
    assert not await is_writable(primary)
    assert (await sides(primary))[0] is False


async def test_forced_demotion_that_is_given_up_leaves_a_writable_primary(shard: Shard) -> None:
    """DemotePrimary with force on a server that hangs is undone, as without force."""
    primary, _, _ = await running_shard(shard)
    primary.hang_mysql(True)
    code, _ = await refusal(primary.rpc.DemotePrimary(tm.DemotePrimaryRequest(force=True), timeout=0.5))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    primary.hang_mysql(False)
    await eventually(lambda: is_writable(primary))
    await health_until(primary, lambda message: message.serving)
    await primary.write()


async def test_journal_row_waits_for_an_acknowledgement(shard: Shard) -> None:
    """PopulateReparentJournal on a semi-sync primary waits until a replica has acknowledged the row."""
    primary, one, other = await running_shard(shard)
    await write_journal(primary, 1)
    await stop_replicas(one, other)
    waiting = asyncio.create_task(write_journal(primary, 2))
    await eventually(lambda: commits_wait(primary))
    assert not waiting.done()
    await one.rpc.StartReplication(tm.StartReplicationRequest(semiSync=True), timeout=PATIENCE)
    await waiting
    await wait_for(one, await position(primary))


async def test_journal_row_of_a_read_only_server_fails(shard: Shard) -> None:
    """PopulateReparentJournal fails with MySQL's read-only error while super_read_only is on."""
    primary, _, _ = await running_shard(shard)
    await demote(primary)
    assert f"(errno {READ_ONLY})" in (await refusal(write_journal(primary, 1)))[1]


async def test_change_type_leaves_read_only_alone(shard: Shard) -> None:
    """ChangeType to PRIMARY begins a term and leaves the server read-only; a second one begins a newer term."""
    tablet = shard.tablets[0]
    await change_type(tablet, topodata_pb2.PRIMARY)
    first = await record(shard, tablet)
    assert first.type is TabletType.PRIMARY
    assert not await is_writable(tablet)
    await change_type(tablet, topodata_pb2.PRIMARY)
    assert (await record(shard, tablet)).primary_term_start > first.primary_term_start


async def test_change_type_sets_semi_sync_for_the_new_type(shard: Shard) -> None:
    """ChangeType of a replica to RDONLY without semiSync ends its acknowledgements; the record follows."""
    primary, replica, _ = await running_shard(shard)
    await change_type(replica, topodata_pb2.RDONLY, semi_sync=False)
    assert await sides(replica) == (False, False)
    assert (await record(shard, replica)).type is TabletType.RDONLY

    async def one_client() -> bool:
        return (await full_status(primary)).semi_sync_primary_clients == 1

    await eventually(one_client)
    await eventually(lambda: replicating(replica))


async def test_drained_tablet_cannot_be_drained(shard: Shard) -> None:
    """ChangeType from DRAINED to DRAINED is refused, since some other action owns the tablet."""
    tablet = shard.tablets[0]
    await change_type(tablet, topodata_pb2.DRAINED, semi_sync=False)
    call = tablet.rpc.ChangeType(tm.ChangeTypeRequest(tablet_type=topodata_pb2.DRAINED), timeout=PATIENCE)
    assert "is already drained" in (await refusal(call))[1]


async def test_externally_promoted_and_restarted(shard: Shard) -> None:
    """ReplicaWasPromoted and ReplicaWasRestarted change the type and leave MySQL alone."""
    tablet = shard.tablets[0]
    await tablet.rpc.ReplicaWasPromoted(tm.ReplicaWasPromotedRequest(), timeout=PATIENCE)
    assert (await record(shard, tablet)).type is TabletType.PRIMARY
    assert not await is_writable(tablet)
    await tablet.rpc.ReplicaWasRestarted(tm.ReplicaWasRestartedRequest(), timeout=PATIENCE)
    assert (await record(shard, tablet)).type is TabletType.REPLICA


async def test_read_only_switches(shard: Shard) -> None:
    """SetReadWrite clears both switches; SetReadOnly sets read_only and leaves super_read_only off."""
    tablet = shard.tablets[0]
    await tablet.rpc.SetReadWrite(tm.SetReadWriteRequest(), timeout=PATIENCE)
    assert await is_writable(tablet)
    await tablet.rpc.SetReadOnly(tm.SetReadOnlyRequest(), timeout=PATIENCE)
    status = await full_status(tablet)
    assert (status.read_only, status.super_read_only) == (True, False)


async def test_primary_yields_to_a_newer_term(shard: Shard) -> None:
    """A primary turns read-only when the shard record has a newer term, and replicates from the new primary."""
    old, new, _ = await running_shard(shard)
    await promote(new)

    async def yielded() -> bool:
        found = await record(shard, old)
        return found.type is TabletType.REPLICA and await replicating(old)

    await eventually(yielded)
    status = await full_status(old)
    assert status.super_read_only
    assert status.replication_status.source_port == (await record(shard, new)).mysql_port


async def test_term_in_the_shard_record_is_not_taken_back(shard: Shard) -> None:
    """A primary does not overwrite a shard record with a newer term, whichever tablet that names."""
    primary, _, other = await running_shard(shard)
    newer = (await record(shard, primary)).primary_term_start + 10**12

    def rewrite(message: topodata_pb2.Shard) -> None:
        message.primary_alias.CopyFrom(alias_to_proto(other.alias))
        message.primary_term_start_time.CopyFrom(time_to_proto(newer))

    await shard.topo.update_shard(SHARD, rewrite)

    async def yielded() -> bool:
        return (await record(shard, primary)).type is TabletType.REPLICA

    await eventually(yielded)
    found = await shard.topo.shard(SHARD)
    assert (found.primary_alias, found.primary_term_start) == (other.alias, newer)


async def test_emergency_reparent_as_the_tablets_see_it(shard: Shard) -> None:
    """Replicas are stopped, one is promoted, the other re-pointed, the journal written: no write is lost, and the old
    primary rejoins.
    """
    old, new, other = await running_shard(shard)
    await old.write()
    written = await position(old)
    await old.kill_mysql()
    stopped = await asyncio.gather(*(stop_and_wait(each) for each in (new, other)))
    assert any(grpc_convert.gtids(each.after.relay_log_position).contains(written) for each in stopped)
    await promote(new)
    await asyncio.gather(write_journal(new, 99), follow(other, new))
    assert (await position(new)).contains(written)
    await old.start_mysql()
    await follow(old, new)
    await wait_for(old, await position(new))


async def stop_and_wait(tablet: Tablet) -> replicationdata_pb2.StopReplicationStatus:
    """Stop a replica's IO thread and wait until it has applied its relay log."""
    request = tm.StopReplicationAndGetStatusRequest(stop_replication_mode=replicationdata_pb2.IOTHREADONLY)
    status = (await tablet.rpc.StopReplicationAndGetStatus(request, timeout=PATIENCE)).status
    await wait_for(tablet, grpc_convert.gtids(status.after.relay_log_position))
    return status
