"""The catalogue of the demo's faults."""

import pytest

from vtorc.demo.faults import BY_KEY, FAULTS, OF_SERIES, Consequence, fault_named
from vtorc.lab.errors import LabError

OTHER_KEYS = set("rbqQ?0123456789")
"""Keys of the demo that bring no fault about."""


def test_each_fault_has_a_key_of_its_own() -> None:
    """A key that two faults share, or that has another meaning, would hide one of them."""
    assert len(BY_KEY) == len(FAULTS)
    assert not BY_KEY.keys() & OTHER_KEYS


def test_a_fault_of_a_tablet_names_it() -> None:
    """A sentence without the tablet would not tell which one was broken."""
    assert {name for name, fault in FAULTS.items() if "{}" in fault.what} == {
        name for name, fault in FAULTS.items() if fault.of_tablet
    }


def test_a_series_is_made_of_faults_of_a_primary() -> None:
    """Without the end of its writes no other tablet takes over, and the series would wait in vain."""
    assert OF_SERIES[0] == "kill-mysqld"
    assert {name for name, fault in FAULTS.items() if fault.primary is not Consequence.STAYS} < set(OF_SERIES)


def test_an_unknown_fault_is_refused_with_those_that_there_are() -> None:
    """Another terminal may be of another version."""
    with pytest.raises(LabError, match="'smash': expected one of kill-mysqld, "):
        fault_named("smash")
