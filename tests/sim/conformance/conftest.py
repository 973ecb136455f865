"""Shards of simulated servers, new ones for every test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sim.conformance.sim_shard import new_shard
from tests.tablet_conformance.agents import AgentShard
from vtorc.lab.ports import Ports


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Reserve ports."""
    ports = Ports()
    yield ports
    ports.release()


@pytest.fixture
async def shard(ports: Ports) -> AsyncIterator[AgentShard]:
    """Give three new tablets as of Vitess 24."""
    shard = await new_shard(ports, errant_check=True)
    yield shard
    await shard.stop()


@pytest.fixture
async def old_shard(ports: Ports) -> AsyncIterator[AgentShard]:
    """Give three new tablets that replicate without checking errant GTIDs, as those before Vitess 22."""
    shard = await new_shard(ports, errant_check=False)
    yield shard
    await shard.stop()
