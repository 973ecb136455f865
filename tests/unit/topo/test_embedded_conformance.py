"""The embedded backends do what every backend must."""

from tests.topo_conformance import *  # noqa: F403
