"""What all tests share: readable failures of assertions in shared modules, no deadlines of the tools' own, Ctrl-C."""

import signal

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
