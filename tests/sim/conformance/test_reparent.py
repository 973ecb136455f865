"""A simulated server's tablet does what every tablet must, as over a real mysqld: promotion and demotion."""

from tests.tablet_conformance.reparent import *  # noqa: F403
