"""A simulated server's tablet does what every tablet must, as over a real mysqld: replication."""

from tests.tablet_conformance.replication import *  # noqa: F403
