import asyncio

import pytest

from tests.unit.sim.servers import Servers, play, until
from vtorc.core.facts.status import ThreadState
from vtorc.errors import MysqlError
from vtorc.sim.mysql.binlog import InsertRow
from vtorc.sim.mysql.disk import DiskState
from vtorc.sim.mysql.settings import DropReason, SimMysqlSettings
from vtorc.vttablet.mysql_api import JournalRow, Source, Threads


async def _broken_applier(servers: Servers, number: int) -> None:
    """Let one replica receive writes that it does not apply."""
    await servers.replicate()
    servers.all[number].replication.applier.broken = True
    for _ in range(3):
        await servers.write()
    await until(lambda: servers.all[number].received == servers.executed(0))


def test_received_and_applied_transactions_differ() -> None:
    """A replica with a broken applier holds transactions that are not visible, and reports why it stopped."""

    async def main(servers: Servers) -> None:
        await _broken_applier(servers, 1)
        status = await servers.admins[1].replication_status()
        assert status is not None
        assert status.received == servers.executed(0)
        assert not status.executed
        assert (status.io_state, status.sql_state) == (ThreadState.RUNNING, ThreadState.STOPPED)
        assert "Write_rows" in status.last_sql_error
        assert status.lag is None

    play(main)


def test_pointing_to_another_source_drops_the_relay_log() -> None:
    """CHANGE REPLICATION SOURCE drops transactions that were received and not applied, and the observer gets them."""

    async def main(servers: Servers) -> None:
        await _broken_applier(servers, 1)
        servers.all[1].replication.applier.broken = False
        await servers.admins[1].stop_replication()
        await servers.admins[1].change_source(Source(host="m2", port=3306))
        assert not servers.all[1].received
        server, lost, why = servers.notes.dropped[0]
        assert (server, len(lost), why) == (servers.all[1], 3, DropReason.REPOINTED)
        await servers.admins[1].start_replication()
        await until(lambda: servers.executed(1) == servers.executed(0))

    play(main)


def test_a_replica_that_forgets_its_source_has_no_replication_status() -> None:
    """RESET REPLICA ALL drops the relay log and the source; then there is no replication status."""

    async def main(servers: Servers) -> None:
        await _broken_applier(servers, 1)
        await servers.admins[1].stop_replication()
        await servers.admins[1].reset_replica(forget_source=True)
        assert await servers.admins[1].replication_status() is None
        assert servers.notes.dropped[0][2] is DropReason.RESET
        with pytest.raises(MysqlError) as refused:
            await servers.admins[1].start_replication()
        assert refused.value.errno == 1200

    play(main)


def test_the_source_cannot_be_changed_while_a_thread_runs() -> None:
    """Both threads must be stopped first: errno 3081."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.stop_io(1)
        with pytest.raises(MysqlError) as refused:
            await servers.admins[1].change_source(Source(host="m2", port=3306))
        assert refused.value.errno == 3081

    play(main)


def test_relay_log_recovery_drops_and_fetches_again() -> None:
    """After a replica's crash its unapplied relay log is gone, and comes again from the source."""

    async def main(servers: Servers) -> None:
        await _broken_applier(servers, 1)
        replica = servers.all[1]
        replica.process.crash()
        replica.replication.applier.broken = False
        replica.start()
        assert not replica.received
        assert servers.notes.dropped[0][2] is DropReason.CRASH
        await servers.admins[1].start_replication()
        await until(lambda: servers.executed(1) == servers.executed(0))

    play(main)


def test_without_relay_log_recovery_the_relay_log_survives() -> None:
    """A replica that keeps its relay log over a crash applies it without its source."""

    async def main(servers: Servers) -> None:
        await _broken_applier(servers, 1)
        everything = servers.executed(0)
        servers.all[0].process.host.power_off()
        replica = servers.all[1]
        replica.process.crash()
        replica.replication.applier.broken = False
        replica.start()
        await servers.admins[1].start_replication(Threads.SQL)
        await until(lambda: servers.executed(1) == everything)

    play(main, settings=SimMysqlSettings(relay_log_recovery=False))


def test_a_slow_applier_lags_and_says_by_how_much() -> None:
    """With a slow applier the lag grows while the received position keeps up."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[1].replication.applier.slowness = 20000.0
        for _ in range(20):
            await servers.write()
            await asyncio.sleep(1.0)
        status = await servers.admins[1].replication_status()
        assert status is not None
        assert status.received == servers.executed(0)
        assert status.executed.count() < 10
        assert status.lag is not None
        assert status.lag > 5

    play(main)


def test_a_delayed_replica_applies_later() -> None:
    """With a configured delay a transaction is applied that long after its commit."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[1].replication.applier.delay = 100.0
        await servers.write()
        await asyncio.sleep(90.0)
        assert not servers.executed(1)
        await asyncio.sleep(20.0)
        assert servers.executed(1) == servers.executed(0)

    play(main)


