"""Servers that die, hang, are slow, lose answers, come back or are set back: the same for every kind of server."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.topo.kinds import KINDS, Kind
from tests.e2e.topo.relay import Mode, Relay
from tests.topo_conformance import GLOBAL, NOTE, PATIENCE, RECORD, SHARD, following
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import LockLost, NodeExists, NoNode, TopoTimeout, TopoUnavailable
from vtorc.lab.ports import Ports
from vtorc.lab.topo_process import TopoProcess
from vtorc.proto import topodata_pb2
from vtorc.topo import records
from vtorc.topo.cells import TopoLimits
from vtorc.topo.conn import RecordChange, Stored, TopoConn
from vtorc.topo.server import TopoServer

KS = ShardId("ks", "0")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Take one kind of server after the other."""
    found: Kind = request.param
    return found


@contextlib.asynccontextmanager
async def connected(kind: Kind, *addresses: str, timeout: float = 15.0) -> AsyncIterator[TopoConn]:
    """Connect for the length of a block."""
    conn = await kind.connect(addresses, GLOBAL, timeout=timeout)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture
async def fresh(kind: Kind, tmp_path: Path) -> AsyncIterator[TopoProcess]:
    """Run a server that a test may break."""
    async with kind.server(tmp_path / "server") as server:
        yield server


async def test_dead_and_hanging_addresses_are_passed_over(kind: Kind, fresh: TopoProcess) -> None:
    """With one address dead, one silent and one alive, every kind of call succeeds."""
    async with Relay(fresh.address) as silent:
        silent.mode = Mode.HANG
        ports = Ports()
        dead = f"127.0.0.1:{ports.take()}"
        async with connected(kind, dead, silent.address, fresh.address) as conn:
            version = await conn.create(RECORD, b"1")
            version = await conn.update(RECORD, b"2", version)
            assert await conn.get(RECORD) == Stored(b"2", version)
            assert list(await conn.list_dir(SHARD)) == ["Shard"]
            async with contextlib.aclosing(conn.watch(RECORD)) as changes:
                assert await following(changes) == RecordChange(RECORD, Stored(b"2", version))
                version = await conn.update(RECORD, b"3", version)
                assert await following(changes) == RecordChange(RECORD, Stored(b"3", version))
            lock = await conn.lock(SHARD, NOTE)
            await lock.check()
            await lock.release()
            await conn.delete(RECORD, version)


async def test_lock_is_kept_over_another_address(kind: Kind, fresh: TopoProcess) -> None:
    """When the address in use falls silent, a held lock is confirmed and kept through another."""
    async with (
        Relay(fresh.address) as one,
        Relay(fresh.address) as other,
        connected(kind, one.address, other.address, timeout=3.0) as conn,
    ):
        await conn.create(RECORD, b"")
        lock = await conn.try_lock(SHARD, NOTE)
        one.mode = Mode.HANG
        await lock.check()
        other.mode = Mode.HANG
        with pytest.raises(LockLost, match="no server confirmed"):
            await lock.check()
        one.mode = Mode.FORWARD
        one.cut()
        await lock.check()
        assert not lock.lost.is_set()


async def test_write_whose_answer_is_lost_is_done_once(kind: Kind, fresh: TopoProcess) -> None:
    """A write that was carried out but not answered succeeds through another address, as our own."""
    async with muted(kind, fresh) as conn:
        created = await conn.create(RECORD, b"mine")
        assert await conn.get(RECORD) == Stored(b"mine", created)
        with pytest.raises(NodeExists):
            await conn.create(RECORD, b"another's")
    async with muted(kind, fresh) as conn:
        updated = await conn.update(RECORD, b"2", created)
        assert await conn.get(RECORD) == Stored(b"2", updated)
    async with muted(kind, fresh) as conn:
        lock = await conn.try_lock(SHARD, NOTE)
        await lock.check()
    async with muted(kind, fresh) as conn:
        await conn.delete(RECORD, updated)


@contextlib.asynccontextmanager
async def muted(kind: Kind, server: TopoProcess) -> AsyncIterator[TopoConn]:
    """Connect by two addresses, the first of which has become mute; it must have been asked at the end."""
    async with Relay(server.address) as mute, connected(kind, mute.address, server.address, timeout=5.0) as conn:
        with contextlib.suppress(NoNode):
            await conn.get(RECORD)
        mute.mode = Mode.MUTE
        yield conn
        assert mute.answers_lost.is_set()


async def test_slow_server_is_used(kind: Kind, fresh: TopoProcess) -> None:
    """A server that answers late does all that one does which answers at once."""
    async with Relay(fresh.address) as relay, connected(kind, relay.address, timeout=PATIENCE) as conn:
        relay.mode = Mode.SLOW
        version = await conn.create(RECORD, b"1")
        async with contextlib.aclosing(conn.watch(RECORD)) as changes:
            assert await following(changes) == RecordChange(RECORD, Stored(b"1", version))
            lock = await conn.try_lock(SHARD, NOTE)
            version = await conn.update(RECORD, b"2", version)
            assert await following(changes) == RecordChange(RECORD, Stored(b"2", version))
            await lock.check()
            await lock.release()


async def test_watch_gets_over_a_broken_connection(kind: Kind, fresh: TopoProcess) -> None:
    """A watch whose connection breaks shows what changed meanwhile, and goes on."""
    async with (
        Relay(fresh.address) as relay,
        connected(kind, relay.address) as conn,
        connected(kind, fresh.address) as other,
    ):
        await other.create(RECORD, b"A")
        async with contextlib.aclosing(conn.watch(RECORD)) as record:
            await following(record)
            await other.update(RECORD, b"A2", None)
            await following(record)
            waiting = asyncio.create_task(following(record))
            relay.mode = Mode.HANG
            relay.cut()
            version = await other.update(RECORD, b"A3", None)
            relay.mode = Mode.FORWARD
            relay.cut()
            assert await waiting == RecordChange(RECORD, Stored(b"A3", version))


