"""A simulated server's tablet does what every tablet must, as over a real mysqld: what it tells."""

from tests.tablet_conformance.status import *  # noqa: F403
