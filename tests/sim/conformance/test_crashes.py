"""Conformance tests of tablets over simulated servers, as over a real mysqld: crashes."""

from tests.tablet_conformance.crashes import *  # noqa: F403
