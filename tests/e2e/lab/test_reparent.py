"""The conformance tests about promotion and demotion, on tablets with a real mysqld."""

from tests.tablet_conformance.reparent import *  # noqa: F403
