"""Real mysqlds, three for all tests of a worker, and the shards that tests make of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

pytest.register_assert_rewrite("tests.tablet_conformance")

from tests.e2e.lab.real_shard import RealShard, Servers  # noqa: E402 (after the registration)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[Servers]:
    """Run three mysqlds."""
    servers = Servers()
    yield servers
    await servers.stop()


async def new_shard(servers: Servers, *, errant_check: bool) -> RealShard:
    """Wipe the servers and make a shard of them."""
    ports = [servers.ports.take() for _ in servers.mysqlds]
    shard = RealShard(await servers.wiped(), ports, errant_check=errant_check)
    await shard.start()
    return shard


@pytest.fixture
async def shard(servers: Servers) -> AsyncIterator[RealShard]:
    """Give three new tablets as of Vitess 24."""
    shard = await new_shard(servers, errant_check=True)
    yield shard
    await shard.stop()


@pytest.fixture
async def old_shard(servers: Servers) -> AsyncIterator[RealShard]:
    """Give three new tablets that replicate without asking, as those before Vitess 22."""
    shard = await new_shard(servers, errant_check=False)
    yield shard
    await shard.stop()
