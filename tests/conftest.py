"""What all tests share: readable failures of assertions in shared modules, and no deadlines of the tools' own."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.tablet_conformance")

# A busy machine takes as long as it takes: no time limit of a tool may fail a test.
settings.register_profile("vtorc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vtorc")
