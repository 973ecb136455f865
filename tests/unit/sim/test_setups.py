"""Simulated servers that are set up otherwise than by Vitess behave as MySQL does."""

import asyncio

import pytest

from tests.unit.sim.servers import Servers, play, until
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.status import ThreadState
from vtorc.errors import MysqlError
from vtorc.vttablet.mysql_api import Threads


def test_filters_leave_rows_out_and_keep_their_gtids() -> None:
    """A filtered replica executes every transaction, lacks the rows, and gives others none of them."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        filtered, behind = servers.all[1], servers.all[2]
        filtered.setup = filtered.setup.with_changes(filters=True)
        await servers.write()
        await until(lambda: servers.executed(1) == servers.executed(0))
        report = (await servers.admins[1].report()).replication
        assert report is not None
        assert report.has_filters
        await servers.point(2, 1, semi_sync=False)
        await until(lambda: servers.executed(2) == servers.executed(0))
        assert servers.all[0].tables.rows == {1}
        assert filtered.tables.rows == behind.tables.rows == set()
        filtered.process.crash()
        filtered.start()
        assert filtered.tables.rows == set()

    play(main)


def test_a_server_without_replica_updates_purges_what_it_receives() -> None:
    """What it received counts as purged, so that a replica behind cannot fetch it; its own writes it gives."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        logs_own = servers.all[1]
        logs_own.setup = logs_own.setup.with_changes(log_replica_updates=False)
        received = await servers.write()
        await until(lambda: servers.executed(1) == servers.executed(0))
        assert logs_own.binlog.purged == received.gtid
        await servers.point(2, 1)
        await until(lambda: "1236" in servers.all[2].replication.last_io_error)
        await servers.admins[2].stop_replication()
        await servers.point(2, 0)
        await until(lambda: servers.executed(2) == servers.executed(0))
        await servers.replicate(source=1, replicas=(1, 2))
        await servers.write(1)
        await until(lambda: servers.all[2].tables.rows == {1, 2})

    play(main)


def test_a_server_without_binary_logs_feeds_no_replica_and_waits_for_none() -> None:
    """No replica can fetch anything, and a commit is told OK at once although semi-sync is on."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        source = servers.all[0]
        source.setup = source.setup.with_changes(log_bin=False)
        source.close_dumps()
        await until(lambda: "Binary log is not open" in servers.all[1].replication.last_io_error)
        await servers.write()
        assert not servers.notes.commits[-1][2]
        report = await servers.admins[0].report()
        assert (report.log_bin, report.coordinates) == (False, "")
        assert await servers.admins[0].primary_report() is None

    play(main)


def test_twins_throw_each_other_off_and_never_follow_each_other() -> None:
    """The one that connects ends the connection of the other, and a source refuses its own server_uuid."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        first, second = servers.all[1], servers.all[2]
        second.change_uuid(first.uuid)
        await until(lambda: "13114" in first.replication.last_io_error)
        assert first.replication.io_state is ThreadState.STOPPED
        await until(lambda: second.replication.io_state is ThreadState.RUNNING)
        await servers.point(2, 1)
        await until(lambda: "equal MySQL server UUIDs" in second.replication.last_io_error)

    play(main)


def test_a_replica_that_connects_anew_is_not_its_own_twin() -> None:
    """The end of its former connection does not stop the new one."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        servers.all[1].replication.reconnect()
        await servers.connected(1)
        await asyncio.sleep(5.0)
        assert servers.all[1].replication.io_state is ThreadState.RUNNING
        assert not servers.all[1].replication.last_io_error

    play(main)


def test_a_lower_wait_count_releases_what_waits() -> None:
    """A commit that waits for a second acknowledgement is released once one is enough."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        source = servers.all[0]
        source.acks.wait_for(2)
        with pytest.raises(TimeoutError):
            await servers.write()
        waiting = servers.write_in_background()
        await asyncio.sleep(1.0)
        assert not waiting.done()
        source.acks.wait_for(1)
        await waiting

    play(main)


def test_a_lower_wait_count_releases_nothing_on_a_server_that_is_down() -> None:
    """The commit that waited ended with its server, and comes back as committed when that recovers."""

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        source = servers.all[0]
        source.acks.wait_for(2)
        waiting = servers.write_in_background()
        await asyncio.sleep(1.0)
        source.process.crash()
        executed = source.executed.value
        source.acks.wait_for(1)
        assert source.executed.value == executed
        with pytest.raises(MysqlError):
            await waiting

    play(main)


def test_a_delay_holds_back_what_is_received_until_it_ends() -> None:
    """A delayed replica receives at once and applies late; without the delay it goes on at once, and a reset ends
    it.
    """

    async def main(servers: Servers) -> None:
        await servers.replicate(replicas=(0, 1))
        late = servers.all[1].replication
        late.applier.delay_by(3600.0)
        await servers.write()
        await asyncio.sleep(30.0)
        assert len(late.relay) == 1
        report = await servers.admins[1].replication_status()
        assert report is not None
        assert report.sql_delay == 3600
        late.applier.delay_by(0.0)
        await until(lambda: servers.executed(1) == servers.executed(0), limit=1.0)
        late.applier.delay_by(3600.0)
        await servers.admins[1].stop_replication(Threads.BOTH)
        await servers.admins[1].reset_replica(forget_source=True)
        assert late.applier.delay == 0.0

    play(main)


def test_a_server_without_the_plugins_knows_no_semi_sync() -> None:
    """It tells no settings, and cannot be told to acknowledge."""

    async def main(servers: Servers) -> None:
        server = servers.all[1]
        server.setup = server.setup.with_changes(semi_sync_plugins=False)
        assert await servers.admins[1].semi_sync() is None
        assert not (await servers.admins[1].report()).semi_sync.is_reported
        with pytest.raises(MysqlError, match="Unknown system variable"):
            await servers.admins[1].set_semi_sync(primary=False, replica=True)
        assert servers.executed(1) == GtidSet.parse("")

    play(main)
