"""The conformance tests about status, on tablets with a real mysqld."""

from tests.tablet_conformance.status import *  # noqa: F403