def test_starting_until_a_position_stops_there() -> None:
    """START REPLICA UNTIL applies up to the position and stops the applier."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.admins[1].stop_replication(Threads.SQL)
        written = [await servers.write() for _ in range(5)]
        await servers.admins[1].start_replication_until_after(written[2].gtid)
        await until(lambda: not servers.all[1].replication.applier.running)
        assert servers.executed(1).count() == 3

    play(main)


def test_purged_transactions_cannot_be_fetched() -> None:
    """A replica that needs purged transactions stops with error 1236; one that has them does not."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0, 1])
        for _ in range(1000):
            await servers.write()
        await until(lambda: servers.executed(1) == servers.executed(0))
        servers.all[0].binlog.purge(keep=10)
        await servers.point(2, 0)
        await until(lambda: servers.all[2].replication.io_state is ThreadState.STOPPED)
        assert "1236" in servers.all[2].replication.last_io_error
        assert "purged" in servers.all[2].replication.last_io_error
        await servers.point(1, 0)
        await servers.connected(1)
        await servers.write()
        assert (await servers.admins[0].report()).purged.count() == 990

    play(main)


def test_a_replica_that_is_ahead_of_its_source_is_refused() -> None:
    """A source that lost transactions of its own refuses a replica that still has them."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        await until(lambda: servers.executed(1) == servers.executed(0))
        servers.all[0].reset_binary_logs(servers.executed(2).difference(servers.executed(2)))
        assert servers.notes.wiped == [servers.all[0]]
        await until(lambda: servers.all[1].replication.io_state is ThreadState.STOPPED)
        assert "more GTIDs than the source" in servers.all[1].replication.last_io_error

    play(main)


def test_a_long_binary_log_is_read_from_the_right_place() -> None:
    """A replica that was away for thousands of transactions gets each of them once."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        for number in range(1500):
            if number == 700:
                await servers.admins[1].stop_replication()
            await servers.write()
        await servers.admins[1].start_replication()
        await until(lambda: servers.executed(1) == servers.executed(0))
        assert servers.all[1].binlog.end == 1500

    play(main)


def test_a_chain_of_replicas_passes_everything_on() -> None:
    """A replica writes what it applies to its own binary log, for replicas of its own."""

    async def main(servers: Servers) -> None:
        await servers.replicate(semi_sync=False, replicas=[0, 1])
        await servers.point(2, 1)
        await servers.write()
        await until(lambda: servers.executed(2) == servers.executed(0))

    play(main)


def test_acknowledgements_do_not_pass_a_cut_but_transactions_do() -> None:
    """With only the way back cut, replicas hold transactions that the source waits for."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.cut("m1", "m2", towards=["m0"])
        with pytest.raises(TimeoutError):
            await servers.write()
        assert servers.all[1].received.count() == 1

    play(main)


def test_a_lost_acknowledgement_is_made_good_by_a_new_connection() -> None:
    """A replica that holds the transaction already counts as soon as it connects again."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0, 1])
        servers.cut("m1", towards=["m0"])
        write = servers.write_in_background()
        await asyncio.sleep(1.0)
        servers.network.heal()
        await servers.stop_io(1)
        await servers.admins[1].start_replication()
        await write

    play(main, count=2)


def test_a_silent_source_is_given_up_after_the_net_timeout() -> None:
    """A replica of a host that vanished stays connected for the net timeout, then says that it cannot connect."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].process.host.power_off()
        await asyncio.sleep(15.0)
        assert servers.all[1].replication.io_state is ThreadState.RUNNING
        await asyncio.sleep(60.0)
        status = await servers.admins[1].replication_status()
        assert status is not None
        assert status.io_state is ThreadState.CONNECTING
        assert "Error connecting to source 'vt_repl@m0:3306'" in status.last_io_error

    play(main, settings=SimMysqlSettings(replica_net_timeout=30.0, connect_retry=1.0))


def test_a_dead_source_is_noticed_at_once() -> None:
    """When only the process ends, its kernel resets the connections, and replicas connect again when it is back."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].process.crash()
        await asyncio.sleep(0.5)
        status = await servers.admins[1].replication_status()
        assert status is not None
        assert not status.io_healthy
        servers.all[0].start()
        await servers.connected(1)

    play(main)


def test_heartbeats_keep_an_idle_connection() -> None:
    """A replica of an idle source stays connected for hours."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        dump = servers.all[0].dumps.of(servers.all[1].uuid)
        assert dump is not None
        await asyncio.sleep(7200.0)
        assert servers.all[0].dumps.of(servers.all[1].uuid) is dump

    play(main)


def test_a_hung_source_keeps_its_replicas_until_their_net_timeout() -> None:
    """Replicas of a stopped process stay connected until their net timeout ends."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].process.freeze()
        await asyncio.sleep(20.0)
        assert servers.all[1].replication.io_state is ThreadState.RUNNING
        await until(lambda: servers.all[1].replication.io_state is ThreadState.CONNECTING, limit=60.0)
        servers.all[0].process.thaw()
        await servers.connected(1)
        await servers.write()

    play(main)


