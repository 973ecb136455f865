"""A real mysqld's tablet does what every tablet must: replication."""

from tests.tablet_conformance.replication import *  # noqa: F403
