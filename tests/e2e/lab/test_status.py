"""A real mysqld's tablet does what every tablet must: what it tells."""

from tests.tablet_conformance.status import *  # noqa: F403