async def test_killed_server_is_unavailable_and_comes_back(kind: Kind, fresh: TopoProcess) -> None:
    """While the server is dead calls raise TopoUnavailable; when it is back they work, and a watch has gone on."""
    async with (
        connected(kind, fresh.address, timeout=2.0) as hasty,
        connected(kind, fresh.address, timeout=PATIENCE) as patient,
    ):
        version = await hasty.create(RECORD, b"1")
        async with contextlib.aclosing(patient.watch(RECORD)) as changes:
            await following(changes)
            await fresh.kill()
            for call in (hasty.get(RECORD), hasty.update(RECORD, b"2", version), hasty.try_lock(SHARD, NOTE)):
                with pytest.raises(
                    TopoUnavailable, match=rf"{kind.name} \({fresh.address}\) did not answer .*within 2 s"
                ):
                    await call
            waiting = asyncio.create_task(patient.get(RECORD))
            await fresh.start()
            assert await waiting == Stored(b"1", version)
            version = await patient.update(RECORD, b"3", version)
            assert await following(changes) == RecordChange(RECORD, Stored(b"3", version))


async def test_hanging_server_ends_calls_in_time_and_loses_locks(kind: Kind, fresh: TopoProcess) -> None:
    """While the server hangs calls end at their deadline, and a lock is lost after its TTL; then all works again."""
    async with connected(kind, fresh.address, timeout=2.0) as conn:
        await conn.create(RECORD, b"1")
        lock = await conn.try_lock(SHARD, NOTE, ttl=2.0)
        fresh.pause()
        with pytest.raises(TopoTimeout):
            await conn.get(RECORD)
        async with asyncio.timeout(PATIENCE):
            await lock.lost.wait()
        fresh.resume()
        with pytest.raises(LockLost, match="could not be refreshed in time"):
            await lock.check()
        await lock.release()
        async with connected(kind, fresh.address, timeout=PATIENCE) as other:
            assert (await other.get(RECORD)).contents == b"1"
            second = await other.lock(SHARD, NOTE, timeout=PATIENCE)
            await second.check()


async def test_watch_ends_when_nobody_answers_for_long(kind: Kind, fresh: TopoProcess) -> None:
    """A watch ends with TopoUnavailable when the server stays away for longer than one call may last."""
    async with connected(kind, fresh.address, timeout=2.0) as conn, contextlib.aclosing(conn.watch(RECORD)) as changes:
        assert await following(changes) == RecordChange(RECORD, None)
        await fresh.kill()
        with pytest.raises(TopoUnavailable):
            await following(changes)


async def test_server_set_back_to_an_older_state(kind: Kind, fresh: TopoProcess, tmp_path: Path) -> None:
    """After its older data was put back, reads and watches show the older record, and a lock taken since is lost."""
    async with connected(kind, fresh.address, timeout=PATIENCE) as conn:
        await conn.create(RECORD, b"older")
        await fresh.stop()
        shutil.copytree(fresh.data, tmp_path / "backup")
        await fresh.start()
        await conn.update(RECORD, b"newer", None)
        lock = await conn.lock(SHARD, NOTE, timeout=PATIENCE)
        async with contextlib.aclosing(conn.watch(RECORD)) as changes:
            seen = await following(changes)
            assert seen.stored is not None
            assert seen.stored.contents == b"newer"
            await fresh.stop()
            shutil.rmtree(fresh.data)
            shutil.copytree(tmp_path / "backup", fresh.data)
            await fresh.start()
            while seen.stored is None or seen.stored.contents != b"older":
                seen = await following(changes)
        assert (await conn.get(RECORD)).contents == b"older"
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(LockLost):
                await lock.check()
            await lock.lost.wait()
        assert list(await conn.list_dir(SHARD)) == ["Shard"]
        again = await conn.try_lock(SHARD, NOTE)
        await again.check()


async def test_lost_cell_hides_its_own_tablets_only(kind: Kind, fresh: TopoProcess, tmp_path: Path) -> None:
    """Without one cell's server, the tablets of the others are read; without the global one, those of all cells are."""
    async with kind.server(tmp_path / "near") as near, kind.server(tmp_path / "far") as far:
        global_conn = await kind.connect([fresh.address], GLOBAL, timeout=2.0)
        topo = TopoServer(
            global_conn,
            lambda cell, address, root: kind.connect([address], root, timeout=2.0),
            limits=TopoLimits(remote_operation_timeout=2.0),
        )
        await topo.create_shard(KS)
        aliases = []
        for uid, (cell, server) in enumerate((("near", near), ("far", far)), start=100):
            await topo.create_cell(cell, server_address=server.address, root=f"/vitess/{cell}")
            alias = TabletAlias(cell, uid)
            aliases.append(alias)
            await topo.create_tablet(
                topodata_pb2.Tablet(alias=records.alias_to_proto(alias), keyspace="ks", shard="0", hostname="h")
            )
        everything = await topo.tablets_of_shard(KS)
        assert sorted(record.alias for record in everything.records) == sorted(aliases)
        await far.kill()
        rest = await topo.tablets_of_shard(KS)
        assert [record.alias.cell for record in rest.records] == ["near"]
        assert list(rest.unreachable_cells) == ["far"]
        await fresh.kill()
        assert [record.alias.cell for record in (await topo.tablets_in_cell("near")).records] == ["near"]
        await topo.close()
