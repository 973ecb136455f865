import asyncio

import pytest

from tests.unit.sim.servers import Servers, play, until
from vtorc.errors import MysqlError
from vtorc.sim.engine.loop import current_loop
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.settings import SimMysqlSettings


def test_a_commit_is_replicated_and_acknowledged() -> None:
    """A write returns once a replica holds it, and every replica applies it."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        written = await servers.write()
        assert any(written.gtid.is_subset_of(each.received) for each in servers.all[1:])
        await until(lambda: all(written.gtid.is_subset_of(servers.executed(number)) for number in range(3)))
        assert servers.notes.commits[-1] == (servers.all[0], written, True)

    play(main)


def test_without_semi_sync_a_commit_waits_for_no_replica() -> None:
    """With semi-sync off a write succeeds although no replica can be reached."""

    async def main(servers: Servers) -> None:
        await servers.replicate(semi_sync=False)
        servers.cut("m0")
        await servers.write()
        assert not servers.all[1].received

    play(main)


def test_as_many_acknowledgements_as_asked_for_are_needed() -> None:
    """With a count of two a write waits while one of two replicas is cut off, and goes on when it is back."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        servers.cut("m1")
        write = servers.write_in_background()
        await asyncio.sleep(5.0)
        assert not write.done()
        assert servers.all[0].acks.sessions == 1
        servers.network.heal()
        await write

    play(main, settings=SimMysqlSettings(wait_for_replica_count=2))


def test_only_replicas_with_semi_sync_acknowledge() -> None:
    """A replica without semi-sync gets the transactions, but no commit waits for it."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0, 1])
        await servers.point(2, 0, semi_sync=False)
        await servers.connected(2)
        await servers.write()
        servers.cut("m1")
        with pytest.raises(TimeoutError):
            await servers.write()
        assert servers.all[0].dumps.semi_sync_clients == 1
        assert servers.all[2].received.contains(servers.all[0].binlog.gtids.value)

    play(main)


def test_the_replica_side_takes_effect_at_the_next_connection() -> None:
    """Switching the replica side on changes nothing for an IO thread that runs; a restart of it does."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0])
        await servers.point(1, 0, semi_sync=False)
        await servers.connected(1)
        await servers.admins[1].set_semi_sync(primary=False, replica=True)
        with pytest.raises(TimeoutError):
            await servers.write()
        report = await servers.admins[1].report()
        assert (report.semi_sync.replica_enabled, report.semi_sync.replica_active) == (True, False)
        await servers.stop_io(1)
        await servers.admins[1].start_replication()
        await servers.write()

    play(main, count=2)


def test_a_waiting_commit_is_not_visible_but_already_replicated() -> None:
    """Until it is acknowledged a transaction is in the binary log and with a replica, not in gtid_executed."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        servers.cut("m1", "m2", towards=["m0"])
        write = servers.write_in_background()
        await asyncio.sleep(1.0)
        source = servers.all[0]
        assert source.binlog.gtids.value.count() == source.executed.value.count() + 1
        assert servers.all[1].received.contains(source.binlog.gtids.value)
        assert not write.done()
        servers.network.heal()
        await write

    play(main)


def test_after_commit_a_waiting_commit_is_visible_already() -> None:
    """With the wait point AFTER_COMMIT other clients see a row while its own client waits for the acknowledgement."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m1", "m2", towards=["m0"])
        writing = servers.write_in_background()
        await until(lambda: servers.all[0].acks.sessions > 0)
        assert servers.all[0].tables.rows == {1}
        assert servers.executed(0).count() == 1
        assert not writing.done()
        servers.network.heal()
        assert (await writing).number == 1
        assert [acknowledged for _, _, acknowledged in servers.notes.commits] == [True]

    play(main, settings=SimMysqlSettings(wait_after_commit=True))


def test_a_finite_timeout_ends_the_wait_for_acknowledgements() -> None:
    """A commit that no replica acknowledged in time ends without, and no later one waits until a replica catches up."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        primary = servers.all[0]
        servers.cut("m1", "m2", towards=["m0"])
        writing = servers.write_in_background()
        await asyncio.sleep(4.0)
        assert not writing.done()
        assert primary.acks.active
        await asyncio.sleep(2.0)
        assert writing.done()
        assert not primary.acks.active
        before = current_loop().time()
        await servers.write()
        assert current_loop().time() - before < 1.0
        assert [acknowledged for _, _, acknowledged in servers.notes.commits] == [True, False, False]
        servers.network.heal()
        await until(lambda: primary.acks.active)
        await servers.write()
        assert servers.notes.commits[-1][2]

    play(main, settings=SimMysqlSettings(ack_timeout=5.0))


def test_switching_the_source_side_off_releases_the_waiting_commits() -> None:
    """Commits that wait end without acknowledgement when semi-sync is switched off."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m0")
        writes = [servers.write_in_background() for _ in range(3)]
        await asyncio.sleep(1.0)
        assert await servers.admins[0].semi_sync_wait_sessions() == 3
        await servers.admins[0].set_semi_sync(primary=False, replica=True)
        await asyncio.gather(*writes)
        assert [acknowledged for _, _, acknowledged in servers.notes.commits] == [False, False, False]

    play(main)


