"""Fixtures for the unit tests."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from vtorc import logs
from vtorc.logs import flush_logs


@pytest.fixture
def restore_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the next test the logging that this one found, and let a flush wait as long as a busy machine needs."""
    monkeypatch.setattr(logs, "_FLUSH_PATIENCE", 60.0)
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
