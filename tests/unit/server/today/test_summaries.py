"""Vitess' codes that sum up a primary and its replicas."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.core.builders import CONNECTING, NOW, STOPPED, answers, changed, failing, primary, replica, shard
from tests.unit.server.today.memories import app_of, memory_of, settings_frame
from tests.unit.server.told import ask_app
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.server.today.summaries import SUMMARIES

P = "zone1-0000000100"


def lagging(name: str, *, delay: int = 0) -> TabletView:
    """Return a replica that is two minutes behind, and meant to be behind by `delay`."""
    tablet = replica(name)
    assert tablet.status is not None
    assert tablet.status.replication is not None
    return answers(tablet, replication=replace(tablet.status.replication, lag=120, sql_delay=delay))


def waiting(*, blocked: bool) -> TabletView:
    """Return a primary that waits for two acknowledgements and has one semi-sync client."""
    return primary(clients=1, wait_for=2, semi_sync_blocked=blocked)


async def told(view: ShardView, path: str) -> Any:
    """Return what a path answers about a shard."""
    return json.loads((await ask_app(app_of(memory_of(settings_frame(), view)), path)).text)


UNSTABLE = changed(primary(), failed_at=tuple(NOW - 50.0 + 10 * each for each in range(5)))
DOWN = failing(replica("zone1-101"))
LAGS = (lagging("zone1-101"), lagging("zone1-102"))


@pytest.mark.parametrize(
    ("view", "codes"),
    [
        pytest.param(shard(primary(), replica("zone1-101")), [], id="well"),
        pytest.param(
            shard(failing(UNSTABLE, ProbeFailure.TIMEOUT, for_=0.2), replica("zone1-101"), replica("zone1-102")),
            ["IncapacitatedPrimary"],
            id="the primary comes and goes",
        ),
        pytest.param(shard(UNSTABLE, replica("zone1-101")), [], id="a primary that came and went answers"),
        pytest.param(
            shard(primary(dead_for=3.0), *LAGS), ["UnreachablePrimaryWithLaggingReplicas"], id="unreached and lagging"
        ),
        pytest.param(shard(primary(dead_for=3.0), LAGS[0], replica("zone1-102")), [], id="one does not lag"),
        pytest.param(shard(primary(dead_for=3.0), lagging("zone1-101", delay=60)), [], id="all are late on purpose"),
        pytest.param(
            shard(waiting(blocked=True), replica("zone1-101"), replica("zone1-102", semi_sync=False)),
            ["LockedSemiSyncPrimary"],
            id="commits wait",
        ),
        pytest.param(
            shard(waiting(blocked=False), replica("zone1-101"), replica("zone1-102")),
            ["LockedSemiSyncPrimaryHypothesis"],
            id="commits may wait",
        ),
        pytest.param(
            shard(primary(), replica("zone1-101", io=STOPPED)), ["PrimarySingleReplicaNotReplicating"], id="one stopped"
        ),
        pytest.param(shard(primary(), DOWN), ["PrimarySingleReplicaDead"], id="one dead"),
        pytest.param(
            shard(primary(), replica("zone1-101", io=CONNECTING), replica("zone1-102", sql=STOPPED)),
            ["AllPrimaryReplicasNotReplicating"],
            id="all stopped",
        ),
        pytest.param(shard(primary(), replica("zone1-101", io=STOPPED), replica("zone1-102")), [], id="one of two"),
        pytest.param(
            shard(primary(), DOWN, replica("zone1-102", io=STOPPED)),
            ["AllPrimaryReplicasNotReplicatingOrDead"],
            id="dead or stopped",
        ),
        pytest.param(shard(primary(), DOWN, replica("zone1-102")), [], id="one of two dead"),
    ],
)
async def test_a_primary_is_summed_up_with_its_replicas(view: ShardView, codes: list[str]) -> None:
    """The analysis of the primary and the metric tell the same codes, beside vtorc's own findings."""
    listed = await told(view, "/api/detection-analysis") or []
    matched = [each for row in listed for each in row["AnalysisMatchedProblems"] if each["Analysis"] in SUMMARIES]
    assert [each["Analysis"] for each in matched] == codes
    assert all(each["Description"].startswith(P) for each in matched)
    metrics = (await told(view, "/debug/vars"))["DetectedProblems"]
    assert {name for name in metrics if name.partition(".")[0] in SUMMARIES} == {f"{c}.{P}.commerce.0" for c in codes}


async def test_a_code_that_stands_alone_is_the_analysis() -> None:
    """A replica that cannot connect is no finding of vtorc's, and the code of its primary is all that is told."""
    (row,) = await told(shard(primary(), replica("zone1-101", io=CONNECTING)), "/api/detection-analysis")
    assert (row["Analysis"], row["Description"]) == (
        "PrimarySingleReplicaNotReplicating",
        f"{P} has one replica, which does not replicate",
    )