def test_a_frozen_replica_goes_on_where_it_was() -> None:
    """A replica that was stopped by a signal gets the transactions that were sent meanwhile."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[1].process.freeze()
        for _ in range(5):
            await servers.write()
        await asyncio.sleep(200.0)
        servers.all[1].process.thaw()
        await until(lambda: servers.executed(1) == servers.executed(0), limit=5.0)

    play(main)


def test_a_stalled_disk_of_a_replica_stops_its_acknowledgements() -> None:
    """A replica that cannot write its relay log neither receives nor acknowledges, and STOP REPLICA hangs."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0, 1])
        servers.all[1].disk.become(DiskState.STALLED)
        write = servers.write_in_background()
        await asyncio.sleep(5.0)
        assert not write.done()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await servers.admins[1].stop_replication()
        servers.all[1].disk.become(DiskState.FINE)
        await write

    play(main, count=2)


def test_a_full_disk_of_a_replica_stops_its_io_thread() -> None:
    """The IO thread stops with an error that names the cause, and starts again when there is space."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[1].disk.become(DiskState.FULL_FAILING)
        await servers.write()
        await until(lambda: servers.all[1].replication.io_state is ThreadState.STOPPED)
        assert "No space left" in servers.all[1].replication.last_io_error
        servers.all[1].disk.become(DiskState.FINE)
        await servers.admins[1].start_replication()
        await until(lambda: servers.executed(1) == servers.executed(0))

    play(main)


def test_a_source_that_takes_no_connections_keeps_its_replicas() -> None:
    """Connected replicas stream on; one that has to connect anew cannot."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[0].refuses_connections = True
        await servers.point(1, 0)
        await servers.write()
        await until(lambda: "Too many connections" in servers.all[1].replication.last_io_error)
        assert servers.all[2].replication.io_state is ThreadState.RUNNING

    play(main)


def test_the_journal_is_replicated() -> None:
    """A row of the reparent journal arrives at the replicas, which have no table before."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        row = JournalRow(time_created_ns=7, action="a test", primary_alias="zone1-0000000001", position="")
        with pytest.raises(MysqlError) as missing:
            await servers.admins[1].journal_length("_vt")
        assert missing.value.errno == 1146
        await servers.admins[0].create_sidecar("_vt")
        await servers.admins[0].write_journal("_vt", row)
        await until(lambda: 7 in servers.all[1].tables.journal.get("_vt", {}))
        assert await servers.admins[1].journal_length("_vt") == 1
        assert await servers.admins[1].has_journal_row("_vt", 7)

    play(main)


def test_the_same_seed_gives_the_same_run() -> None:
    """Two runs of one seed commit the same transactions at the same instants; another seed does not."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        for _ in range(20):
            await servers.write()
        servers.all[0].process.crash()
        await servers.all[1].inject(InsertRow(0))

    runs = [play(main, seed=seed).notes.commits for seed in (5, 5, 6)]
    times = [[(server.uuid, transaction.number, transaction.at) for server, transaction, _ in each] for each in runs]
    assert times[0] == times[1]
    assert times[0] != times[2]


def test_an_old_replica_connection_is_replaced_by_its_new_one() -> None:
    """A replica that connects again takes the place of its own zombie connection."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=[0, 1])
        servers.all[1].process.host.power_off()
        await asyncio.sleep(1.0)
        assert servers.all[0].dumps.semi_sync_clients == 1
        servers.all[1].process.host.power_on()
        servers.all[1].start()
        servers.admins[1] = type(servers.admins[1])(servers.all[1], servers.tablets[1].start())
        await servers.admins[1].set_semi_sync(primary=False, replica=True)
        await servers.admins[1].start_replication()
        await servers.write()
        assert servers.all[0].dumps.semi_sync_clients == 1

    play(main, count=2)


def test_statements_about_replication_run_one_at_a_time() -> None:
    """A source cannot be reset while the threads are being started: the second statement is refused."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.admins[1].stop_replication()
        servers.all[1].slowness = 300.0
        start = asyncio.create_task(servers.admins[1].start_replication())
        await asyncio.sleep(0.05)
        forget = asyncio.create_task(servers.all[1].replication.reset(forget_source=True))
        outcomes = await asyncio.gather(start, forget, return_exceptions=True)
        running = servers.all[1].replication.applier.running
        assert running == (servers.all[1].replication.source is not None)
        assert sum(isinstance(outcome, MysqlError) for outcome in outcomes) == 1

    play(main)
