"""A source that stops waiting for acknowledgements waits once more: for the thread that receives them."""

import asyncio

import pytest

from tests.unit.sim.servers import Servers, play
from vtorc.errors import MysqlError


async def seconds_to_switch_off(servers: Servers) -> float:
    """Return how long the source takes to switch semi-sync off."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await servers.admins[0].set_semi_sync(primary=False, replica=True)
    return loop.time() - began


async def quiet_source(servers: Servers) -> None:
    """Let the receiver have looked up last a tenth of a second ago, for the acknowledgement of a write."""
    await servers.replicate()
    await asyncio.sleep(2.0)
    await servers.write()
    await asyncio.sleep(0.1)


def test_switching_semi_sync_off_takes_until_the_receiver_looks_up() -> None:
    """It looks up a second after the last acknowledgement; until then no variable can be read, but status can."""

    async def main(servers: Servers) -> None:
        await quiet_source(servers)
        off = asyncio.create_task(seconds_to_switch_off(servers))
        await asyncio.sleep(0.1)
        reading = asyncio.create_task(servers.admins[0].is_read_only())
        status = "Rpl_semi_sync_source_status"
        assert await servers.admins[0].global_status([status]) == {status: "OFF"}
        await asyncio.sleep(0.5)
        assert not reading.done()
        assert 0.85 < await off < 0.95
        assert await reading is False

    play(main)


@pytest.mark.parametrize("leaves", [True, False], ids=["closes", "is cut off"])
def test_a_connection_that_closes_lets_the_receiver_look_up(leaves: bool) -> None:
    """One that is cut off is not closed, as far as the source can tell."""

    async def main(servers: Servers) -> None:
        await quiet_source(servers)
        off = asyncio.create_task(seconds_to_switch_off(servers))
        await asyncio.sleep(0.1)
        if leaves:
            await servers.stop_io(1)
        else:
            servers.cut("m1")
        assert (await off < 0.2) is leaves

    play(main)


def test_the_receiver_misses_the_end_of_a_connection_that_it_does_not_know_yet() -> None:
    """It learns of a connection only when it looks up next."""

    async def main(servers: Servers) -> None:
        await quiet_source(servers)
        await servers.stop_io(1)
        await servers.admins[1].start_replication()
        await servers.connected(1)
        off = asyncio.create_task(seconds_to_switch_off(servers))
        await asyncio.sleep(0.1)
        await servers.stop_io(1)
        assert await off > 0.5

    play(main)


def test_a_source_without_ackers_stops_waiting_at_once() -> None:
    """Its receiver has no connection to wait for."""

    async def main(servers: Servers) -> None:
        await servers.replicate(semi_sync=False)
        await servers.admins[0].set_semi_sync(primary=True, replica=True)
        assert await seconds_to_switch_off(servers) < 0.1

    play(main)


def test_a_source_that_ends_meanwhile_breaks_its_statements() -> None:
    """They lose their connections like all others."""

    async def main(servers: Servers) -> None:
        await quiet_source(servers)
        off = asyncio.create_task(seconds_to_switch_off(servers))
        await asyncio.sleep(0.1)
        servers.all[0].process.crash()
        with pytest.raises(MysqlError, match="Lost connection"):
            await off
        servers.all[0].start()
        assert await servers.admins[0].is_read_only()

    play(main)
