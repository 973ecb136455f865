"""A real mysqld's tablet does what every tablet must: promotion and demotion."""

from tests.tablet_conformance.reparent import *  # noqa: F403
