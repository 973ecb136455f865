"""A replica that starts again while a vtorc waits for the topology server, between its stop and the promotion."""

import pytest

from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed
from vtorc.sim.faults.fault import Fault


@pytest.mark.parametrize("seed", [3, 4, 10])
def test_a_replica_that_starts_amid_a_slow_check_of_the_lock_acknowledges_nothing_in_vain(seed: int) -> None:
    """The stopped tablets are looked at after the lock was checked, so that none has acknowledged since."""
    fault = Fault(kind="restart-amid-failover", at=1.0, lasts=50.0)
    result = run_seed(seed, PROFILES["failover"], faults=(fault,))
    assert result.ok, [each.text for each in result.violations]
