"""The conformance tests about replication, on tablets with a real mysqld."""

from tests.tablet_conformance.replication import *  # noqa: F403
