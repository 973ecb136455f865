"""What all tests share: readable failures, no deadlines of tools, little garbage collection, Ctrl-C."""

import gc
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.tablet_conformance")

# A busy machine takes as long as it takes: no time limit of a tool may fail a test.
settings.register_profile("vtorc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vtorc")

# Processes that a test starts take SIGINT as they do in a terminal. A shell has what it runs in the background ignore
# it, and all that those start: a test of Ctrl-C waited for ever there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what all modules loaded from garbage collection, while they are imported and from then on.

    Each simulated world collects all garbage at its begin. Amid the modules of all tests that takes a quarter of a
    second of processor time. Importing them takes a third less without it.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        _keep_what_is_there()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Keep what the tests of a file loaded from garbage collection, too."""
    if nextitem is not None and nextitem.path != item.path:
        _keep_what_is_there()


def _keep_what_is_there() -> None:
    gc.collect()
    gc.freeze()
