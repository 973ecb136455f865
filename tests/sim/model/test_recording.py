"""Simulated runs are checked against the model."""

import pytest

from vtorc.core.facts.ids import ShardId
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import Result, run_seed
from vtorc.sim.cluster.plan import WorldPlan, shard_plan
from vtorc.sim.faults.fault import Fault
from vtorc.sim.model.conformance import Event, Recovered, Writable
from vtorc.sim.model.recording import Recording
from vtorc.sim.mysql.semisync import AckWaits

DEAD_PRIMARY = (Fault(kind="kill-mysqld", at=5.0, lasts=30.0, shard=0, target=0),)


CELLS = ("zone1", "zone2")
SMALL = WorldPlan(
    cells=CELLS,
    shards=(shard_plan(ShardId("commerce", "0"), CELLS, durability="semi_sync", tablets=3),),
)


def run() -> Result:
    return run_seed(3, PROFILES["single"], faults=DEAD_PRIMARY, plan=SMALL)


def test_a_run_with_a_failover_is_a_path_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event of a run, and every failover in it, is one that the model has."""
    seen: list[Event] = []
    follow = Recording._follow

    def spied(recording: Recording, event: Event) -> None:
        seen.append(event)
        follow(recording, event)

    monkeypatch.setattr(Recording, "_follow", spied)
    result = run()
    assert result.violations == []
    assert result.failovers == 1
    assert any(isinstance(event, Recovered) and event.steps for event in seen)
    assert len([event for event in seen if isinstance(event, Writable) and event.writable]) >= 2


def test_a_server_that_waits_for_no_acknowledgement_is_not_in_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated MySQL that calls writes acknowledged without acknowledgements leaves the model at once."""
    wait = AckWaits.wait

    def hasty(waits: AckWaits, position: int, release: object) -> None:
        if waits.enabled:
            release(True)  # type: ignore[operator]
        else:
            wait(waits, position, release)  # type: ignore[arg-type]

    monkeypatch.setattr(AckWaits, "wait", hasty)
    assert "not-in-the-model" in {each.rule for each in run().violations}
