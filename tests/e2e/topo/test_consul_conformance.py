"""The consul backend does on a real Consul what every backend must."""

import pytest

from tests.e2e.topo.conftest import ConsulBackend
from tests.topo_conformance import *  # noqa: F403
from tests.topo_prefix_conformance import *  # noqa: F403


@pytest.fixture
def backend(consul_backend: ConsulBackend) -> ConsulBackend:
    """Give the tests a Consul."""
    return consul_backend
