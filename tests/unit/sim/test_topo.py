import asyncio
import contextlib

import pytest

from vtorc.errors import BadVersion, LockHeld, LockLost, TopoUnavailable
from vtorc.sim.cluster.topo import SimTopo
from vtorc.sim.engine.loop import current_loop, run
from vtorc.sim.engine.network import LinkFault, Network
from vtorc.sim.engine.process import Life, Process
from vtorc.topo.conn import TopoConn

LINE = "/vitess/global/shard"


class Topo:
    """One topology server and two clients of it."""

    def __init__(self) -> None:
        self.network = Network(current_loop().random)
        self.server = SimTopo(
            self.network, self.network.add_host("topo", "zone1"), current_loop().random, lease_ttl=10.0
        )
        self.clients: list[TopoConn] = []
        self.lives: list[Life] = []
        for name in ("a", "b"):
            life = Process(self.network.add_host(name, "zone2"), "client").start()
            self.lives.append(life)
            self.clients.append(self.server.connect(life, "/vitess/global"))

    def cut(self, name: str) -> None:
        """Cut a client off."""
        self.network.impose(LinkFault(name="cut", sources=frozenset({name}), cut=True))


def test_a_record_of_one_client_is_read_by_another() -> None:
    """Records go over the network to the store and back."""

    async def main() -> None:
        topo = Topo()
        version = await topo.clients[0].create("shard/record", b"1")
        stored = await topo.clients[1].get("shard/record")
        assert stored == (b"1", version)
        assert await topo.clients[1].list_dir("shard") == ["record"]

    run(main())


def test_a_stopped_server_refuses_and_remembers() -> None:
    """While the server is down, every call fails at once; afterwards all keys are still stored."""

    async def main() -> None:
        topo = Topo()
        await topo.clients[0].create("shard/record", b"1")
        topo.server.stop()
        with pytest.raises(TopoUnavailable, match="refused"):
            await topo.clients[0].get("shard/record")
        topo.server.start()
        assert (await topo.clients[0].get("shard/record")).contents == b"1"

    run(main())


def test_a_watch_brings_changes_and_breaks_with_the_server() -> None:
    """A follower sees each change after the network's delay, and an error when the server goes away."""

    async def main() -> None:
        topo = Topo()
        seen: list[bytes] = []

        async def follow() -> None:
            async with contextlib.aclosing(topo.clients[1].watch("shard/record")) as changes:
                async for change in changes:
                    seen.append(change.stored.contents if change.stored else b"")

        following = asyncio.create_task(follow())
        await asyncio.sleep(1.0)
        version = await topo.clients[0].create("shard/record", b"1")
        await asyncio.sleep(1.0)
        await topo.clients[0].update("shard/record", b"2", version)
        await asyncio.sleep(1.0)
        assert seen == [b"", b"1", b"2"]
        topo.server.stop()
        with pytest.raises(TopoUnavailable):
            await following

    run(main())


def test_stale_reads_show_one_host_an_old_state() -> None:
    """A host with stale reads sees the past until it is made fresh; its writes and its locks are not affected."""

    async def main() -> None:
        topo = Topo()
        version = await topo.clients[0].create("shard/record", b"1")
        topo.server.make_stale("b")
        await topo.clients[0].update("shard/record", b"2", version)
        assert (await topo.clients[0].get("shard/record")).contents == b"2"
        assert (await topo.clients[1].get("shard/record")).contents == b"1"
        with pytest.raises(BadVersion):
            await topo.clients[1].update("shard/record", b"3", version)
        async with asyncio.timeout(1.0):
            await topo.clients[1].lock("shard", b'{"HostName": "b"}')
        topo.server.make_fresh("b")
        assert (await topo.clients[1].get("shard/record")).contents == b"2"

    run(main())


def test_conflicts_make_compare_and_swaps_fail() -> None:
    """With all swaps in conflict none succeeds, although the contents stay the same."""

    async def main() -> None:
        topo = Topo()
        version = await topo.clients[0].create("shard/record", b"1")
        topo.server.conflict_share = 1.0
        with pytest.raises(BadVersion):
            await topo.clients[0].update("shard/record", b"2", version)
        assert (await topo.clients[0].get("shard/record")).contents == b"1"

    run(main())


def test_a_lock_is_held_by_one_and_known_by_name() -> None:
    """While one client holds a lock, another is refused; the server knows the holder."""

    async def main() -> None:
        topo = Topo()
        await topo.clients[0].create("shard/record", b"1")
        lock = await topo.clients[0].try_lock("shard", b'{"HostName": "a"}')
        assert topo.server.lock_holder(LINE) == "a"
        with pytest.raises(LockHeld):
            await topo.clients[1].try_lock("shard", b'{"HostName": "b"}')
        await asyncio.sleep(60.0)
        await lock.check()
        assert topo.server.confirmed_at("a", LINE) > 60.0
        await lock.release()
        assert topo.server.lock_holder(LINE) is None

    run(main())


def test_a_client_that_is_cut_off_loses_its_lock() -> None:
    """The lease ends on the server, another gets the lock, and the first knows by then that it is lost."""

    async def main() -> None:
        topo = Topo()
        await topo.clients[0].create("shard/record", b"1")
        lock = await topo.clients[0].try_lock("shard", b'{"HostName": "a"}')
        topo.cut("a")
        await topo.clients[1].lock("shard", b'{"HostName": "b"}', timeout=20.0)
        assert topo.server.lock_holder(LINE) == "b"
        assert lock.lost.is_set()
        with pytest.raises(LockLost):
            await lock.check()

    run(main())


def test_a_client_that_stands_still_loses_its_lock() -> None:
    """A lease ends at the server, whatever its holder does: a process that stands still renews it too late."""

    async def main() -> None:
        topo = Topo()
        await topo.clients[0].create("shard/record", b"1")

        async def hold() -> None:
            lock = await topo.clients[0].try_lock("shard", b'{"HostName": "a"}')
            current_loop().let_others_run(9.0, but="client@a")
            assert topo.server.lock_holder(LINE) == "a"
            current_loop().let_others_run(2.0, but="client@a")
            assert topo.server.lock_holder(LINE) is None
            with pytest.raises(LockLost):
                await lock.check()

        await topo.lives[0].spawn(hold(), name="hold")

    run(main())


def test_lost_leases_take_their_locks_along() -> None:
    """When the server loses its leases, the holder's next check fails."""

    async def main() -> None:
        topo = Topo()
        await topo.clients[0].create("shard/record", b"1")
        lock = await topo.clients[0].try_lock("shard", b'{"HostName": "a"}')
        topo.server.end_leases()
        with pytest.raises(LockLost):
            await lock.check()
        await topo.clients[1].try_lock("shard", b'{"HostName": "b"}')

    run(main())


def test_a_restored_server_shows_the_records_of_its_backup() -> None:
    """Records that were changed are as they were, later ones are gone, deleted ones are back, and locks are lost."""

    async def main() -> None:
        topo = Topo()
        here = topo.clients[0]
        await here.create("shard/changed", b"1")
        await here.create("shard/deleted", b"1")
        backup = topo.server.backup()
        version = (await here.get("shard/changed")).version
        await here.update("shard/changed", b"2", version)
        await here.delete("shard/deleted", (await here.get("shard/deleted")).version)
        await here.create("shard/created", b"2")
        lock = await here.try_lock("shard", b'{"HostName": "a"}')
        topo.server.restore(backup)
        assert await here.list_dir("shard") == ["changed", "deleted"]
        assert (await here.get("shard/changed")).contents == b"1"
        with pytest.raises(LockLost):
            await lock.check()

    run(main())
