"""A real mysqld's tablet does what every tablet must: crashes."""

from tests.tablet_conformance.crashes import *  # noqa: F403
