"""Conformance tests of tablets over simulated servers, as over a real mysqld: status."""

from tests.tablet_conformance.status import *  # noqa: F403
