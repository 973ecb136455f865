"""A simulated server's tablet does what every tablet must, as over a real mysqld: coming and going."""

from tests.tablet_conformance.life import *  # noqa: F403
