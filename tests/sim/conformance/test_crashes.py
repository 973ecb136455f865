"""A simulated server's tablet does what every tablet must, as over a real mysqld: crashes."""

from tests.tablet_conformance.crashes import *  # noqa: F403
