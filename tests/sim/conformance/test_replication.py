"""Conformance tests of tablets over simulated servers, as over a real mysqld: replication."""

from tests.tablet_conformance.replication import *  # noqa: F403
