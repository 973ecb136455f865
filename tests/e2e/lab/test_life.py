"""The conformance tests about start and shutdown, on tablets with a real mysqld."""

from tests.tablet_conformance.life import *  # noqa: F403
