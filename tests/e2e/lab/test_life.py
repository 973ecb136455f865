"""A real mysqld's tablet does what every tablet must: coming and going."""

from tests.tablet_conformance.life import *  # noqa: F403
