"""Simulated servers whose disks went back to an older state."""

from tests.unit.sim.servers import Servers, play, until
from tests.unit.sim.test_invariants import Watched, watch
from vtorc.core.facts.status import ThreadState


async def _roll_back(servers: Servers, number: int, *, writes: int = 3) -> None:
    """Put the data of a server back to what it was before so many more writes, and start the server again."""
    server = servers.all[number]
    snapshot = server.snapshot()
    for _ in range(writes):
        await servers.write()
    await until(lambda: all(each.received == servers.all[0].received for each in servers.all))
    server.process.crash()
    server.roll_back(snapshot)
    server.start()


def test_a_server_that_went_back_uses_its_numbers_again() -> None:
    """Rows and GTIDs are those of the snapshot, and the next write gets the GTID of one that is lost."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        await _roll_back(servers, 0)
        assert (servers.executed(0).count(), servers.all[0].tables.rows) == (1, {1})
        await until(lambda: servers.executed(1).count() == 4)
        await servers.admins[0].set_read_only(False)
        again = await servers.write()
        assert again.number == 2
        assert again.gtid.is_subset_of(servers.executed(1))
        assert servers.all[0].tables.rows == {1, 5}

    play(main, count=2)


def test_a_server_that_went_back_is_left_by_its_replicas() -> None:
    """A replica that has more of the source's transactions than the source is refused, with MySQL's words for it."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        await _roll_back(servers, 0)
        await until(lambda: servers.all[1].replication.io_state is ThreadState.STOPPED)
        error = servers.all[1].replication.last_io_error
        assert "more GTIDs than the source has, using the source's SERVER_UUID" in error

    play(main, count=2)


def test_a_server_never_fetches_what_it_wrote_itself() -> None:
    """As replica of one that has all of it, it skips what carries its own server_id, and acknowledges the rest."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        await servers.write()
        await _roll_back(servers, 0)
        for number in (1, 2):
            await servers.admins[number].stop_replication()
            await servers.admins[number].reset_replica(forget_source=True)
        await servers.replicate(source=1, replicas=[0, 2])
        await servers.write(1)
        await until(lambda: servers.all[0].executed.has(servers.all[1].series, 1))
        assert servers.all[0].tables.rows == {1, 5}
        assert servers.all[1].tables.rows == {1, 2, 3, 4, 5}

    play(main)


def test_a_relay_log_goes_back_with_the_disk() -> None:
    """A replica that went back has its former source and relay log, and fetches what it lost once it is started."""

    async def main(servers: Servers) -> None:
        await servers.replicate()
        servers.all[1].replication.applier.broken = True
        await servers.write()
        await until(lambda: bool(servers.all[1].replication.relay))
        await _roll_back(servers, 1)
        servers.all[1].replication.applier.broken = False
        await servers.admins[1].start_replication()
        await until(lambda: servers.all[1].tables.rows == {1, 2, 3, 4})

    play(main)


def test_a_write_of_which_no_acker_has_a_copy_left_is_beyond_the_promise() -> None:
    """What the only acker lost with its disk counts as lost no more; what the primary lost still does."""

    async def main(watched: Watched) -> None:
        servers = watched.servers
        await servers.stop_io(2)
        snapshots = [server.snapshot() for server in servers.all]
        await watched.write(0)
        for number, lost in ((0, 1), (1, 0)):
            servers.all[number].process.crash()
            servers.all[number].roll_back(snapshots[number])
            servers.all[number].start()
            assert len(watched.ledger.lost_on(servers.all[2])) == lost

    watch(main)
