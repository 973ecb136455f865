"""Three real mysqlds for all tests of a worker, and the shards that tests make of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.lab.real_shard import Servers
from tests.tablet_conformance.agents import AgentShard


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers() -> AsyncIterator[Servers]:
    """Run three mysqlds."""
    servers = Servers()
    yield servers
    await servers.stop()


@pytest.fixture
async def shard(servers: Servers) -> AsyncIterator[AgentShard]:
    """Give three new tablets as of Vitess 24."""
    shard = await servers.new_shard(errant_check=True)
    yield shard
    await shard.stop()


@pytest.fixture
async def old_shard(servers: Servers) -> AsyncIterator[AgentShard]:
    """Give three new tablets without the errant GTID check, as vttablets before 22."""
    shard = await servers.new_shard(errant_check=False)
    yield shard
    await shard.stop()
