"""The embedded backends do what every backend must."""

from tests.topo_conformance import *  # noqa: F403
from tests.topo_prefix_conformance import *  # noqa: F403
from tests.topo_queue_conformance import *  # noqa: F403
