"""What all tests share: readable failures of assertions in the modules of tests that are imported by others."""

import pytest

pytest.register_assert_rewrite("tests.tablet_conformance")
