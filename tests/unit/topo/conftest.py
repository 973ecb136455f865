"""The embedded backends of the topology, for the tests that every backend must pass."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vtorc.topo.conn import TopoConn, TopoLock
from vtorc.topo.embedded import EmbeddedConn
from vtorc.topo.lease import LeasedLock
from vtorc.topo.local import LocalStore
from vtorc.topo.memory import MemoryStore

for suite in ("topo_conformance", "topo_prefix_conformance", "topo_queue_conformance"):
    pytest.register_assert_rewrite(f"tests.{suite}")


def fall_silent(lock: TopoLock) -> None:
    """Stop keeping a lock alive, as if its process were gone."""
    assert isinstance(lock, LeasedLock)
    lock._keeper.cancel()


class MemoryBackend:
    """Connections to one store in this process."""

    ttl = 1.0
    lock_name = "locks"
    equal_write_is_new = True

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.conns: list[EmbeddedConn] = []

    async def connect(self, root: str = "/vitess/global") -> TopoConn:
        """Connect to the one store."""
        self.conns.append(self.store.connect(root))
        return self.conns[-1]

    def fall_silent(self, lock: TopoLock) -> None:
        """Stop keeping a lock."""
        fall_silent(lock)


class LocalBackend:
    """Connections to one file, each by a store of its own as a process would have."""

    ttl = 4.0
    lock_name = "locks"
    equal_write_is_new = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.conns: list[EmbeddedConn] = []

    async def connect(self, root: str = "/vitess/global") -> TopoConn:
        """Open the file once more."""
        store = await LocalStore.open(self.path)
        self.conns.append(store.connect(root))
        return self.conns[-1]

    def fall_silent(self, lock: TopoLock) -> None:
        """Stop keeping a lock."""
        fall_silent(lock)


@pytest.fixture(params=["memory", "local"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MemoryBackend | LocalBackend]:
    """Make an embedded backend with nothing in it."""
    backend = MemoryBackend() if request.param == "memory" else LocalBackend(tmp_path / "topo.db")
    yield backend
    with contextlib.suppress(asyncio.CancelledError):
        for conn in backend.conns:
            await conn.close()
