"""Conformance tests of tablets over simulated servers, as over a real mysqld: promotion and demotion."""

from tests.tablet_conformance.reparent import *  # noqa: F403
