"""Conformance tests of tablets over simulated servers, as over a real mysqld: start and shutdown."""

from tests.tablet_conformance.life import *  # noqa: F403