def test_a_commit_outlives_its_session() -> None:
    """Cancelling a waiting write leaves it waiting, and its client never learns the outcome."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m0")
        with pytest.raises(TimeoutError):
            await servers.write()
        assert not servers.executed(0)
        assert await servers.admins[0].semi_sync_wait_sessions() == 1
        servers.network.heal()
        await until(lambda: servers.executed(0).count() == 1)
        assert servers.notes.commits[-1][2] is True

    play(main)


def test_killed_applications_lose_their_connections_at_once() -> None:
    """KILL cuts off a client with a waiting commit, which stays in the binary log and holds up super_read_only."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m0")
        write = servers.write_in_background()
        journal = asyncio.create_task(servers.admins[0].write_semi_sync_heartbeat("_vt"))
        await until(lambda: servers.all[0].acks.sessions == 2)
        read_only = asyncio.create_task(servers.admins[0].set_super_read_only(True))
        await until(lambda: servers.all[0].gate.locked)
        queued = servers.write_in_background()
        await asyncio.sleep(1.0)
        assert await servers.admins[0].holds_commits_off()
        await servers.admins[0].kill_application_sessions()
        with pytest.raises(MysqlError) as lost:
            await write
        assert lost.value.errno == 2013
        await asyncio.sleep(1.0)
        assert not read_only.done()
        assert not journal.done()
        await servers.admins[0].set_semi_sync(primary=False, replica=True)
        await asyncio.gather(read_only, journal)
        assert servers.executed(0).count() == 2
        with pytest.raises(MysqlError):
            await queued
        assert not await servers.admins[0].holds_commits_off()

    play(main)


def test_a_session_that_was_killed_before_its_write_is_logged_leaves_nothing() -> None:
    """KILL rolls back a commit that is not in the binary log yet."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].slowness = 300.0
        write = servers.write_in_background()
        await until(lambda: bool(servers.all[0].gate.running))
        servers.all[0].kill_sessions()
        with pytest.raises(MysqlError):
            await write
        await asyncio.sleep(1.0)
        assert not servers.executed(0)

    play(main)


def test_a_crash_brings_unacknowledged_transactions_back() -> None:
    """Transactions in the binary log at the crash are committed after the restart, acknowledged or not."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        servers.cut("m0")
        write = servers.write_in_background()
        await asyncio.sleep(1.0)
        source = servers.all[0]
        source.process.crash()
        with pytest.raises(MysqlError) as lost:
            await write
        assert lost.value.errno == 2013
        assert source.executed.value.count() == 1
        source.start()
        assert source.executed.value.count() == 2
        assert not servers.all[1].received.contains(source.executed.value)

    play(main)


