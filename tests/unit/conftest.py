"""Fixtures for the unit tests."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from vtorc.logs import flush_logs


@pytest.fixture
def restore_logging() -> Iterator[None]:
    """Give the next test the logging that this one found."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    flush_logs()
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
