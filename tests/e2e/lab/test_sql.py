"""The conformance tests about SQL through a tablet, on tablets with a real mysqld."""

from tests.tablet_conformance.sql import *  # noqa: F403