def test_a_restarted_server_is_read_only_without_semi_sync_and_without_threads() -> None:
    """After a restart the settings of my.cnf hold, and those that were set at run time are gone."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        for server in servers.all:
            server.process.crash()
            server.start()
        primary = await servers.admins[0].report()
        replica = await servers.admins[1].report()
        assert (primary.read_only, primary.super_read_only) == (True, True)
        assert not primary.semi_sync.primary_enabled
        assert replica.replication is not None
        assert replica.replication.source_host == "m0"
        assert not replica.replication.is_receiving
        assert not replica.semi_sync.replica_enabled

    play(main)


def test_a_restarted_server_goes_on_counting() -> None:
    """Transaction numbers are not used twice."""

    async def main(servers: Servers) -> None:
        await servers.replicate(semi_sync=False)
        first = await servers.write()
        servers.all[0].process.crash()
        servers.all[0].start()
        await servers.admins[0].set_read_only(False)
        assert (await servers.write()).number == first.number + 1

    play(main)


def test_read_only_stops_clients_and_super_read_only_all_users() -> None:
    """read_only lets a SUPER user write, super_read_only does not; both refusals are errno 1290."""

    async def main(servers: Servers) -> None:
        await servers.replicate(semi_sync=False)
        await servers.admins[0].set_read_only(True)
        with pytest.raises(MysqlError, match="--read-only") as refused:
            await servers.write()
        assert refused.value.errno == 1290
        await servers.all[0].write(InsertRow(0), is_super=True)
        await servers.admins[0].set_super_read_only(True)
        with pytest.raises(MysqlError, match="--super-read-only"):
            await servers.all[0].write(InsertRow(0), is_super=True)
        await servers.admins[0].set_super_read_only(False)
        assert await servers.admins[0].is_read_only()
        await servers.admins[0].set_super_read_only(True)
        await servers.admins[0].set_read_only(False)
        await servers.write()

    play(main)


def test_super_read_only_waits_for_commits_that_wait_for_acknowledgements() -> None:
    """Turning super_read_only on hangs behind a blocked commit and holds new ones up; cancelled, it leaves no trace."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m0")
        blocked = servers.write_in_background()
        await asyncio.sleep(1.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await servers.admins[0].set_super_read_only(True)
        assert not servers.all[0].read_only
        switch = asyncio.create_task(servers.admins[0].set_super_read_only(True))
        await asyncio.sleep(1.0)
        late = servers.write_in_background()
        await asyncio.sleep(1.0)
        assert servers.all[0].binlog.end == 1
        servers.network.heal()
        await blocked
        await switch
        with pytest.raises(MysqlError, match="--super-read-only"):
            await late

    play(main)


def test_an_errant_write_passes_every_switch() -> None:
    """A transaction can be injected into a read-only replica, and no other server has it."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        errant = await servers.all[1].inject(InsertRow(0))
        assert errant.gtid.is_subset_of(servers.executed(1))
        assert errant.gtid.uuids == (servers.all[1].uuid,)

    play(main)


def test_a_stalled_disk_hangs_writes_and_binlog_status_only() -> None:
    """While the disk is stalled other status answers; afterwards everything goes on."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].disk.become(DiskState.STALLED)
        write = servers.write_in_background()
        report = asyncio.create_task(servers.admins[0].primary_report())
        await asyncio.sleep(10.0)
        assert not write.done()
        assert not report.done()
        assert await servers.admins[0].replication_status() is None
        servers.all[0].disk.become(DiskState.FINE)
        await write
        await report

    play(main)


def test_a_full_disk_fails_writes_or_keeps_them_waiting() -> None:
    """Depending on the state of the disk, a write fails with errno 1026 or waits for space."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].disk.become(DiskState.FULL_FAILING)
        with pytest.raises(MysqlError, match="No space left") as full:
            await servers.write()
        assert full.value.errno == 1026
        servers.all[0].disk.become(DiskState.FULL_WAITING)
        write = servers.write_in_background()
        await asyncio.sleep(10.0)
        assert not write.done()
        servers.all[0].disk.become(DiskState.FINE)
        await write

    play(main)


def test_a_hung_server_answers_nothing_until_it_goes_on() -> None:
    """A stopped process keeps its clients waiting; its replicas' connections stay open."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].process.freeze()
        with pytest.raises(TimeoutError):
            await servers.write(deadline=5.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await servers.admins[0].report()
        status = await servers.admins[1].replication_status()
        assert status is not None
        assert status.is_receiving
        servers.all[0].process.thaw()
        await servers.write()

    play(main)


def test_a_server_that_takes_no_connections_serves_the_old_ones() -> None:
    """New connections get errno 1040; pooled ones and the replicas go on."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].refuses_connections = True
        with pytest.raises(MysqlError, match="Too many connections"):
            await servers.admins[0].report()
        await servers.write()

    play(main)


def test_a_stopped_server_refuses_and_its_end_is_noticed() -> None:
    """A held connection breaks when the server ends, and new connections are refused."""

    async def main(servers: Servers) -> None:
        gone = asyncio.create_task(servers.admins[0].wait_gone())
        await asyncio.sleep(1.0)
        servers.all[0].process.crash()
        await gone
        with pytest.raises(MysqlError) as refused:
            await servers.admins[0].executed()
        assert refused.value.errno == 2002

    play(main)


def test_waiting_for_a_position_ends_when_it_is_executed() -> None:
    """A wait for a transaction that has not come yet ends with its arrival."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.stop_io(1)
        written = await servers.write()
        wait = asyncio.create_task(servers.admins[1].wait_for_executed(written.gtid))
        await asyncio.sleep(1.0)
        assert not wait.done()
        await servers.admins[1].start_replication()
        await wait
        await servers.admins[1].wait_for_executed(written.gtid)

    play(main)
