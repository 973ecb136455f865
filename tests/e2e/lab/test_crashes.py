"""The conformance tests about crashes, on tablets with a real mysqld."""

from tests.tablet_conformance.crashes import *  # noqa: F403
