"""A real mysqld's tablet does what every tablet must: SQL for its callers."""

from tests.tablet_conformance.sql import *  # noqa: F403
