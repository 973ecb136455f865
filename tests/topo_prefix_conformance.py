"""Tests of reading and watching a directory as a whole, beside those of `topo_conformance`; ZooKeeper cannot do it."""

import asyncio
import contextlib

import pytest

from tests.topo_conformance import SHARD, Backend, following
from vtorc.errors import TopoUnavailable
from vtorc.topo.conn import RecordChange, Stored


@pytest.mark.parametrize("root", ["/", "", "zone1", "/zone1"])
async def test_directories_are_relative_to_any_root(backend: Backend, root: str) -> None:
    """Records are read and watched under the paths that they were written to, also below `/` itself."""
    conn = await backend.connect(root)
    await conn.create("tablets/zone1-0000000100/Tablet", b"a")
    assert list(await conn.list("tablets")) == ["tablets/zone1-0000000100/Tablet"]
    async with contextlib.aclosing(conn.watch_prefix("tablets")) as changes:
        assert [change.path for change in await following(changes)] == ["tablets/zone1-0000000100/Tablet"]


async def test_list_reads_all_records_below(backend: Backend) -> None:
    """One call reads all records below a directory with their versions, and none beside it."""
    conn = await backend.connect()
    assert await conn.list("tablets") == {}
    first = await conn.create("tablets/a/Tablet", b"A")
    second = await conn.create("tablets/b/Tablet", b"B")
    await conn.create("tablets2/c/Tablet", b"C")
    await conn.create("tablets", b"a file of that very name")
    assert dict(await conn.list("tablets")) == {
        "tablets/a/Tablet": Stored(b"A", first),
        "tablets/b/Tablet": Stored(b"B", second),
    }


async def test_watch_follows_all_records_below(backend: Backend) -> None:
    """A watch of a directory yields all records below it, then the changes there and not beside it."""
    one, other = await backend.connect(), await backend.connect()
    async with contextlib.aclosing(one.watch_prefix("nothing")) as batches:
        assert list(await following(batches)) == []
    first = await one.create("tablets/a/Tablet", b"A")
    await one.create("tablets2/x/Tablet", b"X")
    async with contextlib.aclosing(one.watch_prefix("tablets")) as batches:
        assert list(await following(batches)) == [RecordChange("tablets/a/Tablet", Stored(b"A", first))]
        await other.update("tablets2/x/Tablet", b"Y", None)
        second = await other.create("tablets/b/Tablet", b"B")
        assert list(await following(batches)) == [RecordChange("tablets/b/Tablet", Stored(b"B", second))]
        await other.delete("tablets/a/Tablet", None)
        assert list(await following(batches)) == [RecordChange("tablets/a/Tablet", None)]


async def test_watch_of_a_directory_ends_with_its_connection(backend: Backend) -> None:
    """Closing the connection ends the watch of a directory with TopoUnavailable."""
    conn = await backend.connect()
    async with contextlib.aclosing(conn.watch_prefix(SHARD)) as below:
        await following(below)
        waiting = asyncio.create_task(following(below))
        await asyncio.sleep(0)
        await conn.close()
        with pytest.raises(TopoUnavailable, match="closed"):
            await waiting
